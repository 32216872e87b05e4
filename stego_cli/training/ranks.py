"""Several processes as one: the collective operations of a run that torchrun started, one process per GPU.

All processes draw the same random numbers, so each has the indices of the whole batch. Each computes the loss of its
own rows; sums over the processes make gradients, means and quantiles equal to those of one process with that batch.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Ranks:
    """This process among `count`; with a single process every method returns its argument.

    Attributes:
        rank: 0 for the process that writes files.
        count: number of processes.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and reports progress."""
        return self.rank == 0

    def rows(self, total: int) -> slice:
        """Return this process's share of `total` rows; it may be empty."""
        return slice(total * self.rank // self.count, total * (self.rank + 1) // self.count)

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum of all processes' tensors, in place."""
        if self.count > 1:
            dist.all_reduce(tensor)
        return tensor

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set in any process."""
        return flag if self.count == 1 else bool(self.sum(torch.tensor(float(flag), device=self._device)) > 0)

    def gather(self, value: object) -> list[object]:
        """Return every process's value, in the order of ranks."""
        if self.count == 1:
            return [value]
        values: list[object] = [None] * self.count
        dist.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Return once all processes have called this."""
        if self.count > 1:
            dist.barrier()

    @property
    def _device(self) -> str:
        return "cuda" if dist.get_backend() == "nccl" else "cpu"


ALONE = Ranks()


def started_by_torchrun() -> bool:
    """Return whether this process is one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


def is_first_process() -> bool:
    """Return whether this is the only process or the one of rank 0."""
    return not started_by_torchrun() or os.environ["RANK"] == "0"


def own_gpu() -> str:
    """Return the name of this process's default GPU."""
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if started_by_torchrun() else "cuda"


def join(device: torch.device) -> Ranks:
    """Join the process group if torchrun started this process: NCCL between GPUs, gloo between CPUs."""
    if not started_by_torchrun():
        return ALONE
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Ranks(dist.get_rank(), dist.get_world_size())


def leave() -> None:
    """Leave the process group, if there is one."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()

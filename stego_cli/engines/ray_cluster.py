"""A Ray cluster: connecting to it, and the workers that it has room for."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO, cast

from stego_cli.errors import UsageError, setting
from stego_cli.progress import Progress

_HERE = "local"  # Ray's word for a new cluster of this machine
_PATIENCE = 10.0  # seconds until a cluster answers


@dataclass(frozen=True)
class Workers:
    """The workers of a cluster.

    Attributes:
        count: how many.
        machines: on how many machines.
        cores: of each; `gpus`: of each, 0 or 1.
    """

    count: int
    machines: int
    cores: int
    gpus: int

    @property
    def device(self) -> str:
        """Of each; Ray shows it no other GPU."""
        return "cuda" if self.gpus else "cpu"


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Connect to a cluster, or start one on this machine if there is no address, for the block.

    Raises:
        UsageError: Ray is not installed, or there is no cluster at the address.
    """
    if address and address.startswith("ray://"):
        raise UsageError(
            "a client's address (ray://) does not do.", "Run the command on the cluster: `ray job submit`.",
            field="ray_address",
        )  # fmt: skip
    address = address or os.environ.get("RAY_ADDRESS") or _HERE
    _require_answer(address)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UsageError("it needs Ray.", "`pip install 'stego-cli[ray]'`.", field="engine") from error
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report to its makers
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what concerns the user comes as an exception
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UsageError(
            f"the cluster cannot be reached: {str(error).splitlines()[0]}",
            "`ray status` shows whether it runs; both sides need one version of Ray and of Python.",
            field="ray_address",
        ) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():  # Ray has put its own in their place
                signal.signal(number, handler)
    try:
        with _own_output():
            yield
    finally:
        with contextlib.redirect_stdout(sys.stderr):
            ray.shutdown()


def _require_answer(address: str) -> None:
    """Refuse an address at which nothing answers, to which Ray would try to connect for a long time."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        return  # a word that Ray knows
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"nothing answers at {address}: {error}.", "`ray status` on a machine of the cluster shows its address.",
            field="ray_address",
        ) from error  # fmt: skip


class _OwnOutput:
    """Standard output without what Ray's threads print there, which goes to standard error: machines read it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text of this tool."""
        stream = sys.stderr if threading.current_thread().name.startswith("ray_") else self._stream
        return stream.write(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


@contextlib.contextmanager
def _own_output() -> Iterator[None]:
    stream = sys.stdout
    if stream is not None:
        sys.stdout = cast(TextIO, _OwnOutput(stream))
    try:
        yield
    finally:
        sys.stdout = stream


def room_for_workers(device: str, wanted: int | None, progress: Progress) -> Workers:
    """Return how many workers the cluster has room for: one a GPU, or one for so many cores.

    Raises:
        UsageError: it has none.
    """
    import ray

    kind = device.partition(":")[0]
    if kind not in ("auto", "cpu", "cuda") or ":" in device:
        raise UsageError(f"must be auto, cpu or cuda on a cluster, got {device!r}", field="device")
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    with_gpu = [node for node in nodes if node.get("GPU", 0) >= 1]
    gpus = 1 if kind == "cuda" or (kind == "auto" and with_gpu) else 0
    used = with_gpu if gpus else nodes
    if not used:
        raise UsageError(f"the cluster has no machine for {setting('device', device)}.", field="engine")
    cores = wanted or int(min(node["CPU"] // node["GPU"] if gpus else node["CPU"] for node in used)) or 1
    room = [int(min(node["CPU"] // cores, node["GPU"] if gpus else node["CPU"])) for node in used]
    workers = Workers(sum(room), sum(each > 0 for each in room), cores, gpus)
    if not workers.count:
        raise UsageError(f"no machine of the cluster has {cores} cores.", "Give fewer.", field="workers")
    with_what = "a GPU" if gpus else f"{cores} cores" if cores > 1 else "a core"
    progress.note(f"{workers.count} workers with {with_what} each, on {workers.machines} machines of the Ray cluster.")
    return workers

"""What every stage of a training run needs besides its data: where it computes and writes, and whom it reports to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from stego_cli.progress import Progress
from stego_cli.reading import Reading
from stego_cli.stop import Stop
from stego_cli.training.ranks import ALONE, Ranks


@dataclass(frozen=True)
class RunContext:
    """The surroundings of a run, the same from its first stage to its last.

    Attributes:
        device: where the backbone and the head compute.
        folder: the run folder; outside training, a folder for scratch files.
        progress: receives stages, notes, warnings and events.
        stop: checked between two pieces of work.
        ranks: the processes that share the work.
        reading: how pictures that are not RGB of 8 bits become that.
        engine: where features that are kept are computed.
        ray_address: of the engine's cluster; `asked`: device of its workers.
    """

    device: torch.device
    folder: Path
    progress: Progress
    stop: Stop
    ranks: Ranks = ALONE
    reading: Reading = Reading()
    engine: str = "local"
    ray_address: str | None = None
    asked: str = "auto"

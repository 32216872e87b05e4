"""The RUN folder while a training writes to it: never two runs at once, never one destroyed by accident."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from stego_cli.errors import UsageError, setting
from stego_cli.images.atomic import remove_leftovers, require_writable
from stego_cli.images.lock import hold
from stego_cli.model.checkpoint import BACKBONE_FILE, CONFIG_FILE, METRICS_FILE, MODEL_FILE, require_own_run_files
from stego_cli.reading import Reading
from stego_cli.text import shown
from stego_cli.training.ranks import Ranks
from stego_cli.training.resume import RESUME_FILE

LOCK_FILE = ".stego-lock"


@dataclass(frozen=True)
class RunOptions:
    """How a run uses its folder, and reads its photographs.

    Attributes:
        resume: continue from the state that an interrupted run saved there.
        overwrite: replace the run that is there.
        tensorboard: also write tensorboard/ during the run.
        reading: how pictures that are not RGB of 8 bits become that.
        engine: where features that are kept are computed; `ray_address`: of its cluster.
        res_ground: size of a pixel on the ground in the rasters that photographs were drawn from; None: their own.
    """

    resume: bool = False
    overwrite: bool = False
    tensorboard: bool = False
    reading: Reading = Reading()
    res_ground: float | None = None
    engine: str = "local"
    ray_address: str | None = None


def check_run_folder(folder: Path, options: RunOptions) -> None:
    """Make the folder, unless the options do not fit what is in it.

    Raises:
        UsageError: it holds a run that may not be replaced, or none to resume.
        OutputError: it cannot be written.
    """
    unfinished = (folder / RESUME_FILE).is_file()
    if options.resume and not unfinished:
        raise UsageError(
            f"{shown(folder)} has nothing to resume.",
            f"Leave out {setting('resume', True)}; a finished run needs none.",
        )
    if not options.resume and not options.overwrite:
        if unfinished:
            raise UsageError(
                f"{shown(folder)} holds an unfinished run.",
                f"Give {setting('resume', True)} to continue it or {setting('overwrite', True)} to begin again.",
            )
        if (folder / CONFIG_FILE).exists():
            raise UsageError(
                f"{shown(folder)} holds a run already.",
                f"Give another {setting('out')}, or {setting('overwrite', True)} to replace it.",
            )
    if not options.resume:
        require_own_run_files(folder, options.overwrite)
    require_writable(folder)


@contextmanager
def hold_run_folder(folder: Path, ranks: Ranks) -> Iterator[None]:
    """Lock the folder for this run and delete temporary files of killed ones.

    Raises:
        OutputError: another run is writing to it.
    """
    ranks.wait()  # all processes have checked the folder before the first changes it
    with hold(folder / LOCK_FILE) if ranks.first else nullcontext():
        if ranks.first:
            remove_leftovers(folder)
        yield


def clear_run_folder(folder: Path) -> None:
    """Delete the files of an earlier run."""
    for name in (RESUME_FILE, CONFIG_FILE, MODEL_FILE, METRICS_FILE, BACKBONE_FILE):
        (folder / name).unlink(missing_ok=True)

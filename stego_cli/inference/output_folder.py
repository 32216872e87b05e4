"""The output folder of a run: MASKS, and MASKS/.stego with lock, journal, run.json and a discovered model."""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct

from stego_cli.checked_json import parse_file
from stego_cli.errors import ModelError, UsageError, setting
from stego_cli.images.atomic import remove_leftovers, require_writable, write_bytes
from stego_cli.images.discover import STATE
from stego_cli.images.journal import Journal, read_entries
from stego_cli.images.lock import hold
from stego_cli.inference.predict import Recipe
from stego_cli.part_settings import PartSettings
from stego_cli.reading import Reading
from stego_cli.settings import Decoder
from stego_cli.version import __version__

PARTS = "parts"  # in the folder of a run's state: labels of the parts of files that are being segmented
WORKERS = "workers"  # likewise: journals of workers in other processes, one in a folder each


class _About(Struct):
    """What is read of run.json."""

    identity: dict[str, Any]


class OutputFolder:
    """MASKS, locked for this run, or for runs that do a shard each; a context manager.

    Attributes:
        root: MASKS.
        state: MASKS/.stego.
        scratch: where this run's journal and temporary files live: `state`, or a folder of the shard in it.
        discovered: where a model that was discovered in these photographs is kept.

    Raises (on entering):
        OutputError: it cannot be written, or another run has locked it.
    """

    def __init__(self, root: Path, shard: str = "") -> None:
        self.root = root
        self.state = root / STATE
        self.scratch = self.state / f"shard-{shard.replace('/', '-of-')}" if shard else self.state
        self.discovered = self.state / "model.onnx"
        self._locks = contextlib.ExitStack()

    def __enter__(self) -> OutputFolder:
        for folder in dict.fromkeys((self.root, self.state, self.scratch)):
            require_writable(folder)
        with contextlib.ExitStack() as locks:
            sharded = self.scratch != self.state
            locks.enter_context(hold(self.state / "lock", self.root, shared=sharded))
            if sharded:
                locks.enter_context(hold(self.scratch / "lock", self.root))
            remove_leftovers(self.scratch)
            self._locks = locks.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._locks.close()

    def open_journal(self, made_by: MadeBy, overwrite: bool) -> Journal:
        """Open the journal for a run, or refuse to mix its masks with those of a different one.

        Args:
            made_by: how this run makes masks; kept in run.json.
            overwrite: forget the masks that are there.

        Raises:
            UsageError: masks made with another model or other settings are there, and `overwrite` is not set.
            ModelError: run.json is damaged.
        """
        journal, run = self.scratch / "journal.jsonl", self.state / "run.json"
        workers = self.scratch / WORKERS
        others = [file for file in journals(self.root) if file != journal and not file.is_relative_to(workers)]
        now = made_by.identity()
        if overwrite:
            # Another shard's journal is left alone, and its entries are not used.
            for file in [journal, *others] if self.scratch == self.state else [journal]:
                file.unlink(missing_ok=True)
                shutil.rmtree(file.parent / PARTS, ignore_errors=True)
            others = []
        elif run.exists() or journal.exists() or others:
            changed = _differences(_read(run), now)
            if changed:
                raise UsageError(
                    f"{self.root} holds masks made with other settings ({', '.join(changed)}).",
                    f"Give the same settings to go on, {setting('overwrite', True)} to make all masks again, or "
                    f"another {setting('out')}.",
                )
        about = {"stego_version": __version__, "photos": str(made_by.photos.absolute()), "identity": now}
        write_bytes(run, (json.dumps(about, indent=2) + "\n").encode(), self.scratch)
        opened = Journal(journal, others)
        if not overwrite:  # what workers of a run that was killed have done
            for entry in read_entries(_by_time(workers)).values():
                opened.append(entry)
                opened.entries[entry.path] = entry
        self.forget_workers()
        return opened

    def forget_workers(self) -> None:
        """Delete the journals of workers, after what is in them was taken over."""
        shutil.rmtree(self.scratch / WORKERS, ignore_errors=True)


@dataclass(frozen=True)
class MadeBy:
    """How masks are made: all that decides what they look like."""

    photos: Path
    model_sha256: str
    recipe: Recipe
    parts: PartSettings = PartSettings()

    def identity(self) -> dict[str, Any]:
        """Return what must be the same for all masks of a folder; where the photographs are may change."""
        refiner = self.recipe.refiner
        return {
            "model": self.model_sha256,
            "res": self.recipe.res,
            "probe": self.recipe.probe,
            "crf": None if refiner is None else asdict(refiner.settings),
            # Only where it changes something, so that masks of earlier versions are continued.
            **({} if self.recipe.reading == Reading() else {"reading": self.recipe.reading.as_dict()}),
            **({} if self.recipe.decoder == "cpu" else {"decoder": self.recipe.decoder}),
            **self.parts.identity(),
        }


def journals(masks: Path) -> list[Path]:
    """Return the journals of an output folder, one of each shard, the one written last at the end."""
    return _by_time(masks / STATE)


def _by_time(folder: Path) -> list[Path]:
    return sorted(folder.glob("**/journal.jsonl"), key=lambda file: file.stat().st_mtime)


def reading_of_run(masks: Path, asked: Reading) -> Reading | None:
    """Return how the run that made these masks reads pictures, with what it decided; None: it was asked for otherwise.

    So a run that is continued, or another shard, shows the same numbers as the same grey.
    """
    run = masks / STATE / "run.json"
    try:
        kept = Reading.from_dict(parse_file(run, _About).identity["reading"])
    except (OSError, ValueError, KeyError):
        return None
    return kept if kept.asked == asked else None


def decoder_of_run(masks: Path, asked: Decoder) -> Decoder:
    """Return the decoder that was asked for; of "auto" the one of the masks that are there, so that they go on."""
    try:
        kept = parse_file(masks / STATE / "run.json", _About).identity.get("decoder", "cpu")
    except (OSError, ValueError):
        return asked
    return ("gpu" if kept == "gpu" else "cpu") if asked == "auto" else asked


def _read(run: Path) -> dict[str, Any]:
    try:
        return parse_file(run, _About).identity
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{run}, which records how the masks in {run.parent.parent} were made, is missing or damaged.",
            f"Give {setting('overwrite', True)} to make all masks again.",
        ) from error


def _differences(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    return [name for name in {**then, **now} if then.get(name) != now.get(name)]

"""The output folder of a run: MASKS, and MASKS/.stego with lock, journal, run.json and a discovered model."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stego_cli import __version__
from stego_cli.errors import ModelError, UsageError
from stego_cli.images.atomic import remove_leftovers, require_writable, write_bytes
from stego_cli.images.discover import STATE
from stego_cli.images.journal import Journal
from stego_cli.images.lock import hold
from stego_cli.settings import SegmentSettings


class OutputFolder:
    """MASKS, held by this run alone; a context manager.

    Attributes:
        root: MASKS.
        state: MASKS/.stego, where temporary files live too.
        discovered: where a model that was discovered in these photographs is kept.

    Raises (on entering):
        OutputError: it cannot be written, or another run holds it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / STATE
        self.discovered = self.state / "model.onnx"
        self._lock = hold(self.state / "lock", root)

    def __enter__(self) -> OutputFolder:
        require_writable(self.root)
        require_writable(self.state)
        self._lock.__enter__()
        remove_leftovers(self.state)
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.__exit__(None, None, None)

    def open_journal(self, settings: SegmentSettings, model_sha256: str) -> Journal:
        """Open the journal for a run with these settings, or refuse to mix it with a different one.

        Raises:
            UsageError: masks made with another model or other settings are there, and `overwrite` is not set.
            ModelError: run.json is damaged.
        """
        journal, run = self.state / "journal.jsonl", self.state / "run.json"
        now = _identity(settings, model_sha256)
        if settings.overwrite:
            journal.unlink(missing_ok=True)
        elif run.exists() or journal.exists():
            changed = _differences(_read(run), now)
            if changed:
                raise UsageError(
                    f"{self.root} holds masks made with other settings ({', '.join(changed)}).",
                    "Give the same settings to go on, --overwrite to make all masks again, or another --out.",
                )
        about = {"stego_version": __version__, "photos": str(settings.photos.absolute()), "identity": now}
        write_bytes(run, (json.dumps(about, indent=2) + "\n").encode(), self.state)
        return Journal(journal)


def _identity(settings: SegmentSettings, model_sha256: str) -> dict[str, Any]:
    """Return all that decides what a mask looks like."""
    return {
        "model": model_sha256,
        "res": settings.res,
        "probe": settings.probe,
        "crf": asdict(settings.crf) if settings.crf else None,
    }


def _read(run: Path) -> dict[str, Any]:
    try:
        identity = json.loads(run.read_text(encoding="utf-8"))["identity"]
        if not isinstance(identity, dict):
            raise ValueError("no settings in it")
        return identity
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{run} is missing or damaged, so nobody knows how the masks in {run.parent.parent} were made.",
            "Give --overwrite to make all masks again.",
        ) from error


def _differences(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    return [name for name in now if then.get(name) != now[name]]

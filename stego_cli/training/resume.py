"""The state of an unfinished training run, in RUN/resume.safetensors until the last step."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from stego_cli.checked_json import parse
from stego_cli.errors import ModelError, UsageError, setting
from stego_cli.images.atomic import write_bytes
from stego_cli.settings import TrainSettings
from stego_cli.text import shown
from stego_cli.training.fit import Fit

RESUME_FILE = "resume.safetensors"


def fingerprint(paths: list[Path], weights_sha256: str) -> str:
    """Return a hash of everything that features depend on: the photographs' paths, sizes and times, and the weights."""
    digest = hashlib.sha256(weights_sha256.encode())
    for path in paths:
        digest.update(b"\0" + os.fsencode(path.absolute()))
        with contextlib.suppress(OSError):  # deleted since its features were computed, which changes the hash too
            stat = path.stat()
            digest.update(f"\0{stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()


class _About(Struct):
    """What the file says besides its tensors."""

    step: Annotated[int, Meta(ge=0)]
    settings: dict[str, Any]
    photographs: str


@dataclass(frozen=True)
class ResumeState:
    """The file that a stopped run is resumed from.

    Attributes:
        folder: the run folder.
        settings: of the run, which must not change.
        source: the fingerprint of photographs and weights, which must not change.
    """

    folder: Path
    settings: TrainSettings
    source: str

    def save(self, fit: Fit) -> None:
        """Write everything that the remaining steps depend on, besides the features.

        Raises:
            OutputError: the folder cannot be written.
        """
        tensors = {f"head.{name}": value for name, value in fit.head.state_dict().items()}
        for index, state in fit.optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{name}": value for name, value in state.items()}
        if fit.centroids is not None:
            tensors["centroids"] = fit.centroids.detach()
        about = {"step": fit.step, "settings": asdict(self.settings), "photographs": self.source}
        contiguous = {name: value.cpu().contiguous() for name, value in tensors.items()}
        write_bytes(self.folder / RESUME_FILE, save(contiguous, {"about": json.dumps(about)}))

    def load(self, fit: Fit) -> None:
        """Put `fit` into the saved state.

        Raises:
            UsageError: settings or photographs are not those of the saved run.
            ModelError: the file is damaged.
        """
        file = self.folder / RESUME_FILE
        try:
            with safe_open(file, framework="pt") as stored:
                about = parse(stored.metadata()["about"], _About)
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  (not a dict)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{shown(file)} is damaged: {error}.", "Delete it and train again.") from error
        now = json.loads(json.dumps(asdict(self.settings)))
        if now != about.settings or self.source != about.photographs:
            changed = [k for k, v in now.items() if about.settings.get(k) != v]
            changed += ["photographs or weights"] if self.source != about.photographs else []
            raise UsageError(
                f"{shown(self.folder)} was begun with other {', '.join(changed)}; resuming would mix the two.",
                f"Give the same settings, or {setting('overwrite', True)} to begin again.",
            )
        try:
            _put(tensors, fit)
        except (KeyError, ValueError, RuntimeError) as error:
            raise ModelError(f"{shown(file)} is damaged: {error}.", "Delete it and train again.") from error
        fit.step = about.step


def _put(tensors: dict[str, Tensor], fit: Fit) -> None:
    """Put the tensors of a state into `fit`; a shape that does not fit raises ValueError or RuntimeError."""
    fit.head.load_state_dict({k.removeprefix("head."): v for k, v in tensors.items() if k.startswith("head.")})
    state, shapes = (
        fit.optimiser.state_dict(),
        [each.shape for group in fit.optimiser.param_groups for each in group["params"]],
    )
    for name, value in tensors.items():
        if name.startswith("adam."):
            _, index, key = name.split(".")
            if int(index) >= len(shapes) or value.shape not in (shapes[int(index)], ()):
                raise ValueError(f"{name} has the shape {tuple(value.shape)}")
            state["state"].setdefault(int(index), {})[key] = value
    fit.optimiser.load_state_dict(state)
    if fit.centroids is not None:
        fit.centroids.data.copy_(tensors["centroids"])

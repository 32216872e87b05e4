"""Where the new labels of a mask come from: a table of values, or the model where a class is split.

Of a split only the pixels of the split class change, each to the most probable of its parts. They come from the same
recipe as the mask did. So joining the parts again gives the mask that was there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from stego_cli.checked_json import parse_file
from stego_cli.class_edits import ClassEdits
from stego_cli.crf import resolve_engine
from stego_cli.errors import ModelError, NoInputError, PhotoError, UsageError
from stego_cli.gallery.mask_tree import photos_of_run
from stego_cli.gallery.model_edit import classes_of_model
from stego_cli.images.atomic import sha256, write_bytes
from stego_cli.images.decode import decode
from stego_cli.images.discover import STATE
from stego_cli.images.journal import Entry
from stego_cli.images.masks import labels_at
from stego_cli.inference.output_folder import OutputFolder
from stego_cli.inference.predict import Recipe, Refiner, infer
from stego_cli.inference.session import Session
from stego_cli.reading import Reading
from stego_cli.settings import CrfSettings
from stego_cli.text import shown

_MODEL = "model.onnx"  # in MASKS/.stego, the one that was discovered for these masks
_AFTER = "model-after-split.onnx"  # the one that takes its place when all masks are changed

Labels = NDArray[np.uint8]


class Relabel(Protocol):
    """Turns the labels of a mask into those after a change; threads call it at the same time."""

    def concerns(self, entry: Entry) -> bool:
        """Return whether the change concerns the mask at all, told from the pixels that it had before."""

    def __call__(self, entry: Entry, labels: Labels) -> Labels:
        """Return the labels, uint8 (H, W), after the change.

        Raises:
            PhotoError: the photograph cannot be read or segmented.
        """


class ByTable:
    """From a table of values, uint8 (256,)."""

    def __init__(self, table: Labels) -> None:
        self._table = table

    def concerns(self, entry: Entry) -> bool:
        """All masks: the palette in them changes too."""
        return True

    def __call__(self, entry: Entry, labels: Labels) -> Labels:
        """Look the labels up."""
        return self._table[labels]


class ByModel:
    """From the model after a split.

    Args:
        masks: the folder.
        edits: of the classes after the split.
        parts: values of the parts, that of the split class first.

    Raises (when built):
        NoInputError: the photographs are not there.
        ModelError: the model cannot be used.
    """

    def __init__(self, masks: Path, edits: ClassEdits, parts: tuple[int, ...]) -> None:
        photos = photos_of_run(masks)
        if photos is None:
            raise NoInputError(
                f"The photographs of {shown(masks)} are not there; a split needs them.",
                "Put them back, and finish it with `stego classes apply`.",
            )
        self._photos, self._parts = photos, np.array(parts, np.uint8)
        file = model_after(masks / STATE)
        file = file if file.exists() else masks / STATE / _MODEL  # the last mask was changed before a kill
        self._session = Session.from_file(file, "auto", threads=1)
        self._recipe = recipe_of(masks, self._session.info.res)
        numbers = {entry.value: entry.number for entry in edits.legend}
        channels = [entry.number for entry in classes_of_model(file.read_bytes(), shown(file)).legend]
        self._channels = [channels.index(numbers[value]) for value in parts]

    def concerns(self, entry: Entry) -> bool:
        """Only masks that have the class."""
        return int(self._parts[0]) in (entry.pixels or {})

    def __call__(self, entry: Entry, labels: Labels) -> Labels:
        """Segment the photograph again, and take the parts' pixels of it."""
        decoded = decode(self._photos / entry.path, self._recipe.res, self._session.info.patch, self._recipe.reading)
        if decoded.size != labels.shape[::-1]:
            raise PhotoError("its photograph has another size now")
        log_probs = infer(self._session, decoded.pixels, ["cluster"])["cluster"]
        if self._recipe.refiner is not None:
            log_probs = self._recipe.refiner(decoded.pixels, log_probs)
        chosen = labels_at(log_probs[self._channels], decoded.size)
        return np.where(labels == self._parts[0], self._parts[chosen], labels)


class _Identity(Struct):
    """What is read of run.json about how the masks were made."""

    model: str
    res: int
    probe: str
    crf: CrfSettings | None = None
    reading: Reading = Reading()


class _About(Struct):
    identity: _Identity


def recipe_of(masks: Path, res: int) -> Recipe:
    """Return how the masks in a folder were made; `res` is not used where the folder says it.

    Raises:
        ModelError: run.json is damaged.
        UsageError: the masks have the classes of the linear probe, which has no centroids.
    """
    identity = _identity(masks)
    if identity.probe != "cluster":
        raise UsageError("These masks have the classes of the linear probe, which cannot be split.")
    refiner = None if identity.crf is None else Refiner(identity.crf, resolve_engine("auto"))
    return Recipe(identity.res or res, "cluster", refiner, identity.reading)


def model_of_masks(masks: Path) -> Path:
    """Return the model that made the masks in a folder and is kept there.

    Raises:
        UsageError: it is another one, which is somewhere else.
        ModelError: run.json is damaged.
    """
    file = masks / STATE / _MODEL
    if not file.is_file() or sha256(file) != _identity(masks).model:
        raise UsageError(
            f"The model that made {shown(masks)} is not kept there; a split needs it.",
            "Split the class in the model file (--to MODEL --photos PHOTOS), then `stego segment --overwrite`.",
        )
    return file


def can_split(masks: Path) -> bool:
    """Return whether the model that made the masks in a folder is there, and has centroids."""
    try:
        model_of_masks(masks)
        return _identity(masks).probe == "cluster"
    except (UsageError, ModelError):
        return False


def model_after(state: Path) -> Path:
    """Return the file, in MASKS/.stego, that holds the model after a split until all masks are changed."""
    return state / _AFTER


def take_model(output: OutputFolder) -> None:
    """Make the model after a split the folder's model; what was done of it before is left.

    Raises:
        OutputError: it cannot be written.
    """
    model, after, run = output.state / _MODEL, model_after(output.state), output.state / "run.json"
    if after.exists():
        after.replace(model)
    about = json.loads(run.read_text(encoding="utf-8"))
    about["identity"]["model"] = sha256(model)
    write_bytes(run, (json.dumps(about, indent=2) + "\n").encode(), output.scratch)


def _identity(masks: Path) -> _Identity:
    run = masks / STATE / "run.json"
    try:
        return parse_file(run, _About).identity
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{shown(run)} is damaged: {error}.", "Make the masks again with `stego segment --overwrite`."
        ) from error

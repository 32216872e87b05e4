"""Makes a gallery: a folder with a page, its data in pieces that the page loads as it needs them, and pictures.

The data are scripts that hand their content to the page, since a page from a disk may load scripts but no JSON.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from stego_cli.checked_json import parse_file
from stego_cli.class_edits import ClassEdits
from stego_cli.classes_toml import hexadecimal
from stego_cli.errors import NoInputError, UsageError, setting
from stego_cli.gallery.centroids import centroids_of_model
from stego_cli.gallery.crops import Crop, CropsOfPhoto, by_photograph, cut_crops
from stego_cli.gallery.figures import class_figures, findings_of, photograph_figures
from stego_cli.gallery.mask_tree import MaskTree
from stego_cli.gallery.model_edit import hierarchy_of_model
from stego_cli.gallery.remap_split import can_split
from stego_cli.gallery.survey import Seen, Wanted, look_at
from stego_cli.images.atomic import require_writable, write_bytes
from stego_cli.images.discover import STATE
from stego_cli.images.streams import map_ahead
from stego_cli.machine import cores
from stego_cli.palette import palette
from stego_cli.processes import process_pool, thread_pool
from stego_cli.progress import Progress
from stego_cli.stop import Stop
from stego_cli.text import shown
from stego_cli.version import __version__

_ASSETS = ("gallery.css", "edits.js", "labels.js", "classes.js", "photographs.js", "start.js")
PAGE = "index.html"
_LAYOUT = 2  # of the data; galleries with another one are made anew
_CHUNK = 48  # photographs whose masks are in one piece of data
_SIDES = ((300, 1024, 640), (2000, 640, 448), (10**9, 448, 320))  # up to so many photographs: picture, mask
_WORTH_PROCESSES = 60  # photographs from which starting processes pays

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Built:
    """A gallery: photographs in it, and paths with reasons of those that could not be shown."""

    page: Path
    photographs: int
    failed: list[tuple[str, str]]


@dataclass(frozen=True)
class _State:
    """What OUT/.stego/gallery.json says: what the gallery was made of, and the fields of `Built`."""

    fingerprint: str
    photographs: int
    failed: list[tuple[str, str]]


def build_gallery(
    tree: MaskTree, out: Path, edits: ClassEdits, model: bytes | None, progress: Progress, stop: Stop
) -> Built:
    """Make a gallery, or leave one that is up to date as it is but for the names.

    Args:
        tree: the masks, whose photographs must be there.
        out: the folder; one that is not empty must be a gallery.
        edits: of the classes, that the page begins with.
        model: content of the model file that made the masks; None: there is none.
        progress: told of photographs that cannot be shown.
        stop: asked between two photographs.

    Raises:
        NoInputError: the photographs are not known.
        UsageError: `out` holds something else.
        OutputError: it cannot be written.
        Stopped: a signal came; the same again begins anew.
    """
    if tree.photos is None:
        raise NoInputError(
            f"The photographs of {shown(tree.root)} are not known, or gone.", f"Give them as {setting('photos')}."
        )
    _require_ours(out)
    state = out / STATE / "gallery.json"
    fingerprint = _fingerprint(tree)
    there = _read(state)
    if there is not None and there.fingerprint == fingerprint and (out / PAGE).exists():
        write_classes_data(out, edits, tree.edits)
        return Built(out / PAGE, there.photographs, there.failed)
    state.unlink(missing_ok=True)
    work = _Build(tree, out, model, progress, stop)
    built = work.run()
    _write_page(out, edits, tree.edits)
    write_bytes(state, json.dumps(asdict(_State(fingerprint, built.photographs, built.failed))).encode())
    return built


def write_classes_data(out: Path, edits: ClassEdits, applied: ClassEdits) -> None:
    """Write the edits that the page of a gallery begins with, and those that the masks have.

    Raises:
        OutputError: it cannot be written.
    """
    write_bytes(
        out / "data" / "classes.js",
        _script("classes", {"edits": edits_as_json(edits), "applied": edits_as_json(applied)}),
    )


def edits_as_json(edits: ClassEdits) -> dict[str, Any]:
    """Return edits as the page has them: {"found", "split", "drop", "class": {number: {name, colour,
    joins, value}}}."""
    said = {}
    for number, edit in edits.classes.items():
        fields = {key: value for key, value in asdict(edit).items() if value not in (None, ())}
        said[str(number)] = fields | ({"colour": hexadecimal(edit.colour)} if edit.colour else {})
    splits = [list(pair) for pair in edits.splits]
    return {"found": edits.found, "split": splits, "drop": list(edits.drop), "class": said}


def _require_ours(out: Path) -> None:
    if out.exists() and not (out / STATE).is_dir() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{shown(out)} holds something that is no gallery.", f"Give {setting('out')} another folder.")
    if (out / STATE / "journal.jsonl").exists():
        raise UsageError(f"{shown(out)} holds masks.", f"Give {setting('out')} another folder.")
    for folder in (out, out / STATE, out / "data"):
        require_writable(folder)


def _read(state: Path) -> _State | None:
    """Return what is written down of a gallery; None if it is missing or damaged, and the gallery is made anew."""
    with contextlib.suppress(OSError, ValueError):
        return parse_file(state, _State)
    return None


def _fingerprint(tree: MaskTree) -> str:
    """Return a hash of all that decides what a gallery looks like, but for names and colours."""
    about = f"{_LAYOUT} {__version__} {can_split(tree.root)} {tree.photos} {tree.edits.table.tolist()}"
    digest = hashlib.sha256(about.encode(errors="surrogateescape"))
    for entry in tree.entries:
        digest.update(f"{entry.path} {entry.size} {entry.mtime} {entry.sha256}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _script(name: str, content: object) -> bytes:
    """Return a script that hands `content` to the page under `name`."""
    text = json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
    return f"stegoData({json.dumps(name)},{text});\n".encode("ascii")


def _write_page(out: Path, edits: ClassEdits, applied: ClassEdits) -> None:
    assets = resources.files("stego_cli.gallery") / "assets"
    for name in _ASSETS:
        write_bytes(out / name, (assets / name).read_bytes())
    write_classes_data(out, edits, applied)
    write_bytes(out / PAGE, (assets / "gallery.html").read_bytes())  # last: a page that is there is whole


class _Build:
    """One gallery being made."""

    def __init__(self, tree: MaskTree, out: Path, model: bytes | None, progress: Progress, stop: Stop) -> None:
        self._tree, self._out, self._progress, self._stop = tree, out, progress, stop
        self._centroids = None if model is None else centroids_of_model(model, tree.edits.count)
        pairs = () if model is None else hierarchy_of_model(model, "the model")
        self._hierarchy = pairs if len(pairs) == tree.edits.count - 1 else ()
        count = len(tree.entries)
        self._side, self._mask_side = next((side, mask) for most, side, mask in _SIDES if count <= most)
        self._many = count > _WORTH_PROCESSES
        self._numbers = np.full(256, 255, np.uint8)
        for entry in tree.edits.legend:
            self._numbers[entry.value] = entry.number

    def run(self) -> Built:
        for folder in ("pictures", "crops", "data"):
            shutil.rmtree(self._out / folder, ignore_errors=True)
            require_writable(self._out / folder)
        seen = self._look()
        findings = findings_of(seen)
        self._cut([crop for kind in findings.crops.values() for those in kind.values() for crop in those])
        failed = [
            (shown(entry.path), each.problem)
            for entry, each in zip(self._tree.entries, seen, strict=True)
            if each.problem
        ]
        index = {
            "version": __version__,
            "masks": shown(self._tree.root.absolute()),
            "doubt": "probabilities" if findings.from_probabilities else "look",
            "alike": "look" if self._centroids is None else "model",
            "chunk": _CHUNK,
            "splits": can_split(self._tree.root),
            "hierarchy": self._hierarchy,
            "palette": [hexadecimal(colour) for colour in palette(256)],
            "fixed": [list(entry.members) for entry in self._tree.edits.legend if len(entry.members) > 1],
            "classes": class_figures(self._tree, seen, findings, self._centroids),
            "photographs": photograph_figures(self._tree, seen, findings),
        }
        write_bytes(self._out / "data" / "index.js", _script("index", index))
        return Built(self._out / PAGE, len(seen) - len(failed), failed)

    def _look(self) -> list[Seen]:
        """Look at every photograph; write pictures and pieces of masks as they come."""
        seen: list[Seen] = []
        piece: list[object] = []
        title = "Looking at photographs"
        for entry, each in zip(self._tree.entries, self._mapped(title, look_at, self._wanted()), strict=True):
            if each.problem:
                self._progress.warn(f"{shown(entry.path)}: {each.problem}")
            piece.append([*each.small, each.labels])
            seen.append(replace(each, labels=""))
            if len(piece) == _CHUNK or len(seen) == len(self._tree.entries):
                number = (len(seen) - 1) // _CHUNK
                write_bytes(self._out / "data" / f"masks-{number}.js", _script(f"masks-{number}", piece))
                piece = []
        return seen

    def _wanted(self) -> list[Wanted]:
        assert self._tree.photos is not None  # asked before
        # Probabilities are kept of the classes that were found; others tell nothing of which channel is which.
        channels = self._tree.edits.table[: self._tree.edits.count]
        return [
            Wanted(
                self._tree.photos / entry.path,
                self._tree.root / (entry.mask or ""),
                self._out / "pictures" / f"{index}.jpg",
                self._numbers,
                self._side,
                self._mask_side,
                channels,
            )
            for index, entry in enumerate(self._tree.entries)
        ]

    def _cut(self, crops: Sequence[Crop]) -> None:
        of_photograph = by_photograph(crops)
        wanted = [
            CropsOfPhoto(each.photo, each.mask, self._numbers, of_photograph[index], self._out / "crops")
            for index, each in enumerate(self._wanted())
            if index in of_photograph
        ]
        for _ in self._mapped("Cutting crops", cut_crops, wanted):
            pass

    def _mapped(self, title: str, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Yield `work` of every item in their order, done on all cores.

        Raises:
            Stopped: a signal came.
        """
        pool: AbstractContextManager[Executor] = process_pool(cores()) if self._many else thread_pool(cores())
        with self._progress.stage(title, len(items), unit="photographs") as stage, pool as executor:
            for result in map_ahead(executor, work, items, 8 * cores(), lambda: self._stop.requested is not None):
                stage.advance()
                yield result
        self._stop.check()

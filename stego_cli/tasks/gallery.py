"""A gallery of masks: made, or brought up to date, and served for editing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from stego_cli.class_edits import ClassEdits
from stego_cli.class_operations import require_reachable
from stego_cli.classes_toml import FILE_NAME, read_classes
from stego_cli.errors import UsageError
from stego_cli.gallery.build import Built, build_gallery
from stego_cli.gallery.edits_store import ClassesStore
from stego_cli.gallery.mask_tree import MaskTree, open_masks, pictures_alone
from stego_cli.gallery.remap_split import can_split
from stego_cli.gallery.server import GalleryServer
from stego_cli.images.discover import STATE
from stego_cli.inference.contract import LARGEST
from stego_cli.progress import Progress
from stego_cli.regular_file import read_regular
from stego_cli.stop import Stop
from stego_cli.tasks.classes import applied, edit_classes
from stego_cli.text import shown

_GLANCE = 0.2  # seconds between two looks at whether to stop


@dataclass(frozen=True)
class GallerySettings:
    """What gallery is made.

    Attributes:
        masks: the folder that `stego segment` wrote.
        photos: the photographs; None: those that the masks were made from.
        out: the gallery's folder; None: MASKS-gallery, beside the masks.
        classes: the classes file; None: classes.toml in MASKS.
        model: the model that made the masks, for how alike classes are; None: the one in MASKS, if there is one.
        port: that the gallery is served on; 0: any that is free.
    """

    masks: Path
    photos: Path | None = None
    out: Path | None = None
    classes: Path | None = None
    model: Path | None = None
    port: int = 0


def make_gallery(settings: GallerySettings, progress: Progress, stop: Stop) -> Built:
    """Make a gallery, or bring it up to date.

    Raises:
        NoInputError: there are no masks, or no photographs.
        UsageError: a folder or a classes file is not what it should be.
        OutputError: it cannot be written.
        Stopped: a signal came.
    """
    tree, others = pictures_alone(open_masks(settings.masks, settings.photos))
    if others:
        progress.note(f"Left out: {others} masks of rasters, stacks and videos, which a gallery does not show.")
    return build_gallery(tree, _out(settings), _edits(tree, settings), _model(settings), progress, stop)


def serve_gallery(settings: GallerySettings, told: Callable[[str], None], progress: Progress, stop: Stop) -> bool:
    """Serve a gallery that is made, until a signal comes; its page's edits are saved at once.

    Args:
        settings: as for `make_gallery`.
        told: is called with the address once the page can be opened.
        progress: told of every save.
        stop: asked when to end.

    Returns:
        Whether there are edits that the masks do not have yet.

    Raises:
        UsageError: the port cannot be used, or the classes file is wrong.
    """
    tree = open_masks(settings.masks, settings.photos)
    file = classes_file(settings)
    store = ClassesStore(
        file,
        _out(settings),
        _edits(tree, settings),
        _Masks(settings, tree.edits, stop),
        lambda edits: progress.event("saved", file=shown(file), classes=len(edits.legend)),
    )
    with GalleryServer(_out(settings), store, settings.port) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": _GLANCE}, daemon=True)
        thread.start()
        try:
            told(server.address)
            while stop.requested is None:
                thread.join(_GLANCE)
        finally:
            server.shutdown()
            store.wait()  # masks that are being changed: between two of them it sees the signal
    return store.waiting


class _Masks:
    """The masks of a gallery that is being edited."""

    def __init__(self, settings: GallerySettings, edits: ClassEdits, stop: Stop) -> None:
        self._settings, self._edits, self._stop = settings, edits, stop

    def edits(self) -> ClassEdits:
        return self._edits

    def check(self, edits: ClassEdits) -> None:
        require_reachable(self._edits, edits, can_split(self._settings.masks))

    def apply(self, progress: Progress) -> str:
        masks = self._settings.masks
        report = edit_classes(masks, applied(classes_file(self._settings)), progress, self._stop)
        make_gallery(self._settings, progress, self._stop)
        self._edits = report.edits
        failed = f", {len(report.failed)} could not be" if report.failed else ""
        return f"Applied: {report.written} masks changed{failed}."


def classes_file(settings: GallerySettings) -> Path:
    """Return the classes file that a gallery edits."""
    return settings.classes or settings.masks / FILE_NAME


def _out(settings: GallerySettings) -> Path:
    masks = settings.masks.absolute()
    return settings.out or masks.with_name(f"{masks.name}-gallery")


def _edits(tree: MaskTree, settings: GallerySettings) -> ClassEdits:
    """Return the edits that the page begins with: the classes file's, else those that the masks have.

    Raises:
        UsageError: the file is wrong, or the masks cannot follow it.
    """
    file = classes_file(settings)
    if not file.exists():
        if settings.classes is not None and settings.classes.suffix != ".toml":
            raise UsageError(f"{shown(file)} does not exist.", "A new classes file has a name that ends with .toml.")
        return tree.edits
    edits = read_classes(file)
    done = tree.edits.splits
    if edits.found == tree.edits.found and edits.splits == done[: len(edits.splits)]:
        edits = replace(edits, splits=done)  # a file from before a split goes on to say what it said
    try:
        require_reachable(tree.edits, edits, can_split(tree.root))
    except UsageError as error:
        raise UsageError(f"{shown(file)}: {error.message}", error.remedy) from error
    return edits


def _model(settings: GallerySettings) -> bytes | None:
    file = settings.model or settings.masks / STATE / "model.onnx"
    try:
        return read_regular(file, LARGEST)
    except OSError as error:
        if settings.model is None:
            return None
        raise UsageError(f"{shown(file)} cannot be read: {error.strerror or error}.") from error

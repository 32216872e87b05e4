"""Names of classes from a few labelled photographs: each cluster becomes what its labelled pixels mostly are."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from stego_cli.class_edits import ClassEdits
from stego_cli.classes import VOID, ClassTable
from stego_cli.classes_toml import FILE_NAME, write_classes_file
from stego_cli.errors import ModelError, NoInputError, UsageError, setting
from stego_cli.gallery.centroids import Codes
from stego_cli.gallery.fitting import LabelledCells
from stego_cli.gallery.mask_tree import open_masks
from stego_cli.gallery.model_edit import as_found, classes_of_model, edit_model
from stego_cli.gallery.moves import model_as_found, moved_model
from stego_cli.gallery.naming import Vote, named_edits, votes_of
from stego_cli.gallery.worth_labelling import worth_labelling
from stego_cli.images.atomic import write_bytes
from stego_cli.images.label_files import ColourClasses
from stego_cli.inference.session import Session
from stego_cli.palette import palette
from stego_cli.progress import Progress
from stego_cli.scoring.confusion import Counts, Grid, make_grid
from stego_cli.scoring.mask_pairs import MaskPair, walk_pairs
from stego_cli.settings import ExportSettings
from stego_cli.stop import NEVER, Stop
from stego_cli.tasks.classes import kind_of
from stego_cli.tasks.label_reading import label_reading
from stego_cli.tasks.labelled_photographs import LabelledPhotographs, compare
from stego_cli.text import shown

_SHOWS = 0.01  # share of a photograph from which it shows a class


@dataclass(frozen=True)
class NamingTask:
    """Which labelled photographs name the classes of what.

    Attributes:
        labels: folder of labels; x/a.png is that of PHOTOS/x/a.jpg.
        to: a run or a model file.
        photos: folder of the photographs, of which some have labels; None: those of the data set of the labels.
        classes: names and colours; None: the data set's, else label values are the names.
        ignore: label value of no class; None: there is none; "auto": the data set's, else 255.
        remap: label value to class, -1 for none; values not listed are of no class.
        palette: file of colours and names, for labels that are colour pictures.
        device: that the model runs on.
        fit: also move the clusters until their classes are those of the labels; else they stay where they were found.
        dry_run: change nothing.
    """

    labels: Path
    to: Path
    photos: Path | None = None
    classes: ClassTable | None = None
    ignore: int | Literal["auto"] | None = "auto"
    remap: dict[int, int] | None = None
    palette: Path | None = None
    device: str = "auto"
    fit: bool = True
    dry_run: bool = False


@dataclass(frozen=True)
class NamingReport:
    """What was decided.

    Attributes:
        kind: "model" or "run".
        edits: of the classes, which it has now, or would have.
        votes: one for each cluster.
        names: of the labels' classes.
        photographs: with labels that were used.
        missing: names of classes in the labels that no cluster got.
        changed: whether the run or model has these classes now.
        moved: whether its clusters moved, or would.
        failed: photographs or labels that could not be used: path and reason.
    """

    kind: str
    edits: ClassEdits
    votes: Sequence[Vote]
    names: tuple[str, ...]
    photographs: int
    missing: tuple[str, ...]
    changed: bool
    moved: bool
    failed: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Labels:
    """How labels are read: their classes if these are known, which value is which, and the class of each colour."""

    table: ClassTable | None
    grid: Grid
    colours: ColourClasses | None


def name_classes(task: NamingTask, progress: Progress, stop: Stop = NEVER) -> NamingReport:
    """Join and name the clusters of a run or a model by labelled photographs; what was said of them is replaced.

    Raises:
        UsageError: it is neither a run nor a model file, settings make no sense, or all clusters are of one class.
        NoInputError: no photograph has a label that can be used.
        ModelError: the model cannot be used.
        OutputError: it cannot be written.
        Stopped: a signal came; nothing is changed.
    """
    kind = kind_of(task.to)
    if kind not in ("model", "run"):
        raise UsageError(
            f"{shown(task.to)} is no run and no model file, and labels are compared with what a model finds.",
            "Name the classes of the model; `stego classes apply` brings its classes to masks.",
            field="to",
        )
    photos, labels = _how_read(task)
    pairs = _labelled(photos, task.labels)
    name = shown(task.to)
    content = _model(task.to, kind, progress)
    before = classes_of_model(content, name)
    content = model_as_found(content, before.count, name)
    plain = as_found(content, name).SerializeToString()  # whatever was said of the classes since
    session = Session.from_bytes(plain, task.device, name)
    codes = _codes(plain, before.count, name, progress) if task.fit else None
    labelled = LabelledPhotographs(photos, task.labels, pairs, labels.colours)
    seen = compare(labelled, session, codes, labels.grid, progress, stop)
    table = labels.table or _numbered(seen.counts)
    counts = seen.counts[: len(table.names), : session.info.classes]
    votes = votes_of(counts, session.info.hierarchy)
    edits = named_edits(votes, table, before)
    given = {vote.label for vote in votes}
    missing = tuple(table.names[index] for index in np.flatnonzero(counts.sum(1)).tolist() if index not in given)
    if not task.dry_run:
        of_cluster = [vote.label for vote in votes]
        if kind == "model":
            if codes is not None:
                content = moved_model(content, seen.cells.fitted(codes.clusters, of_cluster), name)
            write_bytes(task.to, edit_model(content, edits, name))
        else:
            _move_run(task.to, None if codes is None else seen.cells, of_cluster)
            write_bytes(task.to / FILE_NAME, write_classes_file(edits).encode())
    return NamingReport(
        kind, edits, votes, table.names, seen.used, missing, not task.dry_run, codes is not None, seen.failed
    )


def _codes(plain: bytes, clusters: int, name: str, progress: Progress) -> Codes | None:
    """Return the part of a model that makes codes; None, with a warning, where its graph is another one."""
    try:
        return Codes(plain, clusters, name)
    except ModelError as error:
        progress.warn(f"{error.message} Its clusters are named, and stay where they are.")
        return None


def _move_run(run: Path, cells: LabelledCells | None, of_cluster: Sequence[int | None]) -> None:
    """Move the clusters of a run from where training found them; without cells they are there again."""
    from stego_cli.model.checkpoint import load_checkpoint, save_checkpoint

    checkpoint = load_checkpoint(run)
    found = checkpoint.found or checkpoint.cluster
    if cells is not None:
        save_checkpoint(replace(checkpoint, cluster=cells.fitted_probe(found, of_cluster), found=found), run)
    elif checkpoint.found is not None:
        save_checkpoint(replace(checkpoint, cluster=found, found=None), run)


def _how_read(task: NamingTask) -> tuple[Path, _Labels]:
    """Return the folder of photographs, and how labels are read."""
    read = label_reading(task.labels, task.classes, task.ignore, task.remap, task.palette)
    table, photos = read.table, task.photos or read.photos
    if photos is None:
        raise UsageError(
            f"Where the photographs of {shown(task.labels)} are is not known.", f"Give {setting('photos')}."
        )
    if table is not None and len(table.names) > VOID:
        raise UsageError(f"{len(table.names)} classes are too many: a mask holds {VOID} beside void.", field="classes")
    return photos, _Labels(table, make_grid(len(table.names) if table else VOID, read.ignore, task.remap), read.colours)


def _labelled(photos: Path, labels: Path) -> list[MaskPair]:
    for folder, name in ((photos, "photos"), (labels, "labels")):
        if not folder.is_dir():
            what = "is not a folder" if folder.exists() else "does not exist"
            raise NoInputError(f"{shown(folder)} {what}.", "Give a folder.", field=name)
    pairs = [pair for pair in walk_pairs(photos, labels) if pair.pred and pair.label]
    if not pairs:
        raise NoInputError(
            f"No photograph in {shown(photos)} has a label in {shown(labels)}.",
            "LABELS/x/a.png is the label of PHOTOS/x/a.jpg.",
        )
    return pairs


def _model(target: Path, kind: str, progress: Progress) -> bytes:
    """Return the content of the model file."""
    if kind == "run":
        from export import export_onnx

        with tempfile.TemporaryDirectory(prefix="stego-") as scratch:
            content = export_onnx(target, Path(scratch) / "model.onnx", ExportSettings(), progress).read_bytes()
    else:
        try:
            content = target.read_bytes()
        except OSError as error:
            raise ModelError(f"The model {shown(target)} cannot be read: {error.strerror or error}.") from error
    return content


def _numbered(counts: Counts) -> ClassTable:
    """Return classes that are named by their label values, as many as the labels use."""
    classes = int(np.flatnonzero(counts[:-1].any(1))[-1]) + 1
    return ClassTable(tuple(f"label {value}" for value in range(classes)), tuple(palette(classes)))


@dataclass(frozen=True)
class Suggestion:
    """A photograph that is worth labelling.

    Attributes:
        path: below the folder of photographs.
        classes: that it shows (a hundredth of it or more).
        covered: share of all pixels in classes that it or those before it show.
    """

    path: str
    classes: int
    covered: float


def suggest_photographs(masks: Path, count: int) -> list[Suggestion]:
    """Return the photographs that are most worth labelling, the best first, by the classes in their masks.

    Raises:
        UsageError: it is not a folder of masks of this tool.
        NoInputError: there is no mask in it.
    """
    tree = open_masks(masks)
    values = sorted(entry.value for entry in tree.edits.legend)
    pixels = np.array([[(each.pixels or {}).get(value, 0) for value in values] for each in tree.entries], np.int64)
    total, seen, found = max(1, int(pixels.sum())), np.zeros(len(values), bool), []
    for index in worth_labelling(pixels, count):
        shows = pixels[index] >= max(1, int(pixels[index].sum())) * _SHOWS
        seen |= shows
        found.append(Suggestion(tree.entries[index].path, int(shows.sum()), float(pixels[:, seen].sum() / total)))
    return found

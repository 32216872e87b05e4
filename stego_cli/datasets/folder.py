"""Any tree of photographs, with or without labels, as people and annotation tools leave them.

Photographs and labels are found by the names of folders and files (`pairing`), or by a pattern. Labels are numbers in
pictures or arrays, colours with a palette, a folder of masks for each class, or polygons. Photographs in train/, val/
and test/ keep that split; others are split by content (`folder_splits`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from stego_cli.class_files import read_palette
from stego_cli.classes import VOID, ClassTable
from stego_cli.datasets.folder_splits import split_by_content
from stego_cli.datasets.inventory import ClassMap, Inventory, Item
from stego_cli.datasets.label_kinds import LabelKind, kind_of_labels
from stego_cli.datasets.pairing import SHAPES, Pairing, pair_up
from stego_cli.datasets.places import SPLITS, Place, place_of
from stego_cli.datasets.shapes import Drawing, read_annotations, read_labelme, table_of_shapes
from stego_cli.datasets.source import LABELS, Files
from stego_cli.errors import PhotoError, SourceError, UsageError
from stego_cli.images.discover import with_masks
from stego_cli.images.label_files import open_label
from stego_cli.images.label_names import folded
from stego_cli.images.readers.table import open_picture
from stego_cli.progress import Progress
from stego_cli.settings import PrepareSettings
from stego_cli.text import shown

_EXAMPLES = 3  # pairs that are shown
_LOOKED_AT, _FEW = 5, 64  # pictures that are opened to see whether they are labels; values or colours of a label
_LISTS = r"(?:.*/)?ImageSets/Segmentation/([^/]+)\.txt"  # of VOC and CVAT


@dataclass(frozen=True)
class _Labels:
    """The labels of a folder: files of each photograph, drawings in files of many, and how they are read."""

    kind: LabelKind
    files: dict[str, tuple[str, ...]] = field(default_factory=dict)
    drawings: dict[str, Drawing] = field(default_factory=dict)


def find(files: Files, settings: PrepareSettings, progress: Progress) -> Inventory:
    """Find photographs and labels, and split them.

    If the data set is prepared again, photographs that it has already stay in their split.

    Raises:
        SourceError: there is no photograph.
        UsageError: the palette file is broken, the classes do not fit the labels, or it is unclear what labels mean.
    """
    pairing = pair_up(files, settings.label_pattern, settings.labels is not None)
    if not pairing.labels and pairing.twins and all(_few_values(files, name) for name in pairing.twins[:_LOOKED_AT]):
        pairing = pair_up(files, twins_are_labels=True)
    if not pairing.photos:
        raise SourceError(f"There is no photograph in {files.given}.")
    labels = _labels(pairing, settings, files, progress)
    listed = _listed_splits(files, pairing.photos)
    photos = [replace(place, split=listed.get(place.name, place.split)) for place in pairing.photos]
    photos = [place for place in photos if place.split] if listed else photos
    own_splits = all(place.split for place in photos)
    paths = _paths(photos, own_splits)
    split_of, sides = ({}, {}) if own_splits else split_by_content(files, list(paths.values()), settings, progress)
    items = []
    for photo in with_masks(sorted(paths)):
        source = paths[photo.path]
        name = photo.mask.removesuffix(".png")
        split, name = name.split("/", 1) if own_splits else (split_of[source], name)
        items.append(Item(split, name, source, labels.files.get(source, ()), drawn=source in labels.drawings))
    notes = [*_found(pairing, labels, len(photos), settings.labels), *labels.kind.notes]
    if len(photos) < len(pairing.photos):
        notes.append(f"{len(pairing.photos) - len(photos)} photographs are in no list of a split, and are left out.")
    kind = labels.kind
    return Inventory(
        items,
        kind.table,
        kind.read_label,
        as_is=kind.as_is,
        colours=kind.colours,
        values=kind.values,
        notes=notes,
        sides=sides,
        strict=False,
    )


def _few_values(files: Files, name: str) -> bool:
    """Return whether a picture has as few values or colours as a label, and not as many as a photograph."""
    try:
        label = open_label(files.read(name), name)
        return len(np.unique(label.colours() if label.in_colour else label.ids())) <= _FEW
    except (PhotoError, SourceError):
        return False


def _labels(pairing: Pairing, settings: PrepareSettings, files: Files, progress: Progress) -> _Labels:
    """Return the labels, of the kind that there are."""
    if isinstance(settings.palette, Path):
        read_palette(settings.palette)  # it must be readable, also where there are no labels
    own = {photo: names for photo, names in pairing.labels.items() if not names[0].lower().endswith(SHAPES)}
    if pairing.classes:
        return _Labels(_of_class_folders(pairing.classes, settings.classes), pairing.labels)
    if own:
        names = [name for (name,) in own.values()]
        return _Labels(kind_of_labels(names, settings, files, progress), own)
    drawings, names = _drawings(pairing, files)
    if not drawings:
        return _Labels(LabelKind(_unread, settings.classes))
    table, numbers = table_of_shapes(names, settings.classes)

    def read(item: Item, contents: list[bytes]) -> ClassMap:
        return drawings[item.photo].draw(numbers)

    return _Labels(LabelKind(read, table), drawings=drawings)


def _unread(item: Item, contents: list[bytes]) -> ClassMap:
    raise PhotoError("it has no label")


def _drawings(pairing: Pairing, files: Files) -> tuple[dict[str, Drawing], list[str]]:
    """Return the polygons of each photograph, and the names of their classes."""
    found: dict[str, Drawing] = {}
    for photo, (name,) in pairing.labels.items():
        try:
            found[photo] = read_labelme(files.read(name))
        except PhotoError:
            continue  # another program's file of that name
    if found:
        return found, sorted({shape.name for drawing in found.values() for shape in drawing.shapes})
    by_name: dict[str, list[Place]] = {}
    for place in pairing.photos:
        by_name.setdefault(folded(place.name.rpartition("/")[2]), []).append(place)
    names: list[str] = []
    for name in sorted(files):
        if not name.lower().endswith((".json", ".xml")):
            continue
        try:
            those = read_annotations(files.read(name), name)
        except PhotoError as error:
            raise SourceError(f"{error.message}.") from error
        if those is not None:
            names += those.names
            for file, drawing in those.drawings.items():
                named = _photo_of(file, place_of(name), by_name)
                if named is not None:
                    found[named] = drawing
    return found, names


def _photo_of(file: str, place: Place, by_name: Mapping[str, Sequence[Place]]) -> str | None:
    """Return the photograph that an annotation file names: by its path, its folder or its split."""
    wanted = folded(file.replace("\\", "/"))
    those = by_name.get(wanted.rpartition("/")[2], ())
    if len(those) > 1:
        those = [photo for photo in those if f"/{folded(photo.name)}".endswith(f"/{wanted}")] or those
    if len(those) > 1:
        folder = place.name.rpartition("/")[0]
        words = re.split(r"[\d_.-]+", folded(place.stem))
        split = place.split or next((SPLITS[word] for word in words if word in SPLITS), "")
        those = [photo for photo in those if photo.name.rpartition("/")[0] == folder] or [
            photo for photo in those if photo.split == split
        ]
    return those[0].name if len(those) == 1 else None


def _of_class_folders(classes: list[str], table: ClassTable | None) -> LabelKind:
    if table is not None and not set(classes) <= set(table.names):
        raise UsageError(
            f"do not have the names of the folders of labels: {', '.join(map(shown, classes))}", field="classes"
        )
    table = table or ClassTable(tuple(classes))
    numbers = {name: index for index, name in enumerate(table.names)}

    def read(item: Item, contents: list[bytes]) -> ClassMap:
        """Lay masks over each other, later classes over earlier ones; pixels outside all masks are void."""
        labels: ClassMap | None = None
        folders = [next(part for part in name.split("/") if part in numbers) for name in item.labels]
        for name, content in sorted(zip(folders, contents, strict=True), key=lambda each: numbers[each[0]]):
            mask = np.asarray(open_picture(content).convert("L")) > 0
            if labels is None:
                labels = np.full(mask.shape, VOID, dtype=np.uint8)
            if mask.shape != labels.shape:
                raise PhotoError("its masks differ in size")
            labels[mask] = numbers[name]
        assert labels is not None  # an item without masks is not read
        return labels

    return LabelKind(read, table)


def _listed_splits(files: Files, photos: Sequence[Place]) -> dict[str, str]:
    """Return the split of each photograph in lists such as VOC's; empty if there are none, or folders tell splits."""
    lists = {}
    for name in files:
        found = re.fullmatch(_LISTS, name)
        if found and folded(found[1]) in SPLITS:
            lists[SPLITS[folded(found[1])]] = name
    if not lists or any(place.split for place in photos):
        return {}
    by_stem = {place.stem: place.name for place in photos}
    return {
        by_stem[stem]: split
        for split, name in lists.items()
        for line in files.lines(name)
        if (stem := line.rpartition("/")[2]) in by_stem
    }


def _paths(photos: Sequence[Place], own_splits: bool) -> dict[str, str]:
    """Return the path of each photograph in the data set, before its suffix is changed, with its name in the source.

    Folders above that of the photographs are left out, unless two photographs would have one path.
    """
    for with_above in (False, True):
        paths = {}
        for place in photos:
            folders = [*(place.above if with_above else ()), *(place.below if own_splits else place.with_split)]
            split = [place.split] if own_splits else []
            paths["/".join([*split, *folders, place.name.rpartition("/")[2]])] = place.name
        if len(paths) == len(photos):
            break
    return paths


def _found(pairing: Pairing, labels: _Labels, count: int, elsewhere: Path | None) -> list[str]:
    """Return notes about what was found: examples of pairs, and what has no partner or is passed over."""

    def named(name: str) -> str:
        given = name.startswith(f"{LABELS}/") and elsewhere is not None
        return shown(f"{elsewhere}/{name.removeprefix(f'{LABELS}/')}" if given else name)

    pairs = labels.files or dict.fromkeys(labels.drawings, ("polygons",))
    notes = []
    if pairs:
        first = "; ".join(f"{named(photo)} - {named(names[0])}" for photo, names in list(pairs.items())[:_EXAMPLES])
        notes.append(f"Photographs and their labels, for example: {first}.")
    without = count - len(pairs)
    if without:
        notes.append(f"{without} of {count} photographs have no label." if pairs else "There are no labels.")
    if pairing.unread:
        first = ", ".join(map(named, pairing.unread[:_EXAMPLES]))
        notes.append(f"Files of no format that is read as labels: {len(pairing.unread)}, such as {first}.")
    if pairing.others:
        first = ", ".join(map(named, pairing.others[:_EXAMPLES]))
        notes.append(
            f"Files that look like labels and belong to no photograph: {len(pairing.others)}, such as {first}."
        )
    if pairing.passed_over:
        notes.append(
            f"Other pictures, which are passed over (instances, overlays, other folders): {pairing.passed_over}."
        )
    return notes

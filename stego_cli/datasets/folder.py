"""Any tree of photographs, with or without labels.

Photographs are in imgs/ or images/ of the source, or else anywhere in it. Labels mirror them (x/a.png for x/a.jpg) in
labels/, masks/ or annotations/, or in the folder `labels`. They are

- PNGs of numbers (grey or palette): the number is the class, 255 is void;
- or colour PNGs, with a palette file that has the class of each colour;
- or a folder for each class, CLASS/x/a.png, whose pixels that are not zero are of that class.

Photographs in train/ and val/ keep that split. Others are split by a hash of their content, so that a new photograph
moves no other one, except that near-duplicates are kept in one split.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from stego_cli.class_files import read_palette
from stego_cli.classes import VOID, ClassTable
from stego_cli.datasets.from_bytes import class_map, open_picture, rgb_of
from stego_cli.datasets.inventory import ClassMap, Inventory, Item
from stego_cli.datasets.near_duplicates import alike, fingerprint
from stego_cli.datasets.source import LABELS, LISTS, Files
from stego_cli.errors import PhotoError, SourceError, UsageError
from stego_cli.images.discover import DECODED, UNDECODED, with_masks
from stego_cli.images.streams import map_ahead
from stego_cli.machine import cores
from stego_cli.palette import Colour
from stego_cli.progress import Progress
from stego_cli.settings import PrepareSettings
from stego_cli.text import shown

SIDES = "lists/sides.json"  # in a data set that was split by content: split by hash
_PHOTOS, _LABELS = ("imgs", "images"), ("labels", "masks", "annotations")
_SPLITS = ("train", "val")


def find(files: Files, settings: PrepareSettings, progress: Progress) -> Inventory:
    """Find photographs and labels, and split them.

    If the data set is prepared again, photographs that it has already stay in their split.

    Raises:
        SourceError: there is no photograph.
        UsageError: the palette file is broken, or the classes do not fit the folders of labels.
    """
    below, label_below = _folders(files, settings)
    others = tuple(folder for folder in (label_below, f"{LABELS}/", f"{LISTS}/") if folder)
    photos = sorted(
        name.removeprefix(below)
        for name in files
        if name.startswith(below) and Path(name).suffix.lower() in DECODED | UNDECODED and not name.startswith(others)
    )
    if not photos:
        raise SourceError(f"There is no photograph in {files.given}.")
    by_stem = {
        name.removeprefix(label_below)[: -len(".png")]: name
        for name in (files if label_below else ())
        if name.startswith(label_below) and name.lower().endswith(".png")
    }
    classes = _class_folders(photos, by_stem)
    own_splits = all(photo.split("/")[0] in _SPLITS and "/" in photo for photo in photos)
    split_of, sides = ({}, {}) if own_splits else _split(files, below, photos, settings, progress)
    items = []
    for photo in with_masks(photos):
        stem = photo.path.rpartition(".")[0]
        stems = [f"{name}/{stem}" for name in classes] or [stem]
        name = photo.mask.removesuffix(".png")
        split, name = name.split("/", 1) if own_splits else (split_of[photo.path], name)
        labels = tuple(by_stem[each] for each in stems if each in by_stem)
        items.append(Item(split, name, below + photo.path, labels))
    return replace(_described(items, classes, label_below, settings, files), sides=sides)


def _folders(files: Files, settings: PrepareSettings) -> tuple[str, str]:
    """Return the beginning of the names of photographs and of labels; "" for no labels."""
    tops = {name.split("/")[0] for name in files if "/" in name}
    below = next((f"{top}/" for top in _PHOTOS if top in tops), "")
    if settings.labels is not None:
        return below, f"{LABELS}/"
    return below, next((f"{top}/" for top in _LABELS if top in tops), "")


def _class_folders(photos: list[str], by_stem: dict[str, str]) -> list[str]:
    """Return the names of the folders that are classes; none where labels mirror the photographs themselves."""
    stems = {photo.rpartition(".")[0] for photo in photos}
    if stems & by_stem.keys():
        return []
    return sorted({stem.split("/")[0] for stem in by_stem if stem.partition("/")[2] in stems})


def _described(items: list[Item], classes: list[str], below: str, settings: PrepareSettings, files: Files) -> Inventory:
    """Make the inventory for the kind of labels that there are."""
    without = sum(not item.labels for item in items)
    few = f"{without} of {len(items)} photographs have no label."
    notes = [] if not without else [few] if without < len(items) else ["There are no labels."]
    table = settings.classes
    if settings.palette is not None:
        of_colour, own = read_palette(settings.palette)
        return Inventory(items, own, lambda _, contents: _of_colours(contents[0], of_colour), notes=notes, strict=False)
    if classes:
        if table is not None and not set(classes) <= set(table.names):
            raise UsageError(
                f"do not have the names of the folders of labels: {', '.join(map(shown, classes))}", field="classes"
            )
        table = table or ClassTable(tuple(classes))
        index_of = {name: index for index, name in enumerate(table.names)}

        def read_folders(names: tuple[str, ...], contents: list[bytes]) -> ClassMap:
            return _of_folders([index_of[name.removeprefix(below).split("/")[0]] for name in names], contents)

        return Inventory(items, table, read_folders, notes=notes, strict=False)
    first = next((item.labels[0] for item in items if item.labels), None)
    colours = _palette_in(files.read(first)) if first and table is None else []
    return Inventory(items, table, _numbers, as_is=True, colours=colours, notes=notes, strict=False)


def _numbers(names: tuple[str, ...], contents: list[bytes]) -> ClassMap:
    return class_map(contents[0])


def _palette_in(content: bytes) -> list[Colour]:
    """Return the colours of a palette PNG; an empty list if it has no palette or is broken."""
    try:
        image = open_picture(content)
        values = image.getpalette("RGB") if image.mode == "P" else None
    except (PhotoError, OSError, ValueError):
        return []
    return [(red, green, blue) for red, green, blue in _threes(values)] if values else []


def _threes(values: list[int]) -> list[list[int]]:
    """Return the values in groups of three."""
    return [values[at : at + 3] for at in range(0, len(values) - 2, 3)]


def _of_folders(classes: list[int], contents: list[bytes]) -> ClassMap:
    """Lay masks over each other, later classes over earlier ones; pixels outside all masks are void."""
    labels: ClassMap | None = None
    for index, content in sorted(zip(classes, contents, strict=True), key=lambda each: each[0]):
        mask = np.asarray(open_picture(content).convert("L")) > 0
        if labels is None:
            labels = np.full(mask.shape, VOID, dtype=np.uint8)
        if mask.shape != labels.shape:
            raise PhotoError("its masks differ in size")
        labels[mask] = index
    assert labels is not None  # an item without masks is not read
    return labels


def _of_colours(content: bytes, colours: dict[Colour, int]) -> ClassMap:
    rgb = np.asarray(rgb_of(content)).astype(np.uint32)
    packed = rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]
    codes = np.array([red << 16 | green << 8 | blue for red, green, blue in colours], dtype=np.uint32)
    order = np.argsort(codes)
    at = np.minimum(np.searchsorted(codes[order], packed), len(codes) - 1)
    classes = np.array(list(colours.values()), dtype=np.uint8)[order]
    return np.where(codes[order][at] == packed, classes[at], np.uint8(VOID))


def _split(
    files: Files, below: str, photos: list[str], settings: PrepareSettings, progress: Progress
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the split of each photograph by its name, and by the hash of its content."""
    before = _sides_before(settings)

    def look(photo: str) -> tuple[str, int | None]:
        content = files.read(below + photo)
        return hashlib.sha256(content).hexdigest(), fingerprint(content)

    with (
        ThreadPoolExecutor(cores()) as pool,
        progress.stage("Looking for near-duplicates", len(photos), "photographs") as stage,
    ):
        looked = []
        for each in map_ahead(pool, look, photos, 4 * cores()):
            looked.append(each)
            stage.advance()
    groups = alike([mark for _, mark in looked])
    sides: dict[str, str] = {}
    for group in groups:
        hashes = [looked[index][0] for index in group]
        past = Counter(before[each] for each in hashes if each in before)
        # In a new group the member with the smallest hash decides, whatever the order of the files.
        side = past.most_common(1)[0][0] if past else _side(min(hashes), settings.val)
        sides.update({digest: before.get(digest, side) for digest in hashes})
    joined = sum(len(group) for group in groups if len(group) > 1)
    if joined:
        progress.note(f"{joined} photographs have near-duplicates; each group of them is in one split.")
    return {photo: sides[digest] for photo, (digest, _) in zip(photos, looked, strict=True)}, sides


def _sides_before(settings: PrepareSettings) -> dict[str, str]:
    """Return the splits in the data set that will be replaced, by hash of the content."""
    if not settings.overwrite:
        return {}
    try:
        sides = json.loads((settings.out / SIDES).read_text())
        return {str(digest): str(side) for digest, side in sides.items() if side in _SPLITS}
    except (OSError, ValueError, AttributeError):
        return {}


def _side(digest: str, val: float) -> str:
    return "val" if int(digest[:12], 16) < val * 16**12 else "train"

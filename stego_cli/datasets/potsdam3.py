"""Potsdam in 3 classes, from the .mat crops of the original STEGO or from the ISPRS's own .tif tiles.

Six classes are joined in pairs: impervious surfaces and cars, buildings and clutter, low vegetation and trees. Of four
channels (red, green, blue, infrared) the first three are used. Tiles are halved and cut into squares of 200 pixels, the
size of the .mat crops. The split of the tiles is the ISPRS's: 24 for training, 14 for the test.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stego_cli.classes import TABLES, VOID
from stego_cli.datasets.from_bytes import mapping_of, rgb_of
from stego_cli.datasets.inventory import UNLABELLED, ClassMap, Inventory, Item, Piece
from stego_cli.datasets.source import Files, after
from stego_cli.errors import PhotoError, SourceError, setting
from stego_cli.images.mat_files import load_mat
from stego_cli.progress import Progress
from stego_cli.settings import PrepareSettings
from stego_cli.text import shown

_MAPPING = mapping_of({0: 0, 4: 0, 1: 1, 5: 1, 2: 2, 3: 2})
_LISTS = {"train": "labelled_train.txt", "val": "labelled_test.txt", UNLABELLED: "unlabelled_train.txt"}
_TEST_TILES = frozenset(
    f"{row}_{column}"
    for row, columns in {2: (13, 14), 3: (13, 14), 4: (13, 14, 15), 5: (13, 14, 15), 6: (13, 14, 15), 7: (13,)}.items()
    for column in columns
)
_SQUARE = 200  # pixels, after halving
# The six classes by red, green and blue of their colours, each 0 or 1; other colours are of no class.
_COLOURS = {(1, 1, 1): 0, (0, 0, 1): 1, (0, 1, 1): 2, (0, 1, 0): 3, (1, 1, 0): 4, (1, 0, 0): 5}


def find(files: Files, settings: PrepareSettings, progress: Progress) -> Inventory:
    """Find crops or tiles.

    Raises:
        SourceError: it is neither, or not all of it.
    """
    crops = {found[1]: name for name, found in after(r"imgs/([^/]+)\.mat", files)}
    if crops:
        return _find_crops(crops, files, settings)
    tiles = {found[1]: name for name, found in after(r"top_potsdam_(\d+_\d+)_RGB\.tif", files)}
    if tiles:
        return _find_tiles(tiles, files)
    raise SourceError(
        f"{files.given} is not Potsdam: it has neither imgs/*.mat nor top_potsdam_*_RGB.tif.",
        "Give the original STEGO's potsdam.zip, or 2_Ortho_RGB.zip and 5_Labels_all.zip of the ISPRS.",
    )


def _find_crops(crops: dict[str, str], files: Files, settings: PrepareSettings) -> Inventory:
    labels = {found[1]: name for name, found in after(r"gt/([^/]+)\.mat", files)}
    lists = {found[0].rpartition("/")[2]: name for name, found in after(r"\w+\.txt", files)}
    items = []
    for split, list_name in _LISTS.items():
        if split == UNLABELLED and not settings.unlabelled:
            continue
        if list_name not in lists:
            raise SourceError(f"There is no {list_name} beside the crops.", f"Give its folder as {setting('lists')}.")
        for stem in files.lines(lists[list_name]):
            if stem not in crops:
                raise SourceError(f"{list_name} has {shown(stem)}, and there is no imgs/{shown(stem)}.mat.")
            label = (labels[stem],) if stem in labels and split != UNLABELLED else ()
            items.append(Item(split, stem, crops[stem], label))
    return Inventory(items, TABLES["potsdam3"], _label_of_mat, read_photo=_photo_of_mat)


def _find_tiles(tiles: dict[str, str], files: Files) -> Inventory:
    labels = {found[1]: name for name, found in after(r"top_potsdam_(\d+_\d+)_label\.tif", files)}
    items = [
        Item("val" if tile in _TEST_TILES else "train", tile, name, (labels[tile],) if tile in labels else ())
        for tile, name in sorted(tiles.items())
    ]
    without = sum(not item.labels for item in items)
    notes = [f"{without} of {len(items)} tiles have no label."] if without else []
    return Inventory(items, TABLES["potsdam3"], _label_of_colours, read_photo=rgb_of, cut=_squares, notes=notes)


def _array(content: bytes, key: str) -> NDArray[Any]:
    arrays = load_mat(content)
    if key not in arrays:
        raise PhotoError(f"there is no {key!r} in it")
    return arrays[key]


def _photo_of_mat(content: bytes) -> Image.Image:
    pixels = _array(content, "img")
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] < 3:
        raise PhotoError(f"its img is {pixels.dtype} {pixels.shape}, not bytes of height x width x 4")
    return Image.fromarray(np.ascontiguousarray(pixels[..., :3]))


def _label_of_mat(item: Item, contents: list[bytes]) -> ClassMap:
    ids = _array(contents[0], "gt")
    if ids.ndim != 2 or ids.dtype.kind not in "iu":
        raise PhotoError(f"its gt is {ids.dtype} {ids.shape}, not numbers of height x width")
    return _MAPPING[np.where((ids < 0) | (ids > VOID), VOID, ids).astype(np.uint8)]


def _label_of_colours(item: Item, contents: list[bytes]) -> ClassMap:
    table = np.full((2, 2, 2), VOID, dtype=np.uint8)
    for colour, index in _COLOURS.items():
        table[colour] = _MAPPING[index]
    # In some of the published tiles the colours differ by a few steps.
    bright = (np.asarray(rgb_of(contents[0])) > 127).astype(np.uint8)
    return table[bright[..., 0], bright[..., 1], bright[..., 2]]


def _squares(image: Image.Image, labels: ClassMap | None) -> Iterable[Piece]:
    half = image.reduce(2)
    halved = None if labels is None else labels[1::2, 1::2]
    for row in range(max(1, half.height // _SQUARE)):
        for column in range(max(1, half.width // _SQUARE)):
            left, top = column * _SQUARE, row * _SQUARE
            right, bottom = min(left + _SQUARE, half.width), min(top + _SQUARE, half.height)
            part = None if halved is None else halved[top:bottom, left:right]
            yield f"_{row}_{column}", half.crop((left, top, right, bottom)), part

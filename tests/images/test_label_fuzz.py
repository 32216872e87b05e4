"""Damaged and hostile label files: each is read or refused with a reason, and nothing else happens."""

import contextlib
import io
import json
import random
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from stego_cli.datasets.shapes import read_annotations, read_labelme, table_of_shapes
from stego_cli.errors import PhotoError
from stego_cli.images.label_files import open_label

INPUTS = 60  # of each format; `fuzz` with 1,500 of each, 24,000 in all, found no other end
IDS = (np.arange(24 * 16).reshape(16, 24) // 7 % 5).astype(np.uint8)
NUMBERS = (0, 1, 2, 127, 128, 255, 256, 65_535, 65_536, 2**31 - 1, 2**31, 2**32 - 1)


def saved(kind: str, image: Image.Image | None = None, **how: object) -> bytes:
    stream = io.BytesIO()
    (image or Image.fromarray(IDS)).save(stream, kind, **how)
    return stream.getvalue()


def array(save: Callable[..., None], *arrays: object, **named: object) -> bytes:
    stream = io.BytesIO()
    save(stream, *arrays, **named)
    return stream.getvalue()


SQUARE = [[2, 2], [9, 2], [9, 9], [2, 9]]
LABELME = {"imageHeight": 16, "imageWidth": 24, "shapes": [{"label": "a", "points": SQUARE, "shape_type": "polygon"}]}
COCO = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 24, "height": 16}],
    "annotations": [
        {"image_id": 1, "category_id": 1, "segmentation": [[2, 2, 9, 2, 9, 9]], "area": 20},
        {"image_id": 1, "category_id": 1, "segmentation": {"size": [16, 24], "counts": [10, 4, 370]}},
    ],
    "categories": [{"id": 1, "name": "a"}],
}
CVAT = b"""<annotations><image name="a.jpg" width="24" height="16"><polygon label="a" points="2,2;9,2;9,9" z_order="0"/>
<mask label="b" rle="3,2,1" left="1" top="1" width="3" height="2"/><box label="c" xtl="1" ytl="1" xbr="4" ybr="5"/>
<ellipse label="d" cx="5" cy="5" rx="2" ry="1"/></image></annotations>"""
SEEDS = {
    "a.png": saved("PNG"),
    "palette.png": saved("PNG", Image.fromarray(IDS).convert("P")),
    "colour.png": saved("PNG", Image.fromarray(np.dstack([IDS] * 4))),
    "a.tif": saved("TIFF", compression="tiff_lzw"),
    "plain.tif": saved("TIFF", Image.fromarray(IDS.astype(np.int32))),
    "a.gif": saved("GIF"),
    "a.bmp": saved("BMP"),
    "a.webp": saved("WEBP", Image.fromarray(IDS).convert("RGB"), lossless=True),
    "a.pgm": b"P5\n24 16\n9\n" + IDS.tobytes(),
    "a.jpg": saved("JPEG"),
    "a.npy": array(np.save, IDS),
    "a.npz": array(np.savez_compressed, label=IDS, other=IDS),
    "a.mat": array(savemat, {"gt": {"Segmentation": IDS, "names": ["a", "b"]}}),
    "labelme.json": json.dumps(LABELME).encode(),
    "coco.json": json.dumps(COCO).encode(),
    "cvat.xml": CVAT,
}


def mutated(content: bytes, draw: random.Random, others: list[bytes]) -> bytes:
    """Change bytes, numbers, lengths and order, or put in a part of another file."""
    changed = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(changed) or 1)
        kind = draw.randrange(7)
        if kind == 0 and changed:
            changed[at % len(changed)] = draw.randrange(256)
        elif kind == 1:
            changed[at : at + 4] = draw.choice(NUMBERS).to_bytes(4, draw.choice(("big", "little")))
        elif kind == 2:
            del changed[at:]
        elif kind == 3:
            del changed[at : at + draw.randint(1, 40)]
        elif kind == 4:
            part = draw.choice(others)
            start = draw.randrange(len(part))
            changed[at:at] = part[start : start + draw.randint(1, 60)]
        elif kind == 5:
            changed[at:at] = draw.choice((b"-", b"1e999", b"null", b"[[", b'"', b"\0", b"9" * 30, b"NaN"))
        else:
            changed[at : at + 1] = changed[at : at + 1] * draw.randint(1, 30)
    return bytes(changed)


def read(name: str, content: bytes) -> None:
    if name == "labelme.json":
        drawing = read_labelme(content)
        drawing.draw(table_of_shapes([shape.name for shape in drawing.shapes], None)[1])
    elif name in ("coco.json", "cvat.xml"):
        found = read_annotations(content, name)
        for drawing in found.drawings.values() if found else ():
            drawing.draw(table_of_shapes(found.names, None)[1] if found else {})
    else:
        label = open_label(content, name)
        for look in (label.ids, label.colours):
            with contextlib.suppress(PhotoError):
                assert look().ndim == 2


def fuzz(name: str, inputs: int) -> int:
    """Return how many of the inputs were refused."""
    draw, reasons = random.Random(name), []
    for _ in range(inputs):
        content = mutated(SEEDS[name], draw, list(SEEDS.values()))
        try:
            read(name, content)
        except PhotoError as error:
            reasons.append(error.message)
    assert not any("\n" in reason for reason in reasons)
    return len(reasons)


@pytest.mark.filterwarnings("ignore")  # of Pillow, NumPy and SciPy at broken metadata
@pytest.mark.parametrize("name", SEEDS)
def test_damaged_label_files_are_read_or_refused(name: str) -> None:
    read(name, SEEDS[name])
    assert fuzz(name, INPUTS) > 0


def test_an_array_of_impossible_size_takes_no_memory() -> None:
    stream = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (1 << 20, 1 << 20)}
    np.lib.format.write_array_header_1_0(stream, header)
    with pytest.raises(PhotoError, match="cut short"):
        open_label(stream.getvalue(), "a.npy").ids()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.npy", stream.getvalue())
    with pytest.raises(PhotoError, match="cut short"):
        open_label(packed.getvalue(), "a.npz").ids()


def test_entities_of_xml_do_not_grow() -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">' + b"".join(
        b'<!ENTITY %c "%b">' % (98 + at, b"&%c;" % (97 + at) * 10) for at in range(9)
    )
    content = bomb + b']><annotations><image name="&j;" width="1" height="1"/></annotations>'
    with pytest.raises(PhotoError):
        read_annotations(content, "a.xml")

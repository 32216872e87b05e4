from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stego_cli.errors import PhotoError
from stego_cli.images.ids import read_ids, resize_ids

IDS = np.array([[0, 1, 2, 3], [3, 2, 1, 0]], dtype=np.uint8)


def grey_png(bits: int) -> bytes:
    """IDS as a grey PNG of so few bits a pixel, which Pillow reads but does not write."""
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b""
    for row in IDS.tolist():
        text = "".join(f"{value:0{bits}b}" for value in row)
        rows += b"\0" + int(text, 2).to_bytes(len(text) // 8, "big")
    header = struct.pack(">IIBBBBB", 4, 2, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("bits", [2, 4])
def test_grey_of_few_bits_keeps_its_numbers(tmp_path: Path, bits: int) -> None:
    (tmp_path / "a.png").write_bytes(grey_png(bits))
    assert read_ids(tmp_path / "a.png").tolist() == IDS.tolist()


def test_palette_grey_and_16_bit_keep_their_numbers(tmp_path: Path) -> None:
    palette = Image.fromarray(IDS)
    palette.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0, 0, 0, 200])
    for name, image in (("p", palette), ("l", Image.fromarray(IDS))):
        image.save(tmp_path / f"{name}.png")
        assert read_ids(tmp_path / f"{name}.png").tolist() == IDS.tolist()
    Image.fromarray(IDS.astype(np.uint16) * 9000).save(tmp_path / "i.png")
    assert read_ids(tmp_path / "i.png").tolist() == (IDS.astype(int) * 9000).tolist()
    Image.fromarray(IDS > 1).save(tmp_path / "one.png")
    assert read_ids(tmp_path / "one.png").tolist() == (IDS > 1).astype(int).tolist()


def test_what_is_no_mask_is_refused_with_a_reason(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (9, 0, 0, 255)).save(tmp_path / "rgba.png")
    Image.new("L", (4, 4)).save(tmp_path / "x.jpg")
    (tmp_path / "x.jpg").rename(tmp_path / "jpeg.png")
    (tmp_path / "empty.png").touch()
    for name, reason in (("rgba", "colour"), ("jpeg", "JPEG"), ("empty", "empty"), ("gone", "No such file")):
        with pytest.raises(PhotoError, match=reason):
            read_ids(tmp_path / f"{name}.png")


def test_resizing_takes_the_nearest_pixel() -> None:
    assert resize_ids(IDS, 4, 8).tolist() == IDS.repeat(2, 0).repeat(2, 1).tolist()
    assert resize_ids(IDS.astype(np.uint16) * 9000, 4, 8).max() == 27_000

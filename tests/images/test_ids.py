from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stego_cli.errors import PhotoError, UsageError
from stego_cli.images.ids import read_ids, resize_ids
from stego_cli.scoring.settings import ScoreSettings, parse_classes, parse_ignore, read_remap

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
    Image.new("RGBA", (4, 4)).save(tmp_path / "rgba.png")
    Image.new("L", (4, 4)).save(tmp_path / "x.jpg")
    (tmp_path / "x.jpg").rename(tmp_path / "jpeg.png")
    (tmp_path / "empty.png").touch()
    for name, reason in (("rgba", "colour"), ("jpeg", "JPEG"), ("empty", "empty"), ("gone", "No such file")):
        with pytest.raises(PhotoError, match=reason):
            read_ids(tmp_path / f"{name}.png")


def test_resizing_takes_the_nearest_pixel() -> None:
    assert resize_ids(IDS, 4, 8).tolist() == IDS.repeat(2, 0).repeat(2, 1).tolist()
    assert resize_ids(IDS.astype(np.uint16) * 9000, 4, 8).max() == 27_000


@pytest.mark.parametrize(
    "text",
    [
        "7 0\n8 1\n9-11 2\n4 ignore # not a class\n",
        "7: 0\n8->1\n9-11,2\n\n4 = -1\n",
        '{"7": 0, "8": 1, "9-11": 2, "4": "ignore"}',
    ],
)
def test_remapping_files(tmp_path: Path, text: str) -> None:
    (tmp_path / "remap").write_text(text)
    assert read_remap(tmp_path / "remap") == {7: 0, 8: 1, 9: 2, 10: 2, 11: 2, 4: -1}


@pytest.mark.parametrize("text", ["", "7", "7 zero", "7 0\n7 1", '{"7": 0, "7": 1}', "{7: 0}", "70000 1", "7 9999"])
def test_a_remapping_that_cannot_be_meant_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "remap").write_text(text)
    with pytest.raises(UsageError, match="remap"):
        read_remap(tmp_path / "remap")


def test_classes_are_a_number_a_data_set_or_a_file(tmp_path: Path) -> None:
    assert len(parse_classes("5").names) == 5
    assert [len(parse_classes(name).names) for name in ("cocostuff27", "cityscapes", "voc2012", "potsdam3")] == [
        27,
        27,
        21,
        3,
    ]
    assert all(len(parse_classes(name).colours) == len(parse_classes(name).names) for name in ("voc2012", "cityscapes"))
    (tmp_path / "names.txt").write_text("\ufeffsky\nroad \n\n", encoding="utf-8")
    assert parse_classes(str(tmp_path / "names.txt")).names == ("sky", "road")


@pytest.mark.parametrize("text", ["0", "9999", "imagenet", "gap.txt", "empty.txt"])
def test_classes_that_cannot_be_meant_are_refused(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("gap.txt").write_text("sky\n\nroad\n")
    Path("empty.txt").write_text("\n")
    with pytest.raises(UsageError):
        parse_classes(text)


def test_other_settings_that_cannot_be_meant_are_refused() -> None:
    assert parse_ignore("none") is None
    assert parse_ignore("0") == 0
    with pytest.raises(UsageError):
        parse_ignore("void")
    for wrong in ({"match": "best"}, {"mode": "kind"}, {"ignore": 70_000}, {"workers": 0}):
        with pytest.raises(UsageError):
            ScoreSettings(pred=Path(), gt=Path(), **wrong)  # type: ignore[arg-type]

"""Classes, remappings and palettes as users write them."""

from pathlib import Path

import pytest

from stego_cli.class_files import parse_classes, parse_ignore, read_palette, read_remap
from stego_cli.errors import UsageError


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
    with pytest.raises(UsageError) as caught:
        read_remap(tmp_path / "remap")
    assert caught.value.field == "remap"


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


@pytest.mark.parametrize("text", ["", "1 2\n", "300 0 0 x\n", "#12345 x\n", "1 2 3 a\n1 2 3 b\n", "red sky\n"])
def test_a_palette_file_that_cannot_be_understood_is_refused(tmp_path, text) -> None:
    (tmp_path / "colours.txt").write_text(text)
    with pytest.raises(UsageError) as caught:
        read_palette(tmp_path / "colours.txt")
    assert caught.value.field == "palette"


def test_the_ignored_value_is_a_number_or_none() -> None:
    assert parse_ignore("none") is None
    assert parse_ignore("0") == 0
    with pytest.raises(UsageError) as caught:
        parse_ignore("void")
    assert caught.value.field == "ignore"

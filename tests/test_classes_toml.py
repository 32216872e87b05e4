"""classes.toml: what is written is read back, and what is wrong in it is refused with its line."""

import tomllib

import pytest

from stego_cli.class_edits import ClassEdit, ClassEdits
from stego_cli.class_operations import joined, renamed, split
from stego_cli.classes_toml import parse_classes_file, parse_colour, read_classes, write_classes_file
from stego_cli.errors import UsageError

NASTY = 'a "b"\\ <img src=x onerror=alert(1)>\n\t\r\x1b[31m\u202e\u2066\u2028é😀 [bold]'


def test_what_is_written_is_read_back_and_is_toml_that_hides_nothing():
    edits = ClassEdits(
        11, {1: ClassEdit(NASTY, (1, 2, 255)), 4: ClassEdit("road", None, (7, 9)), 0: ClassEdit(value=20)}, (10,)
    )
    text = write_classes_file(edits)
    assert parse_classes_file(text) == edits
    assert text == write_classes_file(parse_classes_file(text))
    assert tomllib.loads(text)["class"]["1"] == {"name": NASTY, "colour": "#0102ff"}
    assert not set("\x1b\u202e\u2066\u2028\t\r") & set(text)


def test_a_hand_written_file_may_have_comments_any_order_and_windows_line_ends(tmp_path):
    file = tmp_path / "classes.toml"
    file.write_bytes(
        '\ufeff# Our street.\r\nclasses = 3\r\nformat = 1\r\n[class]\r\n2 = {name = "sky"} # above\r\n'.encode()
    )
    assert read_classes(file) == renamed(ClassEdits(3), {2: "sky"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("format = 1\nclasses = 3\nsplit = 1", "line 3 (split): it is a list of classes and numbers of parts"),
        ("format = 1\nclasses = 3\nsplit = [[1]]", "line 3 (split): it is a list of classes and numbers of parts"),
        ("format = 1\nclasses = 3\nsplit = [[1, 'x']]", "line 3 (split): it is not a whole number"),
        ("format = 1\nclasses = 3\nsplit = [[3, 2]]", "line 3 (split): there is no class 3 to split"),
        ("format = 1\nclasses = 3\nsplit = [[1, 1]]", "line 3 (split): class 1 is split into 1"),
        ("format = 1\nclasses = 3\nsplit = [[1, 254]]", "line 3 (split): the splits would make 256 classes"),
        ("format = 1\nclasses = 3\nsplit = [[1, 2]]\n[class.4]\nname = 'x'", "line 4 (class.4): there is no class 4"),
        ("", "format is missing"),
        ("format = 2\nclasses = 3", "line 1 (format): format is 2; this version reads 1"),
        ("format = 1\nclasses = 'x'", "line 2 (classes): it is not a whole number"),
        ("format = 1\nclasses = true", "line 2 (classes)"),
        ("format = 1\nclasses = 3\nx = = 1", "line 3"),
        ("format = 1\nclasses = 3\ncolors = 1", "line 3 (colors): unknown key 'colors'"),
        ("format = 1\nclasses = 3\ndrop = [5]", "line 3 (drop): there is no class 5; the classes are 0 to 2"),
        ("format = 1\nclasses = 3\ndrop = 1", "line 3 (drop): it is a list"),
        ("format = 1\nclasses = 3\n\n[class.7]\nname = 'x'", "line 4 (class.7): there is no class 7"),
        ("format = 1\nclasses = 3\n[class.road]\njoins = [1]", "line 3 (class.road): 'road' is not a class's number"),
        ("format = 1\nclasses = 3\nclass = 1", "line 3 (class)"),
        ("format = 1\nclasses = 4\n[class.0]\njoins = [2]\n[class.1]\njoins = [2]", "line 6 (class.1.joins)"),
        ("format = 1\nclasses = 4\n[class.0]\nname = 'a'\n[class.0]\nname = 'b'", "line 5"),
        ("format = 1\nclasses = 3\n[class.0]\njoins = [1, 2]", "joined into one"),
        ("format = 1\nclasses = 3\n[class.0]\nname = 'class 2'", "line 4 (class.0.name): classes 0 and 2"),
        ("format = 1\nclasses = 3\n[class.0]\nname = 3", "line 4 (class.0.name): a name is text"),
        ("format = 1\nclasses = 3\n[class.0]\nname = 'void'", "line 4 (class.0.name)"),
        ("format = 1\nclasses = 3\n[class.0]\ncolour = 'red'", "line 4 (class.0.colour): a colour is written"),
        ("format = 1\nclasses = 3\n[class.0]\nvalue = 255", "line 4 (class.0.value)"),
        ("format = 1\nclasses = 256\ndrop = [0]", "255 is void"),
    ],
)
def test_a_wrong_file_is_refused_by_its_line(text, said):
    with pytest.raises(UsageError) as error:
        parse_classes_file(text)
    assert said in error.value.message
    assert "classes.toml" in error.value.message


@pytest.mark.parametrize("content", [b"\xff\xfe", b"#" * 1_000_001, None])
def test_what_is_no_text_file_is_refused(content, tmp_path):
    file = tmp_path / "classes.toml"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=r"classes\.toml"):
        read_classes(file)


def test_splits_survive_the_file_and_their_parts_can_be_named():
    edits = renamed(split(split(renamed(ClassEdits(5), {3: "road"}), 3, 3), 5, 2), {7: "kerb"})
    text = write_classes_file(edits)
    assert "split = [[3, 3], [5, 2]]" in text
    assert parse_classes_file(text) == edits
    assert edits.names[7] == "kerb"


def test_a_join_survives_the_file():
    edits = joined(ClassEdits(5), [3, 1, 0], "road")
    assert parse_classes_file(write_classes_file(edits)).table.tolist() == edits.table.tolist()


def test_colours_are_six_hexadecimal_digits():
    assert parse_colour("#4682B4") == (70, 130, 180)
    assert [parse_colour(wrong) for wrong in ("red", "#fff", "#12345g", 3, None)] == [None] * 5

"""The page on the architecture names modules that there are, and rooms in the order that imports obey."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
PACKAGES = ("stego_cli", "export", "tests", "benchmarks", "docs", "tools")


def named_paths():
    """Paths in code spans; those of the walks are relative to stego_cli."""
    spans = re.findall(r"`([\w./*-]+(?:\.py|\.md|/))`", PAGE)
    at_root = [span for span in spans if span.split("/")[0] in PACKAGES or "/" not in span]
    return sorted({*at_root, *(f"stego_cli/{span}" for span in spans if span not in at_root)})


@pytest.mark.parametrize("path", named_paths())
def test_paths_on_the_page_exist(path):
    assert list(ROOT.glob(path.rstrip("/")))


def test_every_room_is_in_the_table():
    rooms = {folder.parent.relative_to(ROOT).as_posix() for folder in ROOT.glob("stego_cli/*/__init__.py")}
    assert {f"{room}/" for room in rooms} <= set(named_paths())


def test_the_rules_of_import_are_those_of_the_test():
    tree = ast.parse((ROOT / "tests" / "test_house.py").read_text(encoding="utf-8"))
    (value,) = (
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ROOMS"
    )
    level = {room: index for index, rooms in enumerate(ast.literal_eval(value)) for room in rooms}
    listed = [re.findall(r"`([\w.]+)`", line) for line in re.findall(r"^\d+\. (`.*)$", PAGE, re.MULTILINE)]
    rooms = [[name for name in line if name in level] for line in listed]
    levels = [{level[name] for name in line} for line in rooms if line]
    assert all(len(each) == 1 for each in levels)
    assert [*levels] == sorted(levels, key=min)
    assert len(levels) > 10

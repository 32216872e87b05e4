"""What is handed over loads in the tools it is for: datumaro (COCO, VOC, CVAT), labelme, and Label Studio's own checks.

They come from the package index the first time, without their dependencies: see tools.txt.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import platformdirs
import pytest

from stego_cli.class_edits import ClassEdits
from stego_cli.class_operations import dropped, joined, renamed
from stego_cli.gallery.formats.common import Shaping
from stego_cli.gallery.mask_tree import MaskTree, open_masks
from stego_cli.gallery.remap import change_classes
from stego_cli.progress import Quiet
from stego_cli.stop import Stop
from stego_cli.tasks.convert import ConvertSettings, convert

LIST = Path(__file__).with_name("tools.txt")
NAMES = ["a.png", "b.png", "x/c.png"]
CLASSES = {"<sky> & 'air'", "class 2", "road", "class 5"}

DATUMARO = """
import json, sys
import datumaro
import numpy as np
answer = []
for form, folder in zip(sys.argv[1::2], sys.argv[2::2]):
    data = datumaro.Dataset.import_from(folder, form)
    labels = [each.name for each in data.categories()[datumaro.AnnotationType.label].items]
    pixels = {}
    for item in data:
        own = pixels.setdefault(item.id, {})
        for each in item.annotations:
            if each.type == datumaro.AnnotationType.mask:
                area = int(np.asarray(each.image).astype(bool).sum())
            elif each.type == datumaro.AnnotationType.polygon:
                area = float(each.get_area())
            else:
                continue
            own[labels[each.label]] = own.get(labels[each.label], 0) + area
    answer.append([labels, pixels])
print(json.dumps(answer))
"""
LABELME = """
import json, sys
from unittest.mock import MagicMock
sys.modules.update({name: MagicMock() for name in ("PyQt5", "PyQt5.QtCore", "PyQt5.QtGui", "PyQt5.QtWidgets")})
from labelme._label_file import LabelFile
loaded = [LabelFile(file).shapes for file in sys.argv[1:]]
parts = [[[each["label"], each["shape_type"], len(each["points"])] for each in shapes] for shapes in loaded]
print(json.dumps(parts))
"""
LABEL_STUDIO = """
import json, sys
from label_studio_sdk.label_interface import LabelInterface
interface = LabelInterface(open(sys.argv[1] + "/label_config.xml").read())
interface.validate()
tasks = json.load(open(sys.argv[1] + "/tasks.json"))
labels = sorted(interface.get_control("label").labels)
valid = [interface.validate_prediction(task["predictions"][0]) for task in tasks]
print(json.dumps({"labels": labels, "valid": valid}))
"""


@pytest.fixture(scope="session")
def tools() -> Path:
    """A folder with the tools, to be put before this Python's own packages."""
    key = hashlib.sha256(repr(sys.version_info[:2]).encode() + LIST.read_bytes()).hexdigest()[:12]
    folder = platformdirs.user_cache_path("stego-test-tools") / key
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        making = tempfile.mkdtemp(dir=folder.parent)
        install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-compile"]
        ended = subprocess.run([*install, "--target", making, "-r", str(LIST)], capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        Path(making).rename(folder)  # whole or not at all
    return folder


@pytest.fixture
def tree(make_masks) -> MaskTree:
    masks = make_masks(NAMES)
    edits = dropped(renamed(joined(ClassEdits(6), [3, 1], "road"), {0: "<sky> & 'air'"}), [4])
    change_classes(masks, edits, Quiet(), Stop())
    return open_masks(masks)


def written(tree: MaskTree, name: str, tolerance: float | None = None) -> Path:
    out = tree.root.with_name(f"out-{name}-{tolerance}")
    convert(ConvertSettings(tree.root, out, name, shaping=Shaping(tolerance, with_photos=True)), Quiet())
    return out


def ask(tools: Path, program: str, *arguments: object) -> str:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(tools)})
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()[-1]


def pixels_of(tree: MaskTree) -> dict[str, dict[str, int]]:
    return {
        entry.path.removesuffix(".png"): {
            tree.edits.names[value]: count for value, count in (entry.pixels or {}).items() if value != 255
        }
        for entry in tree.entries
    }


def test_datumaro_loads_every_pixel_of_every_class(tools, tree):
    """All in one process, since the tool takes seconds to import."""
    asked = [
        ("coco_instances", written(tree, "coco")),
        ("coco_instances", written(tree, "coco", 0.0)),
        ("voc_segmentation", written(tree, "voc")),
        ("cvat", written(tree, "cvat")),
        ("cvat", written(tree, "cvat", 0.0)),
    ]
    wanted = pixels_of(tree)
    answer = json.loads(ask(tools, DATUMARO, *(word for pair in asked for word in pair)))
    for (form, folder), (labels, pixels) in zip(asked, answer, strict=True):
        assert set(labels) - {"background", "ignored"} == CLASSES, (form, folder)
        assert set(pixels) == set(wanted)
        for photograph, counts in wanted.items():
            got = {label: count for label, count in pixels[photograph].items() if count and label != "ignored"}
            assert got == pytest.approx(counts), (form, folder)


def test_labelme_loads_the_polygons(tools, tree):
    out, wanted = written(tree, "labelme"), pixels_of(tree)
    loaded = json.loads(ask(tools, LABELME, *(out / f"{photograph}.json" for photograph in wanted)))
    for shapes, counts in zip(loaded, wanted.values(), strict=True):
        assert {label for label, _, _ in shapes} == set(counts)
        assert all(kind == "polygon" and corners >= 3 for _, kind, corners in shapes)


def test_label_studio_takes_the_project_and_the_regions(tools, tree):
    answer = json.loads(ask(tools, LABEL_STUDIO, written(tree, "label-studio")))
    assert set(answer["labels"]) == CLASSES
    assert answer["valid"] == [True] * len(NAMES)

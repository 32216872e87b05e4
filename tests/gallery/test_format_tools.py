"""What is handed over loads in the tools it is for: datumaro (COCO, VOC, CVAT), labelme, and Label Studio's own checks.

They need older versions of numpy than this project, so they live in an environment of their own, which is made from the
package index the first time.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

from stego_cli.class_edits import ClassEdits, dropped, joined, renamed
from stego_cli.gallery.formats.common import Shaping
from stego_cli.gallery.mask_tree import MaskTree, open_masks
from stego_cli.gallery.remap import change_classes
from stego_cli.progress import Quiet
from stego_cli.stop import Stop
from stego_cli.tasks.convert import ConvertSettings, convert

WHOLE = ["datumaro==1.13.12", "label-studio-sdk==2.1.2"]
ALONE = [
    "labelme==6.3.1",
    "imgviz==2.1.0",
    "loguru==0.7.3",
    "tifffile==2026.3.3",
    "onnxruntime==1.32.0",
]  # its window needs Qt, its files not
NAMES = ["a.png", "b.png", "x/c.png"]
CLASSES = {"<sky> & 'air'", "class 2", "road", "class 5"}

DATUMARO = """
import json, sys
import datumaro
import numpy as np
form, folder = sys.argv[1:]
data = datumaro.Dataset.import_from(folder, form)
labels = [each.name for each in data.categories()[datumaro.AnnotationType.label].items]
pixels = {}
for item in data:
    own = pixels.setdefault(item.id, {})
    for each in item.annotations:
        if each.type == datumaro.AnnotationType.mask:
            own[labels[each.label]] = own.get(labels[each.label], 0) + int(np.asarray(each.image).astype(bool).sum())
        elif each.type == datumaro.AnnotationType.polygon:
            own[labels[each.label]] = own.get(labels[each.label], 0) + float(each.get_area())
print(json.dumps({"labels": labels, "pixels": pixels}))
"""
LABELME = """
import json, sys
from unittest.mock import MagicMock
sys.modules.update({name: MagicMock() for name in ("PyQt5", "PyQt5.QtCore", "PyQt5.QtGui", "PyQt5.QtWidgets")})
from labelme._label_file import LabelFile
loaded = LabelFile(sys.argv[1])
print(json.dumps({"shapes": [[each["label"], each["shape_type"], len(each["points"])] for each in loaded.shapes]}))
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
    """The Python of an environment with the tools."""
    key = hashlib.sha256(repr((sys.version_info[:2], WHOLE, ALONE)).encode()).hexdigest()[:12]
    folder = platformdirs.user_cache_path("stego-test-tools") / key
    python, done = folder / "bin/python", folder / "done"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "-q"]
        subprocess.run([*install, *WHOLE], check=True, capture_output=True)
        subprocess.run([*install, "--no-deps", *ALONE], check=True, capture_output=True)
        done.touch()
    return python


@pytest.fixture
def tree(make_masks) -> MaskTree:
    masks = make_masks(NAMES)
    edits = dropped(renamed(joined(ClassEdits(6), [3, 1], "road"), {0: "<sky> & 'air'"}), [4])
    change_classes(masks, edits, Quiet(), Stop())
    return open_masks(masks)


def written(tree: MaskTree, name: str, tolerance: float | None = None) -> Path:
    out = tree.root.with_name(f"out-{name}")
    convert(ConvertSettings(tree.root, out, name, shaping=Shaping(tolerance, with_photos=True)), Quiet())
    return out


def ask(python: Path, program: str, *arguments: object) -> dict[str, object]:
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    ended = subprocess.run([str(python), "-c", program, *map(str, arguments)], capture_output=True, text=True, env=env)
    assert ended.returncode == 0, ended.stderr
    answer: dict[str, object] = json.loads(ended.stdout.splitlines()[-1])
    return answer


def pixels_of(tree: MaskTree) -> dict[str, dict[str, int]]:
    return {
        entry.path.removesuffix(".png"): {
            tree.edits.names[value]: count for value, count in (entry.pixels or {}).items() if value != 255
        }
        for entry in tree.entries
    }


@pytest.mark.parametrize(
    ("name", "form", "tolerance"),
    [
        ("coco", "coco_instances", None),
        ("coco", "coco_instances", 0.0),
        ("voc", "voc_segmentation", None),
        ("cvat", "cvat", None),
        ("cvat", "cvat", 0.0),
    ],
)
def test_datumaro_loads_every_pixel_of_every_class(tools, tree, name, form, tolerance):
    answer = ask(tools, DATUMARO, form, written(tree, name, tolerance))
    assert set(answer["labels"]) - {"background", "ignored"} == CLASSES
    wanted = pixels_of(tree)
    assert set(answer["pixels"]) == set(wanted)
    for photograph, counts in wanted.items():
        got = {label: count for label, count in answer["pixels"][photograph].items() if count and label != "ignored"}
        assert got == pytest.approx(counts)


def test_labelme_loads_the_polygons(tools, tree):
    out = written(tree, "labelme")
    for photograph, counts in pixels_of(tree).items():
        shapes = ask(tools, LABELME, out / f"{photograph}.json")["shapes"]
        assert {label for label, _, _ in shapes} == set(counts)
        assert all(kind == "polygon" and corners >= 3 for _, kind, corners in shapes)


def test_label_studio_takes_the_project_and_the_regions(tools, tree):
    answer = ask(tools, LABEL_STUDIO, written(tree, "label-studio"))
    assert set(answer["labels"]) == CLASSES
    assert answer["valid"] == [True] * len(NAMES)

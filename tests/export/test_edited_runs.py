"""Classes of a run that are split, or named by labels, and what its export makes of them."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from export import export_onnx
from stego_cli.class_edits import ClassEdits
from stego_cli.classes import ClassTable
from stego_cli.gallery.model_edit import as_found
from stego_cli.gallery.moves import model_as_found
from stego_cli.gallery.run_classes import classes_of_run
from stego_cli.gallery.split import split_model
from stego_cli.inference.session import Session
from stego_cli.model.checkpoint import load_checkpoint, segmenter
from stego_cli.progress import Quiet
from stego_cli.settings import ExportSettings
from stego_cli.stop import Stop
from stego_cli.tasks.classes import edit_classes, named, splitting
from stego_cli.tasks.name_classes import NamingTask, name_classes
from stego_cli.tasks.split import SplitSource
from tests.support.runs import picture


def test_a_split_class_of_an_exported_model_has_the_probabilities_that_torch_gives(exported, run, photos_folder):
    pieces = torch.nn.functional.normalize(torch.randn(3, 24, generator=torch.Generator().manual_seed(1)), dim=1)
    parts = np.array([0.5, 0.3, 0.2], np.float32)
    content = split_model(exported.read_bytes(), 2, pieces.numpy(), parts, "m")
    checkpoint = load_checkpoint(run)
    more = replace(checkpoint, cluster=checkpoint.cluster.split(2, pieces, torch.from_numpy(parts)))
    image = picture(photos_folder, "cat.jpg", 84, 56)
    with torch.no_grad():
        wanted = segmenter(more, ExportSettings().flip, Quiet())(torch.from_numpy(image))[0].numpy()
    got = Session.from_bytes(content, "cpu").log_probs(image)
    assert got.shape == (1, 8, 56, 84)
    assert np.abs(got - wanted).max() < 1e-3


def test_a_class_of_a_run_is_split_and_its_export_would_have_the_parts(shallow_run, photos_folder, tmp_path):
    run = shutil.copytree(shallow_run, tmp_path / "run")
    before = load_checkpoint(run)
    (tmp_path / "photos").mkdir()
    for name in ("cat.jpg", "lake.jpg", "otters.jpg"):
        shutil.copy(photos_folder / name, tmp_path / "photos")
    report = edit_classes(run, splitting("0", 2), Quiet(), Stop(), SplitSource(tmp_path / "photos"))
    after = load_checkpoint(run)
    assert report.edits == ClassEdits(6, splits=((0, 2),))
    assert after.cluster.centroids.shape == (7, 24)
    unit = torch.nn.functional.normalize(before.cluster.centroids, dim=1)
    assert torch.allclose(after.cluster.centroids[1:6], unit[1:])
    assert after.shares[1:6] == before.shares[1:]
    assert after.shares[0] + after.shares[6] == pytest.approx(0.5, abs=1e-5)
    assert after.shares[0] >= after.shares[6] > 0
    assert len(after.hierarchy) == 6
    edit_classes(run, named(["6=part"]), Quiet(), Stop())
    assert classes_of_run(run)[0].names[6] == "part"


def half_labelled(photos: Path, scratch: Path) -> Path:
    """Return a folder with a label of one photograph, whose upper half is class 1."""
    with Image.open(photos / "lake.jpg") as photo:
        labels = np.zeros(photo.size[::-1], np.uint8)
    labels[: len(labels) // 2] = 1
    (scratch / "labels").mkdir()
    Image.fromarray(labels).save(scratch / "labels" / "lake.png")
    return scratch / "labels"


def test_labels_name_the_classes_of_a_run_and_its_export_has_them_joined(
    shallow_run: Path, photos_folder: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(shallow_run, tmp_path / "run")
    folder = half_labelled(photos_folder, tmp_path)
    table = ClassTable(("ground", "sky"), ((1, 2, 3), (4, 5, 6)))
    report = name_classes(NamingTask(folder, run, photos_folder, table, device="cpu"), Quiet())
    assert (report.kind, report.photographs, len(report.votes), report.moved) == ("run", 1, 6, True)
    content = export_onnx(run, tmp_path / "m.onnx", ExportSettings(), Quiet()).read_bytes()
    found = Session.from_bytes(as_found(content, "m").SerializeToString(), "cpu")
    named = Session.from_bytes(content, "cpu")
    assert set(named.info.class_names) == {"ground", "sky"}
    assert dict(zip(named.info.class_names, named.info.mask_values, strict=True)) == {"ground": 0, "sky": 1}
    assert dict(zip(named.info.class_names, named.info.palette, strict=True))["sky"] == (4, 5, 6)
    assert named.info.hierarchy == found.info.hierarchy == load_checkpoint(run).hierarchy
    image = picture(photos_folder, "cat.jpg", 168, 112)
    before, after = np.exp(found.log_probs(image)), np.exp(named.log_probs(image))
    for channel, name in enumerate(named.info.class_names):
        members = [vote.cluster for vote in report.votes if vote.label == table.names.index(name)]
        assert np.allclose(after[:, channel], before[:, members].sum(1), atol=1e-6)


def test_labels_move_the_clusters_of_a_run_always_from_where_training_found_them(
    shallow_run: Path, photos_folder: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(shallow_run, tmp_path / "run")
    task = NamingTask(half_labelled(photos_folder, tmp_path), run, photos_folder, device="cpu")
    name_classes(task, Quiet())
    moved, before = load_checkpoint(run), load_checkpoint(shallow_run)
    first = (run / "model.safetensors").read_bytes()
    assert moved.found is not None
    assert torch.equal(moved.found.centroids, before.centroids)
    assert moved.hierarchy == before.hierarchy
    assert not torch.allclose(moved.centroids, torch.nn.functional.normalize(before.centroids, dim=1), atol=0.01)
    content = export_onnx(run, tmp_path / "m.onnx", ExportSettings(), Quiet()).read_bytes()
    image = picture(photos_folder, "cat.jpg", 168, 112)
    plain = Session.from_bytes(as_found(model_as_found(content, 6, "m"), "m").SerializeToString(), "cpu")
    never = export_onnx(shallow_run, tmp_path / "n.onnx", ExportSettings(), Quiet())
    assert np.allclose(plain.log_probs(image), Session.from_file(never, "cpu").log_probs(image), atol=1e-4)
    name_classes(task, Quiet())
    assert (run / "model.safetensors").read_bytes() == first
    name_classes(replace(task, fit=False), Quiet())
    assert (run / "model.safetensors").read_bytes() == (shallow_run / "model.safetensors").read_bytes()

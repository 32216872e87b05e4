"""Labelled photographs move the clusters of a model to their classes, and nothing is lost by it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from stego_cli.classes import ClassTable
from stego_cli.errors import ModelError
from stego_cli.gallery.centroids import Clusters, centroids_of_model
from stego_cli.gallery.fitting import LabelledCells, pixels_of_cells
from stego_cli.gallery.model_edit import about_of, set_about
from stego_cli.gallery.moves import as_text, model_as_found, moved_model
from stego_cli.inference.contract import FOUND_CLUSTERS
from stego_cli.inference.session import Session
from stego_cli.progress import Quiet
from stego_cli.scoring.confusion import make_grid
from stego_cli.stop import Stop
from stego_cli.tasks.classes import edit_classes, named, splitting
from stego_cli.tasks.name_classes import NamingTask, name_classes
from stego_cli.tasks.split import SplitSource
from tests.support.stripes import BLUE, CENTROIDS, GREEN, ORANGE, PINK, RED, stripes

TABLE = ClassTable(("fire", "leaf"), ((1, 2, 3), (4, 5, 6)))


@pytest.fixture
def labelled(tmp_path: Path, coded_model: bytes) -> Path:
    """A model, and photographs whose labels say that orange, found as red, is of the class that green is."""
    (tmp_path / "m.onnx").write_bytes(coded_model)
    for folder in ("photos", "labels"):
        (tmp_path / folder).mkdir()
    for name, colours, labels in (("a", [RED, ORANGE, GREEN], [0, 1, 1]), ("b", [PINK, RED, GREEN], [0, 0, 1])):
        Image.fromarray(stripes(colours)).save(tmp_path / "photos" / f"{name}.png")
        Image.fromarray(np.repeat(np.tile(np.array(labels, np.uint8), (40, 1)), 48, axis=1)).save(
            tmp_path / "labels" / f"{name}.png"
        )
    return tmp_path


def name(folder: Path, **changes: object) -> bytes:
    """Name the classes of the model by the labels, and return its content."""
    task = NamingTask(folder / "labels", folder / "m.onnx", folder / "photos", TABLE, device="cpu", **changes)
    name_classes(task, Quiet())
    return (folder / "m.onnx").read_bytes()


def found_in(content: bytes, colours: list[tuple[int, int, int]]) -> list[int]:
    """Return the class of each stripe at its middle."""
    session = Session.from_bytes(content, "cpu")
    classes = session.log_probs(stripes(colours)[None])[0].argmax(0)[20, 24::48]
    return [session.info.mask_values[each] for each in classes]


def test_what_the_labels_say_of_a_cluster_in_part_comes_true(labelled):
    assert found_in(name(labelled, fit=False), [RED, ORANGE, PINK, GREEN]) == [0, 0, 0, 1]
    assert found_in(name(labelled), [RED, ORANGE, PINK, GREEN]) == [0, 1, 0, 1]


def test_a_cluster_that_no_label_shows_stays_near_where_it_was(labelled):
    after = centroids_of_model(name(labelled), 3)
    assert after is not None
    moved = np.linalg.norm(after - CENTROIDS, axis=1)
    assert moved[2] < 0.2 < min(moved[:2])


def test_labels_count_from_where_the_clusters_were_found_however_often(labelled, coded_model):
    picture = stripes([RED, ORANGE, BLUE])[None]
    first = Session.from_bytes(name(labelled), "cpu").log_probs(picture)
    second = name(labelled)
    assert np.array_equal(Session.from_bytes(second, "cpu").log_probs(picture), first)
    assert name(labelled) == name(labelled, dry_run=True) == second
    plain = name(labelled, fit=False)
    assert np.allclose(centroids_of_model(plain, 3), CENTROIDS, atol=1e-6)
    (labelled / "other.onnx").write_bytes(coded_model)
    task = NamingTask(labelled / "labels", labelled / "other.onnx", labelled / "photos", TABLE, device="cpu", fit=False)
    name_classes(task, Quiet())
    never_moved = Session.from_bytes((labelled / "other.onnx").read_bytes(), "cpu")
    assert np.array_equal(Session.from_bytes(plain, "cpu").log_probs(picture), never_moved.log_probs(picture))


def test_names_given_afterwards_leave_the_clusters_where_labels_moved_them(labelled):
    moved = name(labelled)
    edit_classes(labelled / "m.onnx", named(["fire=embers"]), Quiet(), Stop())
    after = (labelled / "m.onnx").read_bytes()
    assert Session.from_bytes(after, "cpu").info.class_names[0] == "embers"
    assert np.array_equal(centroids_of_model(after, 3), centroids_of_model(moved, 3))


def test_parts_of_a_split_are_found_where_the_clusters_are_now(labelled):
    moved = centroids_of_model(name(labelled), 3)
    edit_classes(labelled / "m.onnx", splitting("leaf", 2), Quiet(), Stop(), SplitSource(labelled / "photos"))
    after = centroids_of_model((labelled / "m.onnx").read_bytes(), 4)
    assert np.allclose(after[[0, 2]], moved[[0, 2]], atol=1e-6)
    assert centroids_of_model(name(labelled, fit=False), 4) == pytest.approx(after)


def test_a_damaged_record_of_the_found_clusters_is_refused(coded_model):
    found = Clusters((5 * CENTROIDS.T).astype(np.float32), np.zeros(3, np.float32))
    moved = moved_model(coded_model, Clusters(-found.columns, np.float32([0.5, 0, 0])), "m")
    assert model_as_found(coded_model, 3, "m") is coded_model
    assert np.allclose(centroids_of_model(model_as_found(moved, 3, "m"), 3), CENTROIDS, atol=1e-6)
    model = onnx.load_from_string(moved)
    about = about_of(model, "m")
    assert about[FOUND_CLUSTERS] == as_text(found)
    shorter = Clusters(found.columns[:2], found.log_prior)
    for text in ("?", about[FOUND_CLUSTERS][:-8], as_text(shorter)):
        set_about(model, about | {FOUND_CLUSTERS: text})
        with pytest.raises(ModelError, match="m has damaged metadata"):
            model_as_found(model.SerializeToString(), 3, "m")


def test_a_prior_counts_in_a_graph_that_had_none(coded_model):
    found = Clusters((5 * CENTROIDS.T).astype(np.float32), np.zeros(3, np.float32))
    shift, picture = np.float32([0.5, -1, 0]), stripes([RED, GREEN, BLUE])[None]
    before = Session.from_bytes(coded_model, "cpu").log_probs(picture)[0]
    content = moved_model(coded_model, Clusters(found.columns, shift), "m")
    after = Session.from_bytes(content, "cpu").log_probs(picture)[0]
    wanted = before + shift[:, None, None]
    assert np.allclose(after, wanted - np.log(np.exp(wanted).sum(0)), atol=1e-5)
    again = moved_model(content, Clusters(found.columns, -shift), "m")
    wanted = before - shift[:, None, None]
    assert np.allclose(
        Session.from_bytes(again, "cpu").log_probs(picture)[0], wanted - np.log(np.exp(wanted).sum(0)), atol=1e-5
    )


def test_a_graph_without_such_a_difference_is_refused_with_the_way_out(coded_model):
    model = onnx.load_from_string(coded_model)
    del model.graph.node[-1]
    model.graph.node.append(onnx.helper.make_node("LogSoftmax", ["scores"], ["cluster_log_probs"], axis=1))
    clusters = Clusters((5 * CENTROIDS.T).astype(np.float32), np.float32([0.5, 0, 0]))
    with pytest.raises(ModelError, match="scores of the classes are not found in m") as refused:
        moved_model(model.SerializeToString(), clusters, "m")
    assert "no_fit" in str(refused.value.remedy)


def test_cells_have_the_labelled_pixels_that_lie_in_them():
    ids = np.random.default_rng(0).integers(0, 5, (21, 34)).astype(np.uint8)
    counts = pixels_of_cells(ids, make_grid(3, 1, None), (4, 5))
    for row in range(4):
        for column in range(5):
            inside = [ids[y, x] for y in range(21) for x in range(34) if y * 4 // 21 == row and x * 5 // 34 == column]
            assert counts[row * 5 + column].tolist() == [inside.count(0), 0, inside.count(2)]


def test_clusters_of_no_class_and_cells_without_labels_are_left_out():
    cells, grid = LabelledCells(), make_grid(2, None, None)
    codes = np.array([[[1, 0, 0], [0, 1, 0], [0, 0, 1]]], np.float32)
    cells.add(codes, np.array([[0, 1, 255]], np.uint8), grid)
    assert [each.tolist() for each in cells.codes] == [[[1, 0, 0], [0, 1, 0]]]
    found = Clusters(5 * np.eye(3, dtype=np.float32), np.zeros(3, np.float32))
    after = cells.fitted(found, [0, 1, None])
    assert np.allclose(np.linalg.norm(after.columns, axis=0), 5, atol=1e-5)
    assert (after.columns.diagonal() > 4).all()
    assert after.log_prior[2] < 0  # cells with labels are not of a cluster without a class


def test_without_a_labelled_cell_clusters_stay():
    cells, found = LabelledCells(), Clusters(np.eye(3, dtype=np.float32), np.zeros(3, np.float32))
    assert cells.fitted(found, [0, 1, 0]) is found
    cells.add(np.ones((1, 2, 3), np.float32), np.full((4, 4), 255, np.uint8), make_grid(2, None, None))
    assert cells.fitted(found, [0, 1, 0]) is found


def test_the_command_says_whether_clusters_moved(labelled, stego):
    words = ("classes", "from-labels", "labels", "--photos", "photos", "--to", "m.onnx", "--device", "cpu")
    assert "have moved" in stego(*words).stderr
    assert "have moved" not in stego(*words, "--no-fit").stderr
    assert "have moved" not in stego(*words, "--dry-run").stderr

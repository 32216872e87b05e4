import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.optimize import linear_sum_assignment

from stego_cli.classes import numbered
from stego_cli.errors import NoInputError, Stopped
from stego_cli.images.ids import Ids
from stego_cli.progress import Quiet
from stego_cli.scoring.comparison import Comparison
from stego_cli.scoring.confusion import UNKNOWN_CLASSES, make_grid
from stego_cli.scoring.extremes import CountsByPair
from stego_cli.scoring.mask_pairs import MaskPair, walk_pairs
from stego_cli.scoring.result import Score, as_json, make_score
from stego_cli.scoring.score_folders import score_folders
from stego_cli.scoring.tally import Sums, tally
from stego_cli.stop import Stop


def save(ids: object, file: Path, dtype: type = np.uint8) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(ids, dtype=dtype)).save(file)


def run(
    folder: Path, classes: int | None = 3, workers: int | None = None, stop: Stop | None = None, **more: object
) -> Score:
    table = None if classes is None else numbered(classes)
    grid = make_grid(classes or UNKNOWN_CLASSES, 255, None)
    how = {"match": "hungarian", "mode": "honest", **more}
    comparison = Comparison(folder / "pred", folder / "gt", table, grid, **how)  # type: ignore[arg-type]
    return score_folders(comparison, workers, Quiet(), stop or Stop())


def fill(folder: Path, count: int = 3, classes: int = 3) -> tuple[Ids, Ids]:
    random = np.random.default_rng(count)
    labels = random.integers(0, classes, (count, 6, 8)).astype(np.uint8)
    preds = np.where(random.random(labels.shape) < 0.8, labels, 0).astype(np.uint8)
    for index in range(count):
        save(labels[index], folder / "gt" / f"{index // 50}" / f"{index}.png")
        save(preds[index], folder / "pred" / f"{index // 50}" / f"{index}.png")
    return labels, preds


def test_one_matrix_over_the_whole_set(tmp_path: Path) -> None:
    labels, preds = fill(tmp_path)
    result = run(tmp_path, match="identity")
    expected = np.zeros((3, 3), dtype=int)
    np.add.at(expected, (labels.ravel(), preds.ravel()), 1)
    assert result.confusion.tolist() == expected.tolist()
    assert result.accuracy == pytest.approx(100 * (labels == preds).mean())
    assert result.images == 3


def test_processes_and_a_single_one_come_to_the_same(tmp_path: Path) -> None:
    fill(tmp_path, count=140)  # fewer are counted by one process
    alone = run(tmp_path, workers=1)
    shared = run(tmp_path, workers=2)
    assert as_json(alone) == as_json(shared)
    assert shared.images == 140


def test_a_requested_stop_ends_the_work(tmp_path: Path) -> None:
    fill(tmp_path)
    stop = Stop()
    stop.requested = 130
    with pytest.raises(Stopped):
        run(tmp_path, stop=stop)


def test_unlike_sizes_are_resized_or_refused(tmp_path: Path) -> None:
    save([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 2, 2], [2, 2, 2, 2]], tmp_path / "gt" / "a.png")
    save([[0, 1], [2, 2]], tmp_path / "pred" / "a.png")
    result = run(tmp_path)
    assert (result.accuracy, result.resized, result.failures) == (100, 1, [])
    refused = run(tmp_path, strict=True)
    assert refused.failures == [("a.png", "the mask is 2 x 2 pixels, the label 4 x 4")]
    assert math.isnan(refused.miou)


def test_all_void_is_counted_and_fails_nothing(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    save(np.full((6, 8), 255), tmp_path / "gt" / "void.png")
    save(np.zeros((6, 8)), tmp_path / "pred" / "void.png")
    result = run(tmp_path)
    assert (result.images, result.void, result.ignored_pixels, result.failures) == (2, 1, 48, [])


def test_nothing_but_void_has_no_figures(tmp_path: Path) -> None:
    save(np.full((6, 8), 255), tmp_path / "gt" / "void.png")
    save(np.zeros((6, 8)), tmp_path / "pred" / "void.png")
    written = json.loads(as_json(run(tmp_path)))
    assert written["miou"] is None
    assert written["accuracy"] is None
    assert written["ami"] is None
    assert [each["iou"] for each in written["per_class"]] == [None] * 3
    assert json.loads(as_json(run(tmp_path, classes=None)))["pixels"] == 0


def test_ids_out_of_range_are_counted(tmp_path: Path) -> None:
    save([[0, 1, 2, 9, 255]], tmp_path / "gt" / "a.png")  # 9 is no class of 3
    save([[0, 1, 7, 1, 1]], tmp_path / "pred" / "a.png")  # 7 is no class either
    honest, stego = run(tmp_path), run(tmp_path, mode="stego")
    assert (honest.ignored_pixels, honest.unmatched_pixels, int(honest.pixels.sum())) == (2, 1, 3)
    assert honest.accuracy == pytest.approx(200 / 3)
    assert honest.miou == pytest.approx(200 / 3)
    assert (stego.ignored_pixels, stego.unmatched_pixels, int(stego.pixels.sum())) == (2, 1, 2)
    assert stego.accuracy == 100
    assert stego.miou == 100


def test_large_16_bit_predictions_are_out_of_range(tmp_path: Path) -> None:
    save([[0, 1, 1]], tmp_path / "gt" / "a.png", np.uint16)
    save([[0, 1, 60_000]], tmp_path / "pred" / "a.png", np.uint16)
    result = run(tmp_path, classes=2)
    assert (result.unmatched_pixels, result.accuracy) == (1, pytest.approx(200 / 3))
    assert run(tmp_path, classes=2, mode="stego").accuracy == 100


def test_majority_uses_every_cluster(tmp_path: Path) -> None:
    save([[0, 0, 0, 1, 1, 1]], tmp_path / "gt" / "a.png")
    save([[0, 0, 9, 9, 9, 4]], tmp_path / "pred" / "a.png")
    result = run(tmp_path, classes=2, match="majority")
    assert {index: to for index, to in enumerate(result.assignment.tolist()) if to >= 0} == {0: 0, 4: 1, 9: 1}
    assert (result.accuracy, result.unmatched_pixels) == (pytest.approx(500 / 6), 0)


def original_miou(stats: np.ndarray, extra: int) -> float:
    """Mean IoU of mode "stego" by definition: unmatched clusters, joined, are one more class if they have a pixel."""
    classes = len(stats)
    clusters, matched = linear_sum_assignment(np.hstack([stats, np.zeros((classes, extra))]).T, maximize=True)
    found = dict(zip(matched.tolist(), clusters.tolist(), strict=True))
    ious, left = [], stats.sum()
    for index in range(classes):
        mine = stats[:, found[index]] if found[index] < classes else np.zeros(classes)
        left -= mine.sum()
        union = mine.sum() + stats[index].sum() - mine[index]
        if union:
            ious.append(mine[index] / union)
    return float(100 * np.mean(ious + [0.0] * bool(left)))


@pytest.mark.parametrize("seed", range(20))
def test_mode_stego_where_classes_are_missing_and_clusters_too_many(seed: int) -> None:
    random = np.random.default_rng(seed)
    counts = random.integers(1, 50, (5, 8)) * (random.random((5, 8)) < 0.5)
    counts[random.random(5) < 0.5] = 0
    counts[0, 0] = counts[0, 7] = 9
    sums = Sums(np.zeros((6, 257), dtype=np.int64))
    sums.counts[:5, :8] = counts
    result = make_score(sums, numbered(5), "hungarian", "stego")
    assert result.miou == pytest.approx(original_miou(counts[:, :5], extra=3))
    assert result.dropped == counts[:, 5:].sum()


def test_classes_are_taken_from_the_labels_when_nobody_names_them(tmp_path: Path) -> None:
    save([[0, 1, 4, 255]], tmp_path / "gt" / "a.png")
    save([[0, 1, 2, 3]], tmp_path / "pred" / "a.png")
    result = run(tmp_path, classes=None)
    assert len(result.table.names) == 5
    assert result.ignored_pixels == 1
    assert result.accuracy == 100


def test_missing_partners_and_broken_files_fail_by_themselves(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    save(np.zeros((6, 8)), tmp_path / "gt" / "x" / "only.png")
    save(np.zeros((6, 8)), tmp_path / "pred" / "y" / "only.png")
    save(np.random.default_rng(0).integers(0, 3, (60, 80)), tmp_path / "gt" / "torn.png")
    (tmp_path / "pred" / "torn.png").write_bytes((tmp_path / "gt" / "torn.png").read_bytes()[:-400])
    save(np.arange(144).reshape(6, 8, 3) // 72 * (255, 0, 0), tmp_path / "gt" / "colour.png")
    save(np.zeros((6, 8)), tmp_path / "pred" / "colour.png")
    result = run(tmp_path)
    reasons = dict(result.failures)
    assert result.images == 2
    assert reasons["x/only.png"] == "no mask for this label"
    assert reasons["y/only.png"] == "no label for this mask"
    assert reasons["torn.png"].startswith("mask: broken")
    assert reasons["colour.png"].startswith("label: a colour picture (#000000, #ff0000)")
    assert len(reasons) == 4


def test_hidden_folders_and_overlays_are_passed_over(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    save(np.zeros((6, 8)), tmp_path / "pred" / ".stego" / "a.png")
    save(np.zeros((6, 8)), tmp_path / "pred" / "0" / "0.overlay.jpg")
    assert list(walk_pairs(tmp_path / "pred", tmp_path / "gt")) == [MaskPair("0/0", "0/0.png", "0/0.png")]


def test_names_that_differ_in_the_case_of_the_suffix_alone_fail(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    save(np.zeros((6, 8)), tmp_path / "pred" / "0" / "0.PNG")
    assert [problem for _, problem in run(tmp_path).failures] == [
        "two files share this name but for the case of its suffix"
    ]


@pytest.mark.parametrize("missing", ["pred", "gt", "both pair"])
def test_no_input(tmp_path: Path, missing: str) -> None:
    if missing != "pred":
        save([[0]], tmp_path / "pred" / "a.png")
    if missing != "gt":
        save([[0]], tmp_path / "gt" / "b.png")
    with pytest.raises(NoInputError):
        run(tmp_path)


def test_the_best_and_the_worst_of_many(tmp_path: Path) -> None:
    label = np.arange(100).reshape(10, 10) % 2
    for index in range(40):
        pred = label.copy()
        pred.ravel()[: index * 2] ^= 1  # the larger the index, the worse
        save(label, tmp_path / "gt" / f"{index:02d}.png")
        save(pred, tmp_path / "pred" / f"{index:02d}.png")
    result = run(tmp_path, classes=2, match="identity", extremes=3)
    assert [one.pair.name for one in result.best] == ["00", "01", "02"]
    assert [one.pair.name for one in result.worst] == ["39", "38", "37"]
    assert result.best[1].accuracy == pytest.approx(98)
    assert result.best[0].miou == 100
    folders, grid = (tmp_path / "pred", tmp_path / "gt"), make_grid(2, 255, None)
    comparison = Comparison(*folders, numbered(2), grid, "identity", "honest", extremes=3)
    with CountsByPair(held=5) as counts:  # a few at a time give the same
        counts.keep(tally(list(walk_pairs(comparison.pred, comparison.gt)), comparison))
        assert counts.extremes(3, grid, result) == (result.best, result.worst)


def test_a_photograph_s_own_figures_treat_extra_clusters_as_the_mode_does(tmp_path: Path) -> None:
    save([[0, 0, 1, 1]], tmp_path / "gt" / "a.png")
    save([[0, 0, 1, 300]], tmp_path / "pred" / "a.png", np.uint16)
    assert run(tmp_path, classes=2, extremes=1).best[0].accuracy == 75
    assert run(tmp_path, classes=2, extremes=1, mode="stego").best[0].accuracy == 100
    save([[0, 0, 1, 3]], tmp_path / "pred" / "a.png")
    assert run(tmp_path, classes=2, extremes=1).best[0].accuracy == 75
    assert run(tmp_path, classes=2, extremes=1, mode="stego").best[0].accuracy == 100


def test_in_a_small_set_no_photograph_is_both_best_and_worst(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    result = run(tmp_path, extremes=4)
    names = [one.pair.name for one in result.best + result.worst]
    assert sorted(names) == ["0/0", "0/1", "0/2"]
    assert len(result.best) == 2

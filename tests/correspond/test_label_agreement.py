"""Precision and recall of pairs, against the definition, and on photographs whose labels are known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stego_cli.correspond.describer import Describer, open_describer
from stego_cli.correspond.label_agreement import ALL, PAIRINGS, Agreement, as_json, curve, label_agreement
from stego_cli.datasets.layout import split_folders
from stego_cli.errors import NoInputError
from stego_cli.progress import Quiet
from stego_cli.settings import DEFAULT_BACKBONE
from stego_cli.stop import Stop
from stego_cli.training.context import RunContext


@pytest.fixture(scope="module")
def describer(real_weights: Path) -> Describer:
    return open_describer(None, DEFAULT_BACKBONE, 56, torch.device("cpu"), Quiet())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Five photographs of a red and a green half with some noise; labels say which, the edge is void."""
    random = np.random.default_rng(0)
    labels = np.array([[0] * 38 + [255] * 4 + [1] * 38] * 60, dtype=np.uint8)
    for index in range(5):
        pixels = np.where(labels[..., None] == 0, (200, 40, 40), (40, 200, 40)) + random.normal(0, 10, (60, 80, 3))
        for kind, suffix, content in (("imgs", "jpg", pixels.clip(0, 255).astype(np.uint8)), ("labels", "png", labels)):
            (tmp_path / kind / "val").mkdir(parents=True, exist_ok=True)
            Image.fromarray(content).save(tmp_path / kind / "val" / f"{index}.{suffix}")
    return tmp_path


def measured(describer: Describer, data: Path, limit: int = 100, seed: int = 0) -> Agreement:
    folders = split_folders(data, "val")
    photos = sorted(folders.photos.glob("*.jpg"))
    return label_agreement(describer, folders, photos, limit, seed, RunContext(describer.device, data, Quiet(), Stop()))


def test_average_precision_is_that_of_the_sorted_pairs() -> None:
    random = np.random.default_rng(1)
    bins, same = random.integers(0, 500, 3000), random.random(3000) < 0.3
    bins[same] += 100
    counts = torch.from_numpy(np.stack([np.bincount(bins[same == wanted], minlength=600) for wanted in (0, 1)]))
    found = curve(counts)
    average, before = 0.0, 0.0
    for threshold in np.unique(bins)[::-1]:  # by definition, pairs of one similarity together
        above = bins >= threshold
        recall = same[above].sum() / same.sum()
        average += (recall - before) * same[above].mean()
        before = recall
    assert found.average_precision == pytest.approx(average, abs=1e-12)
    assert found.recall[-1] == 1
    assert found.precision[-1] == pytest.approx(same.mean())
    assert (np.diff(found.recall) >= 0).all()


def test_pairs_that_are_told_apart_and_pairs_that_are_not() -> None:
    assert curve(torch.tensor([[5, 5, 0, 0], [0, 0, 5, 5]])).average_precision == 1
    assert curve(torch.tensor([[5, 5, 5, 5], [5, 5, 5, 5]])).average_precision == pytest.approx(0.5)
    assert curve(torch.tensor([[0, 5], [5, 0]])).average_precision == 0.5  # the wrong way round: all, or nothing right


def test_pairs_of_no_label_in_common_have_no_precision() -> None:
    assert curve(torch.tensor([[1, 2], [0, 0]])).average_precision == 0
    assert curve(torch.zeros(2, 5, dtype=torch.int64)).average_precision == 0


def test_colour_predicts_labels_that_are_colours(describer: Describer, data: Path) -> None:
    found = measured(describer, data)
    assert found.photographs == 5
    assert set(found.curves) == {"F", "colour"}
    assert found.pairs == {ALL: 15 * 121**2, **dict.fromkeys(PAIRINGS, 5 * 121**2)}
    for pairing in (ALL, *PAIRINGS):
        assert found.base_rates[pairing] == pytest.approx(0.5, abs=0.03)
        assert found.curves["colour"][pairing].average_precision > 0.99
        assert found.curves["F"][pairing].average_precision > 0.7  # patches of 14 pixels blur the edge
    written = as_json(found)
    assert written["average_precision"]["F"]["all"] == found.curves["F"]["all"].average_precision
    assert len(written["precision"]["colour"]["within"]) == len(written["recall"]) == 100
    assert written["precision"]["colour"]["within"][-1] > 0.99  # colour tells all pairs apart


def test_the_same_seed_draws_the_same_and_a_limit_holds(describer: Describer, data: Path) -> None:
    first, again, other = (measured(describer, data, limit=2, seed=seed) for seed in (3, 3, 4))
    assert first.photographs == 2
    assert as_json(first) == as_json(again)
    assert as_json(first) != as_json(other)


def test_labels_that_are_missing_void_or_alone(describer: Describer, data: Path) -> None:
    labels = data / "labels" / "val"
    (labels / "0.png").unlink()
    Image.new("L", (80, 60), 255).save(labels / "1.png")
    assert measured(describer, data).photographs == 3
    for index in (2, 3):
        (labels / f"{index}.png").unlink()
    alone = measured(describer, data)
    assert set(alone.base_rates) == {ALL, "within"}
    (labels / "4.png").unlink()
    with pytest.raises(NoInputError, match="has a class"):
        measured(describer, data)
    (labels / "1.png").unlink()
    with pytest.raises(NoInputError, match="has a label"):
        measured(describer, data)

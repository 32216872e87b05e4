import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stego_cli.classes import numbered
from stego_cli.errors import NoInputError, UsageError
from stego_cli.progress import Quiet
from stego_cli.scoring.evaluate import Evaluation
from stego_cli.settings import EvaluateSettings
from stego_cli.tasks.evaluate import evaluate

COLOURS = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)], dtype=np.uint8)  # the tiny model's classes


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Blocks of colour whose labels are the colours' classes, in another order, with void and one wrong block."""
    generator = np.random.default_rng(0)
    order = np.array([2, 0, 3, 1])
    for index, (height, width) in enumerate([(330, 500), (640, 400), (322, 322)]):
        blocks = generator.integers(0, 4, (-(-height // 40), -(-width // 40)))
        classes = blocks.repeat(40, axis=0).repeat(40, axis=1)[:height, :width]
        labels = order[classes].astype(np.uint8)
        labels[:, width // 2 : width // 2 + 9] = 255
        for kind, image in (("imgs", Image.fromarray(COLOURS[classes])), ("labels", Image.fromarray(labels))):
            (tmp_path / "data" / kind / "val").mkdir(parents=True, exist_ok=True)
            image.save(tmp_path / "data" / kind / "val" / f"{index}.png")
    return tmp_path / "data"


def run(model: Path, data: Path, **settings: object) -> Evaluation:
    given = EvaluateSettings(data, model, classes=numbered(4), workers=1, device="cpu", **settings)
    return evaluate(given, Quiet())


@pytest.mark.parametrize("protocol", ["stego", "full"])
def test_a_perfect_model_scores_nearly_all_whatever_the_order_of_classes(
    protocol: str, flip_model: Path, data: Path
) -> None:
    result = run(flip_model, data, protocol=protocol, crf=False, res=322)
    score = result.scores["cluster", False]
    assert list(result.scores) == [("cluster", False)]
    assert score.accuracy > (99.999 if protocol == "stego" else 98)
    assert score.assignment.tolist() == [2, 0, 3, 1]


@pytest.mark.slow
def test_after_the_crf_is_scored_beside_before_and_twice_alike(flip_model: Path, data: Path) -> None:
    first, second = (run(flip_model, data) for _ in range(2))
    assert list(first.scores) == [("cluster", False), ("cluster", True)]
    for variant, score in first.scores.items():
        assert np.array_equal(score.confusion, second.scores[variant].confusion)
    assert first.scores["cluster", True].accuracy > 95


def test_a_model_without_flip_averaging_is_refused_by_the_papers_protocol(tiny_model: Path, data: Path) -> None:
    with pytest.raises(UsageError, match="mirrored"):
        run(tiny_model, data)


def test_a_missing_split_and_missing_labels_are_named(flip_model: Path, data: Path) -> None:
    with pytest.raises(NoInputError, match="test"):
        run(flip_model, data, split="test")
    (data / "labels" / "val" / "1.png").unlink()
    result = run(flip_model, data, crf=False)
    assert result.scores["cluster", False].images == 2
    assert len(result.failures) == 1
    assert "1.png" in result.failures[0][0]


def test_the_command_shows_published_figures_and_writes_json(
    stego, flip_model: Path, data: Path, tmp_path: Path
) -> None:
    ended = stego("evaluate", data, "--model", flip_model, "--no-crf", "--classes", "cocostuff27", "--json", "out.json")
    assert ended.returncode == 0, ended.stderr
    assert "STEGO (DINO ViT-B/8), published" in ended.stdout
    figures = json.loads((tmp_path / "out.json").read_text())
    assert figures["cluster"]["accuracy"] > 99.9

"""The original's own figures, which mode "stego" must reach; see metrics.json."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stego_cli.classes import numbered
from stego_cli.progress import Quiet
from stego_cli.scoring.result import Score
from stego_cli.settings import ScoreSettings
from stego_cli.stop import Stop
from stego_cli.tasks.score import score

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = json.loads((GOLDEN / "metrics.json").read_text())


def scored(folder: Path, case: int, mode: str) -> Score:
    arrays = np.load(GOLDEN / "metrics.npz")
    for side in ("label", "pred"):
        (folder / side).mkdir(exist_ok=True)
        for index, ids in enumerate(arrays[f"{side}_{case}"]):
            Image.fromarray(np.where(ids < 0, 255, ids).astype(np.uint8)).save(folder / side / f"{index}.png")
    settings = ScoreSettings(
        pred=folder / "pred",
        gt=folder / "label",
        classes=numbered(CASES[case]["n_classes"]),
        match="hungarian" if CASES[case]["hungarian"] else "identity",
        mode=mode,
    )
    with Stop() as stop:
        return score(settings, Quiet(), stop)


@pytest.mark.parametrize("case", range(len(CASES)))
def test_mode_stego_reaches_the_original(tmp_path: Path, case: int) -> None:
    result = scored(tmp_path, case, "stego")
    assert result.miou == pytest.approx(CASES[case]["mIoU"], abs=1e-4)
    assert result.accuracy == pytest.approx(CASES[case]["Accuracy"], abs=1e-4)


@pytest.mark.parametrize("case", range(len(CASES)))
def test_mode_honest_differs_only_by_pixels_on_extra_clusters(tmp_path: Path, case: int) -> None:
    honest, stego = scored(tmp_path, case, "honest"), scored(tmp_path, case, "stego")
    classes = CASES[case]["n_classes"]
    arrays = np.load(GOLDEN / "metrics.npz")
    labels, preds = arrays[f"label_{case}"], arrays[f"pred_{case}"]
    extra = int(((labels >= 0) & (labels < classes) & (preds >= classes)).sum())
    assert (extra > 0) == (case == 4)
    assert (honest.confusion == stego.confusion).all()
    assert (honest.assignment == stego.assignment).all()
    assert honest.unmatched_pixels == stego.unmatched_pixels == extra
    assert int(honest.pixels.sum()) == int(stego.pixels.sum()) + extra
    assert honest.ignored_pixels == stego.ignored_pixels == int(((labels < 0) | (labels >= classes)).sum())
    assert (honest.miou == stego.miou) == (extra == 0)
    right = int(np.trace(stego.confusion))
    assert honest.accuracy == pytest.approx(100 * right / (int(stego.confusion.sum()) + extra))

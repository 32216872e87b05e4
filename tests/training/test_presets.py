"""The published settings, number by number."""

import pytest

from stego_cli.errors import UsageError
from stego_cli.settings import TrainSettings
from stego_cli.training.presets import PRESETS, preset_settings

# steps, batch, crops, code, centring, weights and b (negative, inter, intra), backbone, classes
PUBLISHED = {
    "paper-cocostuff27-vitb8": (7000, 32, "five", 90, True, (0.1538476, 1, 0.1), (1, 0.2, 0.12), "dino-vitb8", 27),
    "paper-cocostuff27-vits8": (5000, 16, "five", 70, True, (0.63, 0.25, 0.67), (0.66, 0.02, 0.08), "dino-vits8", 27),
    "paper-cityscapes-vitb8": (
        7000,
        32,
        "five",
        100,
        False,
        (0.90588, 0.57745, 1),
        (0.31361, 0.17543, 0.45828),
        "dino-vitb8",
        27,
    ),
    "paper-potsdam-vits8": (5000, 16, "none", 70, True, (0.63, 0.25, 0.67), (0.76, 0.02, 0.08), "dino-vits8", 3),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_paper_preset_has_the_published_settings(name: str) -> None:
    s = preset_settings(name)
    own = (s.steps, s.batch, s.crops, s.code, s.centring, s.weights, s.shifts, s.backbone, s.classes)
    assert own == PUBLISHED[name]
    assert (s.preset, s.scheme, s.res, s.crop_ratio, s.points, s.neighbours, s.permutations) == (
        name,
        "paper",
        224,
        0.5,
        11,
        7,
        5,
    )
    assert (s.lr, s.probe_lr, s.dropout, s.clamp, s.whiten, s.smoothing, s.token, s.block, s.temperature) == (
        5e-4,
        5e-3,
        0.1,
        True,
        0,
        0,
        "feat",
        None,
        2,
    )


def test_every_preset_is_pinned_and_auto_is_the_default() -> None:
    assert set(PRESETS) == {"auto", *PUBLISHED}
    assert preset_settings("auto") == TrainSettings()


def test_what_is_given_goes_before_the_preset() -> None:
    settings = preset_settings("paper-potsdam-vits8", backbone="focus-vits14", classes=None, steps=3)
    assert (settings.backbone, settings.classes, settings.steps) == ("focus-vits14", 3, 3)
    with pytest.raises(UsageError, match=r"preset: must be one of auto, .*, got 'paper'"):
        preset_settings("paper")

"""Named settings of `stego train`: `auto`, and the exact settings of the published runs.

The published values are those of the original's configuration files and of the settings stored in its checkpoints; b
and weights are in the order negative, inter, intra. They were tuned for one backbone and data set each: with another
backbone the published shifts make the codes collapse (docs/reference/presets.md). `auto` avoids that.
"""

from __future__ import annotations

from typing import Any

from stego_cli.errors import UsageError
from stego_cli.settings import PAPER_TEMPERATURE, TrainSettings

Row = dict[str, Any]

# Common to all published runs. Steps are updates of the head: a trainer that counts the updates of each of three
# optimisers reports three times as many.
_PAPER: Row = {
    "scheme": "paper",
    "token": "feat",
    "res": 224,
    "crops": "five",
    "crop_ratio": 0.5,
    "points": 11,
    "neighbours": 7,
    "permutations": 5,
    "lr": 5e-4,
    "probe_lr": 5e-3,
    "dropout": 0.1,
    "clamp": True,
    "centring": True,
    "whiten": 0,
    "positions": 0,
    "smoothing": 0.0,
    "finer": 1,
    "temperature": PAPER_TEMPERATURE,
}
_SMALL: Row = {"backbone": "dino-vits8", "steps": 5000, "batch": 16, "code": 70, "weights": (0.63, 0.25, 0.67)}
_BASE: Row = {"backbone": "dino-vitb8", "steps": 7000, "batch": 32}

PRESETS: dict[str, Row] = {
    "auto": {},
    "paper-cocostuff27-vitb8": {
        **_PAPER,
        **_BASE,
        "classes": 27,
        "code": 90,
        "weights": (0.1538476, 1.0, 0.1),
        "shifts": (1.0, 0.2, 0.12),
    },
    "paper-cocostuff27-vits8": {**_PAPER, **_SMALL, "classes": 27, "shifts": (0.66, 0.02, 0.08)},
    "paper-cityscapes-vitb8": {
        **_PAPER,
        **_BASE,
        "classes": 27,
        "code": 100,
        "centring": False,
        "weights": (0.90588, 0.57745, 1.0),
        "shifts": (0.31361, 0.17543, 0.45828),
    },
    "paper-potsdam-vits8": {**_PAPER, **_SMALL, "classes": 3, "crops": "none", "shifts": (0.76, 0.02, 0.08)},
}


def preset_settings(preset: str, **given: Any) -> TrainSettings:  # noqa: ANN401  (fields of TrainSettings)
    """Return the settings of a preset, in which the given fields that are not None replace the preset's.

    Raises:
        UsageError: there is no such preset, or a value is out of range.
    """
    if preset not in PRESETS:
        raise UsageError(f"must be one of {', '.join(PRESETS)}, got {preset!r}", field="preset")
    chosen = {name: value for name, value in given.items() if value is not None}
    return TrainSettings(**{"preset": preset, **PRESETS[preset], **chosen})

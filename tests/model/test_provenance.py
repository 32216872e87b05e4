"""What config.json records besides the model: typed, byte for byte as it was, and nothing lost."""

import json
from dataclasses import replace
from pathlib import Path

import torch

from stego_cli.model.backbones import backbone
from stego_cli.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from stego_cli.model.head import Head
from stego_cli.model.probes import ClusterProbe
from stego_cli.model.provenance import Provenance
from stego_cli.settings import DEFAULT_BACKBONE, TrainSettings

TRAINED = {"stego_version": "0.1", "photographs": 3, "photographs_failed": 0, "steps_done": 0, "last": None}
FOUND = {
    "class_curve": [{"classes": 4, "stability": 1.0, "cosine": 0.5}],
    "blocks": [{"block": 7, "dimensions": 12.5}],
    "linear_classes": 2,
    "linear_accuracy": 0.0,
}
IMPORTED = {"imported": {"file": "a.ckpt", "sha256": "0", "configuration": {"dim": 70, "name": None}}}


def config_after(provenance: Provenance, run: Path) -> tuple[bytes, Checkpoint]:
    """Save a small checkpoint of that provenance; return config.json and what is read from it."""
    run.mkdir(exist_ok=True)
    settings = TrainSettings(code=4, classes=2)
    head, probe, row = Head(384, 4), ClusterProbe(torch.eye(2, 4)), backbone(DEFAULT_BACKBONE)
    checkpoint = Checkpoint(head, probe, (0.5, 0.5), row, 7, "feat", "0", 56, settings, provenance)
    save_checkpoint(checkpoint, run)
    return (run / "config.json").read_bytes(), load_checkpoint(run)


def test_keys_are_written_in_one_order_and_left_out_where_there_is_nothing() -> None:
    for config in (TRAINED, {**TRAINED, **FOUND}, IMPORTED, {}):
        written = Provenance.from_config(config).as_config()
        assert json.dumps(written) == json.dumps(config)


def test_a_checkpoint_that_is_read_and_saved_has_the_same_bytes(tmp_path: Path) -> None:
    for config in ({**TRAINED, **FOUND}, IMPORTED):
        before, checkpoint = config_after(Provenance.from_config(config), tmp_path / "run")
        save_checkpoint(checkpoint, tmp_path / "run")
        assert (tmp_path / "run" / "config.json").read_bytes() == before


def test_keys_of_other_versions_survive(tmp_path: Path) -> None:
    _, checkpoint = config_after(Provenance.from_config({**TRAINED, "of_tomorrow": [1, {"a": 2}]}), tmp_path / "run")
    assert checkpoint.provenance.others == {"of_tomorrow": [1, {"a": 2}]}
    assert checkpoint.provenance.steps_done == 0
    older = {key: value for key, value in TRAINED.items() if key != "photographs_failed"}
    _, checkpoint = config_after(Provenance.from_config(older), tmp_path / "run")
    assert checkpoint.provenance == replace(Provenance.from_config(TRAINED), photographs_failed=None)

"""MASKS/contact_sheet.jpg: overlays of photographs chosen evenly, with the names; no user's file is replaced by it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stego_cli.progress import Quiet
from stego_cli.settings import SegmentSettings
from stego_cli.stop import Stop
from stego_cli.tasks.classes import edit_classes, named
from stego_cli.tasks.segment import segment

PHOTOGRAPHS = 60


@pytest.fixture
def run(tiny_model: Path, tmp_path: Path) -> SegmentSettings:
    """Photographs of one grey each, the darkest first, every fifth of them red."""
    (tmp_path / "photos").mkdir()
    for number in range(PHOTOGRAPHS):
        colour = (250, 10, 10) if number % 5 == 0 else (4 * number,) * 3
        Image.new("RGB", (56, 56), colour).save(tmp_path / f"photos/{number:02}.png")
    return SegmentSettings(tmp_path / "photos", tmp_path / "masks", tiny_model, crf=False, device="cpu", overlay=True)


def test_48_photographs_chosen_evenly_stand_in_rows_of_8_above_the_names(run):
    segment(run, Quiet())
    with Image.open(run.out / "contact_sheet.jpg") as sheet:
        pixels = np.asarray(sheet).astype(int)
    assert pixels.shape[:2] == (8 + 6 * 168 + 22 + 8, 8 + 8 * 168)
    for place in range(48):
        with Image.open(run.out / f"{place * PHOTOGRAPHS // 48:02}.overlay.jpg") as overlay:
            wanted = np.asarray(overlay).astype(int).mean((0, 1))
        top, left = 8 + place // 8 * 168, 8 + place % 8 * 168
        middle = pixels[top + 60 : top + 100, left + 60 : left + 100].mean((0, 1))
        assert np.abs(middle - wanted).max() < 6, place
    legend = pixels[8 + 6 * 168 :]
    assert (legend.min(2) < 100).sum() > 100  # text and colours


def test_the_sheet_follows_the_names_and_a_users_file_is_left(run):
    file = run.out / "contact_sheet.jpg"
    segment(run, Quiet())
    before = file.read_bytes()
    edit_classes(run.out, named(["0=a name"]), Quiet(), Stop())
    assert file.read_bytes() != before
    file.unlink()
    assert segment(run, Quiet()).summary.done == 0
    assert file.exists()
    file.write_bytes(b"a user's own")
    edit_classes(run.out, named(["0=other"]), Quiet(), Stop())
    (run.out / "07.png").unlink()
    segment(run, Quiet())
    assert file.read_bytes() == b"a user's own"


def test_without_overlays_or_where_every_photograph_fails_there_is_none(run):
    segment(replace(run, overlay=False), Quiet())
    assert not (run.out / "contact_sheet.jpg").exists()
    for photograph in run.photos.iterdir():
        photograph.write_bytes(photograph.read_bytes()[:60])
    failed = segment(replace(run, out=run.out.with_name("none")), Quiet()).summary
    assert (failed.done, len(failed.failed)) == (0, PHOTOGRAPHS)
    assert not (run.out.with_name("none") / "contact_sheet.jpg").exists()

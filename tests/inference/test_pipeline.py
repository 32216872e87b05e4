"""The pipeline around devices of its own: what it hands them, and what it does when they run out of memory."""

from __future__ import annotations

import re
import threading

import numpy as np
import pytest
from PIL import Image

from stego_cli.errors import PhotoError
from stego_cli.images.discover import find_photos
from stego_cli.inference import loaded
from stego_cli.inference.loaded import LoadedModel, lanes_for
from stego_cli.inference.outputs import OutputPlan
from stego_cli.inference.pipeline import Pipeline
from stego_cli.inference.predict import Recipe
from stego_cli.inference.session import Session
from tests.support.recorder import Recorder


class Device:
    """Labels each photograph with its first pixel's red; holds at most `room` photographs."""

    declined, decodes = 0, False

    def __init__(self, room: int) -> None:
        self.room, self.batches, self.lock = room, [], threading.Lock()

    def labels(self, images, sizes):
        with self.lock:
            self.batches.append(len(images))
        if len(images) > self.room:
            raise RuntimeError("CUDA failure 2: out of memory")
        return [
            PhotoError("not finite") if image[0, 0, 0] == 13 else np.full(size[::-1], image[0, 0, 0] % 4, np.uint8)
            for image, size in zip(images, sizes, strict=True)
        ]


@pytest.fixture
def run(tmp_path, tiny_model):
    """`run(devices, batch)`: the outcomes of 40 photographs by name, and what was said."""
    (tmp_path / "photos").mkdir()
    for index in range(40):
        size = (60, 90) if index % 3 else (90, 60)
        Image.new("RGB", size, (index, 0, 0)).save(tmp_path / f"photos/{index:02}.png")
    session = Session.from_file(tiny_model, "cpu")

    def go(devices, batch=8):
        found, recorder = find_photos(tmp_path / "photos"), Recorder()
        recipe = Recipe(session.info.res, "cluster", None)
        model = LoadedModel(tiny_model, [session], devices, recipe, batch, lanes=2, processes=2)
        plan = OutputPlan(found.root, tmp_path / "masks", tmp_path, None, session.info.colours("cluster"))
        pipeline = Pipeline(model, plan, recorder)
        return {item.entry.path: item for item in pipeline.masks(found.photos, lambda: False)}, recorder

    return go


def test_devices_get_batches_of_one_shape_and_their_labels_become_the_masks(run, tmp_path):
    devices = [Device(99), Device(99)]
    finished, _ = run(devices)
    assert len(finished) == 40
    assert finished["13.png"].entry.error == "not finite"
    for index in {*range(40)} - {13}:
        assert np.all(np.array(Image.open(tmp_path / f"masks/{index:02}.png")) == index % 4)
        assert set(finished[f"{index:02}.png"].seconds) == {"decode", "infer", "encode", "write"}
    assert sum(size for device in devices for size in device.batches) == 40
    assert max(size for device in devices for size in device.batches) == 8
    assert all(device.batches for device in devices)


def test_a_device_out_of_memory_gets_halves_and_later_batches_are_small_at_once(run):
    device = Device(room=3)
    finished, recorder = run([device], batch=16)
    assert [item.entry.status for item in finished.values()].count("done") == 39
    assert len(recorder.notes) == 1  # whichever of the batches in flight met it first
    assert re.fullmatch(r"Batches of \d+ do not fit into memory; continuing with smaller ones.", recorder.notes[0])
    assert sum(size for size in device.batches if size <= 3) == 40


def test_a_photograph_that_fits_no_device_is_reported_and_the_rest_done(run):
    finished, _ = run([Device(room=0)], batch=4)
    assert {item.entry.status for item in finished.values()} == {"failed"}
    assert "not enough memory" in finished["00.png"].entry.error


def test_there_are_as_many_lanes_as_cores_and_memory_allow(monkeypatch):
    monkeypatch.setattr(loaded, "cores", lambda: 64)
    monkeypatch.setattr(loaded, "memory", lambda: 8_000_000_000)
    assert lanes_for(None) == 10
    assert lanes_for(3) == 3
    monkeypatch.setattr(loaded, "cores", lambda: 4)
    assert lanes_for(None) == 4
    monkeypatch.setattr(loaded, "memory", lambda: 100_000_000)
    assert lanes_for(None) == 1

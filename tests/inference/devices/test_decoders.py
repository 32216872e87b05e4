"""Decoding on a GPU, with a decoder that stands in for it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from stego_cli.errors import PhotoError, UsageError
from stego_cli.images.decode import decode
from stego_cli.images.discover import find_photos
from stego_cli.inference import loaded
from stego_cli.inference.devices import decoders
from stego_cli.inference.devices.decoders import encoded, open_decoder
from stego_cli.inference.devices.gpu_pipeline import DevicePipeline
from stego_cli.inference.loaded import LoadedModel, labellers
from stego_cli.inference.output_folder import MadeBy, decoder_of_run
from stego_cli.inference.outputs import OutputPlan
from stego_cli.inference.pipeline import Pipeline
from stego_cli.inference.predict import Recipe
from stego_cli.inference.session import Session
from stego_cli.reading import Reading
from tests.support.device_decoder import StandIn
from tests.support.recorder import Recorder

RES, PATCH = 56, 14


@pytest.fixture(scope="module")
def session(tiny_model):
    return Session.from_file(tiny_model, "cpu")


@pytest.fixture
def photos(tmp_path, photos_folder):
    """Five JPEGs of one shape, one of them turned by its EXIF, one that no GPU takes, and a PNG."""
    folder = tmp_path / "photos"
    folder.mkdir()
    image = Image.open(photos_folder / "lake.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    for index in range(3):
        image.rotate(index * 3).save(folder / f"{index}.jpg", quality=90)
    image.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.jpg", exif=exif)
    image.convert("CMYK").save(folder / "cmyk.jpg")
    image.convert("L").save(folder / "grey.jpg")
    image.save(folder / "b.png")
    return folder


def test_whole_jpegs_in_grey_and_colour_are_for_the_gpu_and_all_else_for_the_cpu(photos, tmp_path):
    one = encoded(photos / "turned.jpg", RES, PATCH, Reading())
    assert one.size == (640, 360)
    assert one.shape == decode(photos / "turned.jpg", RES, PATCH).pixels.shape
    assert one.placeholder.shape == (*one.shape[:2], 0)
    assert np.array_equal(one.by_host(), decode(photos / "turned.jpg", RES, PATCH).pixels)
    assert encoded(photos / "grey.jpg", RES, PATCH, Reading()) is not None
    for name in ("cmyk.jpg", "b.png"):
        assert encoded(photos / name, RES, PATCH, Reading()) is None
    assert encoded(photos / "0.jpg", RES, PATCH, Reading.parse("1", "auto", False)) is None
    content = (photos / "0.jpg").read_bytes()
    for part in (content[:-500], content[:30], b""):
        (tmp_path / "cut.jpg").write_bytes(part)
        assert encoded(tmp_path / "cut.jpg", RES, PATCH, Reading()) is None
    (tmp_path / "cut.jpg").write_bytes(content + bytes(20))  # filled up, as some cameras do
    assert encoded(tmp_path / "cut.jpg", RES, PATCH, Reading()) is not None


def test_a_batch_is_decoded_together_and_what_the_decoder_refuses_by_the_cpu(session, photos):
    names = ("0", "1", "2", "turned")
    images = [encoded(photos / f"{name}.jpg", RES, PATCH, Reading()) for name in names]
    decoder = StandIn()
    decoder.refused.add(images[1].content)
    pipeline = DevicePipeline(session, "cluster", None, decoder)
    sizes = [image.size for image in images]
    labels = pipeline.labels(images, sizes)
    by_host = DevicePipeline(session, "cluster", None).labels([image.by_host() for image in images], sizes)
    assert decoder.batches == [4]
    assert pipeline.declined == 1
    assert np.array_equal(labels[1], by_host[1])
    for one, other in zip(labels, by_host, strict=True):
        assert (one == other).mean() > 0.99


def test_a_photograph_that_nobody_can_decode_has_a_reason_and_the_others_their_labels(session, photos):
    good, bad = (encoded(photos / f"{name}.jpg", RES, PATCH, Reading()) for name in ("0", "1"))
    decoder = StandIn()
    decoder.refused.add(bad.content)

    def broken():
        raise PhotoError("broken inside")

    object.__setattr__(bad, "by_host", broken)
    first, second = DevicePipeline(session, "cluster", None, decoder).labels([good, bad], [good.size] * 2)
    assert first.shape == (360, 640)
    assert second.message == "broken inside"


def test_a_run_decodes_there_says_once_what_it_did_not_and_makes_the_same_masks(session, photos, tmp_path):
    found, recorder, decoder = find_photos(photos), Recorder(), StandIn()

    def masks(name, recipe, devices):
        plan = OutputPlan(found.root, tmp_path / name, tmp_path, None, session.info.colours("cluster"))
        model = LoadedModel(tmp_path, [session], devices, recipe, 4, lanes=2, processes=2)
        outcomes = list(Pipeline(model, plan, recorder).masks(found.photos, lambda: False))
        assert [outcome.entry.status for outcome in outcomes] == ["done"] * 7
        files = sorted((tmp_path / name).glob("*.png"))
        return {file.name: np.asarray(Image.open(file)) for file in files}

    there = [DevicePipeline(session, "cluster", None, decoder)]
    by_gpu = masks("gpu", Recipe(RES, "cluster", None, decoder="gpu"), there)
    assert sum(decoder.batches) == 5
    assert [note for note in recorder.notes if "decoded on the CPU" in note] == [
        "2 photographs were decoded on the CPU: that of the GPU does not take them."
    ]
    by_cpu = masks("cpu", Recipe(RES, "cluster", None), [])
    assert by_gpu.keys() == by_cpu.keys()
    for name, mask in by_cpu.items():
        assert (by_gpu[name] == mask).mean() > 0.99
    assert np.array_equal(by_gpu["b.png"], by_cpu["b.png"])


def test_without_a_decoder_gpu_is_refused_with_the_remedy_and_auto_says_why(monkeypatch):
    def absent(gpu):
        raise ImportError("No module named 'nvidia.nvimgcodec'")

    monkeypatch.setattr(decoders, "DECODERS", {"nvimgcodec": absent})
    with pytest.raises(UsageError, match=r"cannot be decoded on GPU 0 \(nvimgcodec: No module") as error:
        open_decoder(0)
    assert "stego-cli[gpu-decode]" in error.value.remedy
    session, recorder = type("OnGpu", (), {"gpu": 0, "device": "cuda:0"})(), Recorder()
    monkeypatch.setattr("stego_cli.inference.devices.gpu_pipeline.missing", lambda *_: None)
    monkeypatch.setattr("stego_cli.inference.devices.gpu_pipeline.DevicePipeline", lambda *given: given[-1])
    assert labellers([session], Recipe(RES, "cluster", None), (), recorder, "auto") == [None]
    assert recorder.notes == [
        "Photographs are decoded on the CPU (photographs cannot be decoded on GPU 0 "
        "(nvimgcodec: No module named 'nvidia.nvimgcodec'))."
    ]
    with pytest.raises(UsageError):
        labellers([session], Recipe(RES, "cluster", None), (), recorder, "gpu")
    monkeypatch.setattr(decoders, "DECODERS", {"stand-in": StandIn})
    (decoder,) = labellers([session], Recipe(RES, "cluster", None), (), recorder, "auto")
    assert isinstance(decoder, StandIn)
    assert loaded.open_decoder(1).batches == []


def test_the_decoder_is_in_run_json_where_it_changes_masks_and_auto_goes_on_with_it(tmp_path):
    for name in ("cpu", "gpu"):
        made_by = MadeBy(tmp_path, "0", Recipe(RES, "cluster", None, decoder=name))
        assert made_by.identity().get("decoder") == (None if name == "cpu" else name)
        (tmp_path / name / ".stego").mkdir(parents=True)
        (tmp_path / name / ".stego/run.json").write_text(json.dumps({"identity": made_by.identity()}))
        assert decoder_of_run(tmp_path / name, "auto") == name
        assert decoder_of_run(tmp_path / name, "cpu") == "cpu"
    assert decoder_of_run(tmp_path, "auto") == "auto"

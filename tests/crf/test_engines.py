"""The table of engines: the choice between them, and the input that is refused before any of them runs."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from stego_cli.crf import CHOICES, ENGINES, native_engine, pydensecrf_engine, refine, resolve_engine
from stego_cli.errors import UsageError
from stego_cli.settings import CrfSettings

SETTINGS = CrfSettings(iterations=3)


@pytest.mark.parametrize("engine", ["auto", "cpu", "torch", "pydensecrf"])
@pytest.mark.pydensecrf
def test_every_engine_gives_the_same_classes_for_one_photograph_and_for_a_batch(scene, engine):
    image, log_probs = scene("lake", 40, 60, 4)
    alone = refine(image, log_probs, SETTINGS, engine)
    both = refine(np.stack([image, image]), np.stack([log_probs, log_probs]), SETTINGS, engine, threads=2)
    expected = pydensecrf_engine.refine_one(image, log_probs, SETTINGS)
    assert alone.shape == log_probs.shape
    assert both.shape == (2, *log_probs.shape)
    assert np.array_equal(both[0], both[1])
    for refined in (alone, both[0]):
        assert (refined.argmax(0) == expected.argmax(0)).mean() > 0.9995
        assert np.abs(np.exp(refined) - np.exp(expected)).max() < 1e-4


def test_auto_is_the_native_engine_where_there_is_one_and_a_note_gives_the_reason_for_torch(monkeypatch):
    notes = []
    assert resolve_engine("auto", note=notes.append) is ENGINES["cpu"]
    assert notes == []
    monkeypatch.setattr(native_engine, "missing", lambda: "it was not compiled")
    assert resolve_engine("auto", note=notes.append) is ENGINES["torch"]
    assert notes == ["CRF engine torch (not cpu: it was not compiled)."]


def test_auto_on_a_gpu_tries_cuda_first(monkeypatch):
    notes = []
    monkeypatch.setattr("stego_cli.crf.cuda_engine.missing", lambda: "Triton is not installed")
    assert resolve_engine("auto", on_gpu=True, note=notes.append).name == "cpu"
    assert "not cuda: Triton is not installed" in notes[0]
    monkeypatch.setattr("stego_cli.crf.cuda_engine.missing", lambda: None)
    assert resolve_engine("auto", on_gpu=True).name == "cuda"


def test_an_engine_is_looked_for_once_and_can_be_sent_to_another_process(monkeypatch, scene):
    engine = pickle.loads(pickle.dumps(resolve_engine("cpu")))
    monkeypatch.setattr(native_engine, "missing", lambda: "it must not be asked again")
    image, log_probs = scene("lake", 20, 30, 4)
    assert engine.refine(image, log_probs, SETTINGS).shape == log_probs.shape


@pytest.mark.parametrize("name", ["fast", ""])
def test_an_unknown_engine_is_refused_with_the_known_ones(name):
    with pytest.raises(UsageError) as caught:
        resolve_engine(name)
    assert all(choice in str(caught.value.remedy) for choice in CHOICES)


def test_an_engine_that_is_not_installed_is_refused_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setattr(pydensecrf_engine, "missing", lambda: "it is not installed")
    with pytest.raises(UsageError, match="it is not installed") as caught:
        resolve_engine("pydensecrf")
    assert "pip install" in str(caught.value.remedy)


def test_one_class_or_no_iteration_changes_nothing(scene):
    image, log_probs = scene("lake", 20, 30, 4)
    assert np.array_equal(refine(image, log_probs[:1], SETTINGS), log_probs[:1])
    assert np.array_equal(refine(image, log_probs, CrfSettings(iterations=0)), log_probs)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(scene, value):
    image, log_probs = scene("lake", 20, 30, 4)
    log_probs[3, 7, 11] = value
    with pytest.raises(ValueError, match="finite"):
        refine(image, log_probs, SETTINGS)


def test_shapes_that_do_not_fit_are_refused(scene):
    image, log_probs = scene("lake", 20, 30, 4)
    for wrong in (image[:19], image[None], image[..., :1]):
        with pytest.raises(ValueError, match="does not fit"):
            refine(wrong, log_probs, SETTINGS)
    with pytest.raises(ValueError, match="257 classes"):
        refine(image, np.zeros((257, 20, 30), np.float32), SETTINGS)
    with pytest.raises(ValueError, match="does not fit"):
        refine(image[:0], log_probs[:, :0], SETTINGS)


def test_deviations_near_zero_are_refused(scene):
    image, log_probs = scene("lake", 20, 30, 4)
    with pytest.raises(ValueError, match="at least"):
        refine(image, log_probs, CrfSettings(gaussian_sxy=0.01))

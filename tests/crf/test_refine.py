"""One function, several engines: the choice between them, and what each is never asked."""

from __future__ import annotations

import numpy as np
import pytest

from stego_cli.crf import CHOICES, choose_engine, native_engine, pydensecrf_engine, refine
from stego_cli.errors import UsageError
from stego_cli.settings import CrfSettings

SETTINGS = CrfSettings(iterations=3)


@pytest.mark.parametrize("engine", ["auto", "cpu", "torch", "pydensecrf"])
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


def test_auto_is_the_native_engine_where_there_is_one_and_torch_says_why_it_serves_elsewhere(monkeypatch):
    assert choose_engine("auto")[0] == "cpu"
    monkeypatch.setattr(native_engine, "missing", lambda: "it was not compiled")
    name, why = choose_engine("auto")
    assert name == "torch"
    assert "it was not compiled" in why


@pytest.mark.parametrize("name", ["fast", ""])
def test_an_unknown_engine_is_refused_with_the_known_ones(name):
    with pytest.raises(UsageError) as caught:
        choose_engine(name)
    assert all(choice in str(caught.value.remedy) for choice in CHOICES)


def test_an_engine_that_is_not_installed_is_refused_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setattr(pydensecrf_engine, "missing", lambda: "it is not installed")
    with pytest.raises(UsageError, match="it is not installed") as caught:
        choose_engine("pydensecrf")
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


def test_deviations_of_next_to_nothing_are_refused(scene):
    image, log_probs = scene("lake", 20, 30, 4)
    with pytest.raises(ValueError, match="at least"):
        refine(image, log_probs, CrfSettings(gaussian_sxy=0.01))

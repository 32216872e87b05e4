"""A loaded model: what is decided for a run, and what a GPU does of it."""

from __future__ import annotations

import pytest

from stego_cli.crf import ENGINES
from stego_cli.crf.engines import AUTO, AUTO_ON_GPU
from stego_cli.errors import UsageError
from stego_cli.inference import loaded
from stego_cli.inference.loaded import labellers, load_model
from stego_cli.inference.predict import Recipe, Refiner
from stego_cli.progress import Quiet
from stego_cli.reading import Reading
from stego_cli.settings import CrfSettings, SegmentSettings
from tests.support.recorder import Recorder


class OnGpu:
    gpu, device = 99, "cuda:99"


def recipe(engine=None):
    return Recipe(56, "cluster", engine and Refiner(CrfSettings(), ENGINES[engine]))


def test_a_gpu_that_torch_cannot_use_still_runs_the_network_and_a_note_tells_what_it_does_not():
    recorder = Recorder()
    assert labellers([OnGpu()], recipe(), (), recorder) == []
    assert len(recorder.notes) == 1
    assert "Only the network runs on the GPU" in recorder.notes[0]


@pytest.mark.parametrize(("engine", "outputs"), [(None, ("probabilities",)), ("cpu", ()), ("cuda", ("probabilities",))])
def test_what_the_cpu_needs_log_probabilities_for_is_not_left_to_a_gpu(engine, outputs):
    recorder = Recorder()
    assert labellers([OnGpu()], recipe(engine), outputs, recorder) == []
    assert recorder.notes == []


def test_a_run_on_the_cpu_has_its_resolution_engine_and_shares_of_the_cores_decided(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr(loaded, "cores", lambda: 8)
    settings = SegmentSettings(tmp_path, tmp_path, tiny_model, device="cpu", workers=4)
    model = load_model(tiny_model, settings, Reading(), Quiet())
    assert (model.recipe.res, model.recipe.refiner.engine.name, model.batch, model.lanes) == (56, "cpu", 1, 4)
    assert model.sessions[0].threads == 2
    assert model.names == ("red", "green", "blue", "dark")
    alone = SegmentSettings(tmp_path, tmp_path, tiny_model, device="cpu", crf_engine="pydensecrf", batch_size=3, res=28)
    model = load_model(tiny_model, alone, Reading(), Quiet())
    assert (model.recipe.res, model.sessions[0].threads, model.processes, model.batch) == (28, 8, 8, 3)


def test_auto_takes_no_engine_that_holds_the_gil():
    """`load_model` counts on it: it gives the session its threads before the engine is chosen."""
    assert all(ENGINES[name].releases_gil for name in (*AUTO, *AUTO_ON_GPU))


def test_a_model_without_a_linear_probe_is_refused_where_that_is_asked_for(tiny_model, tmp_path):
    with pytest.raises(UsageError, match="no linear probe"):
        load_model(
            tiny_model,
            SegmentSettings(tmp_path, tmp_path, tiny_model, probe="linear", device="cpu"),
            Reading(),
            Quiet(),
        )

"""Which model is used where none is named."""

from pathlib import Path

import pytest

from stego_cli.tasks.model_choice import DEFAULT_MODEL, model_for_data, model_for_masks


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    return file


def test_masks_get_the_model_that_is_named_else_their_own_else_the_default_one_else_none(here):
    masks = here / "masks"
    assert model_for_masks(None, masks, overwrite=False).file is None
    put(DEFAULT_MODEL)
    assert model_for_masks(None, masks, overwrite=False).file == DEFAULT_MODEL
    discovered = put(masks / ".stego/model.onnx")
    choice = model_for_masks(None, masks, overwrite=False)
    assert (choice.file, choice.was_discovered) == (discovered, True)
    assert model_for_masks(Path("masks/.stego/model.onnx"), masks, overwrite=True).was_discovered
    named = model_for_masks(Path("other.onnx"), masks, overwrite=False)
    assert (named.file, named.was_discovered) == (Path("other.onnx"), False)


def test_masks_that_are_all_made_again_forget_a_model_that_was_discovered(here):
    discovered = put(here / "masks/.stego/model.onnx")
    choice = model_for_masks(None, here / "masks", overwrite=True)
    assert (choice.file, choice.discovered) == (None, discovered)
    put(DEFAULT_MODEL)
    assert model_for_masks(None, here / "masks", overwrite=True).file == DEFAULT_MODEL


def test_a_data_set_gets_the_model_that_is_named_else_the_newest_run_else_the_default_one_else_none(here):
    assert model_for_data(None) is None
    put(DEFAULT_MODEL)
    assert model_for_data(None) == DEFAULT_MODEL
    put(here / "run/model.safetensors")
    (here / "run/config.json").write_text('{"weights_sha256": ""}')
    assert model_for_data(None) == Path("run")
    assert model_for_data(Path("named")) == Path("named")

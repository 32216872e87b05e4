"""Runs and the model file of one, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from export import export_onnx
from stego_cli.progress import Quiet
from stego_cli.settings import ExportSettings
from tests.support.runs import make_run


@pytest.fixture(scope="session")
def run(real_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the backbone's default block."""
    return make_run(tmp_path_factory.mktemp("run"), real_weights)


@pytest.fixture(scope="session")
def shallow_run(real_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of one block, for what does not depend on the depth."""
    return make_run(tmp_path_factory.mktemp("shallow"), real_weights, block=0)


@pytest.fixture(scope="session")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model file of that run."""
    return export_onnx(run, tmp_path_factory.mktemp("exported") / "model.onnx", ExportSettings(), Quiet())

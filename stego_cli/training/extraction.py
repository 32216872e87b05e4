"""The features that a run trains on: kept if they fit, else computed on demand."""

from __future__ import annotations

from pathlib import Path

from stego_cli.model.vit import FrozenViT
from stego_cli.settings import TrainSettings
from stego_cli.text import shown
from stego_cli.training.cached import compute_features
from stego_cli.training.context import RunContext
from stego_cli.training.features import Features
from stego_cli.training.live import live_features
from stego_cli.training.views import Survey, cut_of, survey


def prepare_features(backbone: FrozenViT, paths: list[Path], settings: TrainSettings, context: RunContext) -> Features:
    """Compute and keep the photographs' features or, beyond `max_cache_gb`, get ready to compute them on demand.

    Reports their size before, and photographs that cannot be decoded afterwards.

    Raises:
        NoInputError: no photograph could be decoded.
        OutputError: they do not fit on the disk.
        Stopped: a signal arrived.
    """
    features = _features(
        backbone, survey(paths, cut_of(settings, backbone.row.patch, context.reading)), settings, context
    )
    for path, reason in features.failed:
        context.progress.warn(f"Left out {shown(path)}: {reason}.")
        context.progress.event("photograph_failed", path=shown(path), error=reason)
    return features


def _features(backbone: FrozenViT, found: Survey, settings: TrainSettings, context: RunContext) -> Features:
    size, memory = found.bytes(backbone.row.width), settings.cache_memory_mb * 1_000_000
    views = f"{len(found.views)} {'photographs' if settings.crops == 'none' else 'crops'}"
    if size > settings.max_cache_gb * 1e9:
        context.progress.note(
            f"Features of {views} would take {size / 1e9:.2f} GB, more than the {settings.max_cache_gb:g} GB allowed: "
            "they are computed again at every step, which is slower."
        )
        return live_features(backbone, found, context)
    place = "in memory" if size <= memory and context.ranks.count == 1 else f"in a file in {shown(context.folder)}"
    context.progress.note(f"Features of {views} take {size / 1e6:.0f} MB, kept {place}.")
    return compute_features(backbone, found, memory, context)

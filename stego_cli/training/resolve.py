"""What settings leave open and the photographs decide: the block, the batch and the number of neighbours.

The number of classes, where it is open, is found at the end, on the finished codes (`cluster_codes.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from stego_cli.model.backbones import backbone
from stego_cli.model.provenance import BlockCandidate
from stego_cli.model.vit import FrozenViT, build
from stego_cli.model.weights import pull, weights_sha256
from stego_cli.progress import Progress
from stego_cli.settings import TrainSettings
from stego_cli.training.blocks import best_block, block_dimensions
from stego_cli.training.context import RunContext
from stego_cli.training.views import cut_of


@dataclass(frozen=True)
class ResolvedBackbone:
    """The backbone of a run.

    Attributes:
        vit: built up to the block whose features are taken.
        weights_sha256: of its weights file.
        considered: the blocks compared, if the settings' block is "auto".
    """

    vit: FrozenViT
    weights_sha256: str
    considered: tuple[BlockCandidate, ...] = ()


def resolve_backbone(paths: list[Path], settings: TrainSettings, context: RunContext) -> ResolvedBackbone:
    """Fetch and build the backbone; with the block "auto", choose the block on the photographs.

    Raises:
        UsageError: there is no such backbone or block.
        WeightsError: the weights cannot be fetched.
        Stopped: a signal arrived.
    """
    row = backbone(settings.backbone)
    weights = pull(row, context.progress)
    digest = weights_sha256(weights)
    if not isinstance(settings.block, str):
        return ResolvedBackbone(build(row, weights, settings.block, settings.token), digest)
    whole = build(row, weights, -1, settings.token)
    dimensions = block_dimensions(whole, paths, cut_of(settings, whole.row.patch, context.reading), context)
    if not dimensions:  # no photograph can be decoded: computing the features will report that
        return ResolvedBackbone(build(row, weights, None, settings.token), digest)
    by_block = ", ".join(f"{block}: {value:.1f}" for block, value in dimensions.items())
    context.progress.note(f"Dimensions used by the features of each block: {by_block}.")
    considered: tuple[BlockCandidate, ...] = tuple(
        {"block": block, "dimensions": round(value, 3)} for block, value in dimensions.items()
    )
    context.progress.event("blocks", curve=considered)
    vit = build(row, weights, best_block(dimensions), settings.token)
    return ResolvedBackbone(vit, digest, considered)


def resolve_settings(settings: TrainSettings, block: int, views: int, progress: Progress) -> TrainSettings:
    """Return the settings with the block filled in, adapted to the number of views, and report the adaptation."""
    batch, neighbours = min(views, settings.batch), min(max(1, views - 1), settings.neighbours)
    if views < settings.batch:
        kind = ("photograph" if settings.crops == "none" else "crop") + ("" if views == 1 else "s")
        progress.note(
            f"{views} {kind}: batches of {batch}, {neighbours} nearest neighbour{'' if neighbours == 1 else 's'}"
            + ("; its own patches serve as positives and negatives." if views == 1 else ".")
        )
    return replace(settings, block=block, batch=batch, neighbours=neighbours)

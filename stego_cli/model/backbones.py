"""The table of backbones: one row each, plain data without torch, so that listing them is instant.

A row names the timm architecture, the source of its weights, and how its position embedding is resampled to other
image sizes. That must be done as in the code that the weights were published with, or features differ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from stego_cli.errors import UsageError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Backbone:
    """One frozen vision transformer.

    `positions` is how a table of absolute position embeddings is resampled: "bicubic" (plain), "bicubic+0.1" (plain,
    with the scale of a size 0.1 larger than wanted, as in DINO and DINOv2), "antialias" (as in timm, and in DINOv2 with
    registers), "none" (rotary).
    """

    name: str
    timm_name: str  # architecture and weights tag, as timm spells them
    patch: int  # pixels a side; 0 here and below: filled in from the built model (timm:NAME)
    width: int  # features of a token
    blocks: int
    block: int = -1  # 0-based block whose features are the best; -1: the last
    source: str = "hub"  # a module of stego_cli.model.weights; "run": the weights are in the run folder
    positions: str = "antialias"
    licence: str = "Apache-2.0"
    mean: tuple[float, float, float] = IMAGENET_MEAN  # of RGB in 0 to 1
    std: tuple[float, float, float] = IMAGENET_STD
    about: str = ""


def _hub(name: str, timm_name: str, patch: int, positions: str, about: str, licence: str = "Apache-2.0") -> Backbone:
    width, blocks = _SIZES[timm_name.split("_")[1]]
    return Backbone(name, timm_name, patch, width, blocks, positions=positions, about=about, licence=licence)


_SIZES = {"tiny": (192, 12), "small": (384, 12), "base": (768, 12), "large": (1024, 24)}  # width and blocks
_DINOV3_LICENCE = "DINOv3 License (not open source: read it first)"
_ROWS = (
    Backbone(
        "focus-vits14",
        "vit_small_patch14_dinov2",
        14,
        384,
        12,
        block=7,
        source="wheel",
        positions="bicubic",
        licence="MIT",
        about="default; DINOv2-shaped, from a PyPI wheel",
    ),
    _hub("dino-vits16", "vit_small_patch16_224.dino", 16, "bicubic+0.1", "DINO"),
    _hub("dino-vits8", "vit_small_patch8_224.dino", 8, "bicubic+0.1", "DINO, one of the paper's"),
    _hub("dino-vitb16", "vit_base_patch16_224.dino", 16, "bicubic+0.1", "DINO"),
    _hub("dino-vitb8", "vit_base_patch8_224.dino", 8, "bicubic+0.1", "DINO, one of the paper's"),
    _hub("dinov2-vits14", "vit_small_patch14_dinov2.lvd142m", 14, "bicubic+0.1", "DINOv2"),
    _hub("dinov2-vitb14", "vit_base_patch14_dinov2.lvd142m", 14, "bicubic+0.1", "DINOv2"),
    _hub("dinov2-vits14-reg", "vit_small_patch14_reg4_dinov2.lvd142m", 14, "antialias", "DINOv2, 4 registers"),
    _hub("dinov2-vitb14-reg", "vit_base_patch14_reg4_dinov2.lvd142m", 14, "antialias", "DINOv2, 4 registers"),
    _hub("dinov3-vits16", "vit_small_patch16_dinov3.lvd1689m", 16, "none", "DINOv3, rotary", _DINOV3_LICENCE),
    _hub("dinov3-vitb16", "vit_base_patch16_dinov3.lvd1689m", 16, "none", "DINOv3, rotary", _DINOV3_LICENCE),
)
BACKBONES: dict[str, Backbone] = {row.name: row for row in _ROWS}

_ANY = Backbone("timm:NAME", "", 0, 0, 0, licence="see the model's page", about="any vision transformer of timm")


def backbone(name: str) -> Backbone:
    """Return the row of `name`, or for `timm:NAME` a new row, to be filled in from the built model.

    Raises:
        UsageError: there is no backbone of that name; the remedy lists all names.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    if name.startswith("timm:") and len(name) > len("timm:"):
        return replace(_ANY, name=name, timm_name=name.removeprefix("timm:"))
    raise UsageError(
        f"there is no backbone {name!r}.",
        f"Choose one of {', '.join(BACKBONES)}, timm:NAME (`stego models list` describes them).",
        field="backbone",
    )

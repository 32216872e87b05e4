"""A frozen vision transformer as a map from pixels to features on the patch grid.

timm's models are used as they are, cut after the block whose features are wanted. Those with a table of position
embeddings get it resampled by `positions.resample`, in the style of the code that published the weights; those without
(rotary) run timm's own forward pass.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stego_cli.errors import UsageError, WeightsError
from stego_cli.model.backbones import BACKBONES, Backbone
from stego_cli.model.positions import resample


class FrozenViT(nn.Module):
    """Pixels to features, without gradient.

    Attributes:
        row: the backbone, with patch, width and blocks filled in.
        block: 0-based block whose tokens are taken.
        token: "feat" (the block's output after the final norm) or "key" (the keys of its attention).
    """

    def __init__(self, vit: Any, row: Backbone, block: int, token: str) -> None:  # noqa: ANN401  (timm is untyped)
        super().__init__()
        self.row, self.block, self.token = row, block, token
        vit.blocks = vit.blocks[: block + 1]
        self.vit: Any = vit
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(row.mean).mul(255.0), persistent=False)
        self.register_buffer("std", torch.tensor(row.std).mul(255.0), persistent=False)
        self.requires_grad_(False)
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        """Return features (B, H/patch, W/patch, C) of `image`, uint8 (B, H, W, 3) RGB, H and W multiples of the patch.

        The features are float32 (float16 in a model of that precision).
        """
        tokens, options = self._first(image)
        *before, last = self.vit.blocks
        for block in before:
            tokens = block(tokens, **options)
        if self.token == "feat":
            tokens = last(tokens, **options)
        return self._features(tokens, last, image)

    def every_block(self, image: Tensor) -> list[Tensor]:
        """Return what `forward` would of each block up to this one, in order, from one pass."""
        tokens, options = self._first(image)
        features = []
        for block in self.vit.blocks:
            before = tokens
            tokens = block(tokens, **options)
            features.append(self._features(tokens if self.token == "feat" else before, block, image))
        return features

    def _features(self, tokens: Tensor, block: Any, image: Tensor) -> Tensor:  # noqa: ANN401  (timm is untyped)
        """Return the features (B, h, w, C) of a block: normed output tokens, or the keys of tokens that it is given."""
        if self.token == "key":
            qkv: Tensor = block.attn.qkv(block.norm1(tokens))  # (B, N, 3 * C): queries, keys, values
            tokens = qkv.chunk(3, dim=-1)[1]
        else:
            tokens = self.vit.norm(tokens)
        height, width = image.shape[1] // self.row.patch, image.shape[2] // self.row.patch
        return tokens[:, self._prefix() :].reshape(tokens.shape[0], height, width, self.row.width)

    def _prefix(self) -> int:
        return int(self.vit.num_prefix_tokens)

    def _first(self, image: Tensor) -> tuple[Tensor, dict[str, Any]]:
        """Return the tokens that the first block is given, (B, prefix + h * w, C), and what all blocks are told."""
        vit = self.vit
        dtype = next(vit.parameters()).dtype
        pixels = ((image.float() - self.mean.float()) / self.std.float()).permute(0, 3, 1, 2).to(dtype)
        height, width = pixels.shape[-2] // self.row.patch, pixels.shape[-1] // self.row.patch
        rope = None
        if self.row.positions == "none":
            tokens, rope = vit._pos_embed(vit.patch_embed(pixels))
        else:
            tokens = self._embed(pixels, height, width)
        return vit.norm_pre(tokens), {} if rope is None else {"rope": rope}

    def _embed(self, pixels: Tensor, height: int, width: int) -> Tensor:
        """Patch embedding plus resampled positions plus class and register tokens."""
        vit = self.vit
        tokens: Tensor = vit.patch_embed.proj(pixels).flatten(2).transpose(1, 2)
        table: Tensor = vit.pos_embed  # (1, n or prefix + n, C)
        side = int((table.shape[1] - (0 if vit.no_embed_class else self._prefix())) ** 0.5)
        grid = table[0, -side * side :].reshape(side, side, -1)
        # Resampled in float32: half precision would move the tokens by more than the parity check allows.
        tokens = tokens + resample(grid.float(), height, width, self.row.positions).flatten(0, 1).to(tokens)
        named = (getattr(vit, name, None) for name in ("cls_token", "dist_token", "reg_token"))
        prefix = [token for token in named if isinstance(token, Tensor)]
        if not prefix:
            return tokens
        first = torch.cat(prefix, dim=1)
        if not vit.no_embed_class:
            first = first + table[:, : first.shape[1]]
        embedded: Tensor = torch.cat([first.expand(tokens.shape[0], -1, -1), tokens], dim=1)
        return embedded


def build(row: Backbone, weights: Path | None, block: int | None = None, token: str = "feat") -> FrozenViT:
    """Build a backbone, cut after `block` (None: the row's best).

    Args:
        row: the backbone.
        weights: its safetensors file; None leaves it at random, for tests.
        block: 0-based; negative counts from the end.
        token: "feat" or "key".

    Raises:
        UsageError: timm has no such vision transformer, or it has no such block or token.
        WeightsError: the file does not fit the architecture.
    """
    import timm

    architecture = row.timm_name
    # Some of timm's entries name a loader for the format that their weights first came in; ours are safetensors.
    overlay = {"file": str(weights), "custom_load": False} if weights and row.source == "hub" else None
    try:
        vit: Any = timm.create_model(
            architecture,
            pretrained=overlay is not None,
            pretrained_cfg_overlay=overlay,
            num_classes=0,
            dynamic_img_size=True,
        )
        if weights and row.source != "hub":
            from safetensors.torch import load_file

            vit.load_state_dict(load_file(weights))
    except (RuntimeError, OSError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        if weights is None or "Unknown model" in reason:
            raise UsageError(f"timm cannot build {architecture!r}: {reason}") from error
        again = (
            "Import the checkpoint again." if row.source == "run" else f"Delete them: `stego models pull {row.name}`."
        )
        raise WeightsError(f"The weights in {weights} do not fit {row.name}: {reason}", again) from error
    except TypeError as error:  # dynamic_img_size is what a plain vision transformer takes
        raise UsageError(f"{architecture} is not a plain vision transformer of timm: {error}.") from error
    row = _filled_in(row, vit)
    chosen = row.block if block is None else block
    if not -row.blocks <= chosen < row.blocks:
        raise UsageError(f"{row.name} has blocks 0 to {row.blocks - 1}; --block is {chosen}.")
    chosen %= row.blocks
    if token == "key" and not hasattr(vit.blocks[chosen].attn, "qkv"):
        raise UsageError(f"The keys of {row.name} cannot be had; use --token feat.")
    frozen = FrozenViT(vit, row, chosen, token)
    if row.name not in BACKBONES and row.source == "hub":
        _try_out(frozen)
    return frozen


def _try_out(vit: FrozenViT) -> None:
    """Run a model that the table does not know on a few patches: timm has transformers of many shapes."""
    patch = vit.row.patch
    try:
        with torch.inference_mode():
            shape = vit(torch.zeros(1, 2 * patch, 3 * patch, 3, dtype=torch.uint8)).shape
    except (RuntimeError, AttributeError, TypeError) as error:
        raise UsageError(f"{vit.row.timm_name} is not a plain vision transformer of timm: {error}.") from error
    if shape != (1, 2, 3, vit.row.width):
        raise UsageError(f"{vit.row.timm_name} gives features of shape {tuple(shape)}, not one for each patch.")


def _filled_in(row: Backbone, vit: Any) -> Backbone:  # noqa: ANN401  (timm's attributes are known to timm alone)
    """Return the row with what only the built model tells."""
    patch = vit.patch_embed.patch_size
    config = vit.pretrained_cfg
    absolute = isinstance(getattr(vit, "pos_embed", None), Tensor) and getattr(vit, "rope", None) is None
    if not (hasattr(vit, "blocks") and hasattr(vit, "num_prefix_tokens")) or patch[0] != patch[1]:
        raise UsageError(f"{row.timm_name} is not a plain vision transformer with square patches.")
    return replace(
        row,
        patch=int(patch[0]),
        width=int(vit.embed_dim),
        blocks=len(vit.blocks),
        positions=row.positions if absolute else "none",
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )

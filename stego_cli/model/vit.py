"""A frozen vision transformer as a map from pixels to features on the patch grid.

timm's models are used as they are, cut after the block whose features are wanted. Those with a table of position
embeddings get it resampled by `position_embedding.resample`, as in the code that published the weights; those without
(rotary) use timm's own forward pass.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stego_cli.errors import UsageError, WeightsError, setting
from stego_cli.model.backbones import BACKBONES, Backbone
from stego_cli.model.position_embedding import resample


class FrozenViT(nn.Module):
    """Pixels to features, without gradient.

    Attributes:
        row: the backbone, with patch, width and blocks filled in.
        block: 0-based block whose tokens are the features.
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

        The features are float32, or float16 in a model of that precision.
        """
        tokens, options = self._first(image)
        *before, last = self.vit.blocks
        for block in before:
            tokens = block(tokens, **options)
        if self.token == "feat":
            tokens = last(tokens, **options)
        return self._features(tokens, last, image)

    def every_block(self, image: Tensor) -> list[Tensor]:
        """Return the features that `forward` would return for each block up to `block`, in order, in one pass."""
        tokens, options = self._first(image)
        features = []
        for block in self.vit.blocks:
            before = tokens
            tokens = block(tokens, **options)
            features.append(self._features(tokens if self.token == "feat" else before, block, image))
        return features

    def _features(self, tokens: Tensor, block: Any, image: Tensor) -> Tensor:  # noqa: ANN401  (timm is untyped)
        """Return features (B, h, w, C): the normed output tokens of a block, or the keys that it makes of its input."""
        if self.token == "key":
            qkv: Tensor = block.attn.qkv(block.norm1(tokens))  # (B, N, 3 * C): queries, keys, values
            tokens = qkv.chunk(3, dim=-1)[1]
        else:
            tokens = self.vit.norm(tokens)
        height, width = image.shape[1] // self.row.patch, image.shape[2] // self.row.patch
        return tokens[:, self._prefix() :].reshape(tokens.shape[0], height, width, self.row.width)

    def position_table(self) -> Tensor:
        """Return the table of absolute position embeddings, (n, n, C), of a row whose positions are not "none"."""
        table: Tensor = self.vit.pos_embed  # (1, n * n or prefix + n * n, C)
        side = int((table.shape[1] - (0 if self.vit.no_embed_class else self._prefix())) ** 0.5)
        return table[0, -side * side :].reshape(side, side, -1)

    def prefix(self) -> Tensor | None:
        """Return the class and register tokens with their position embeddings, (1, prefix, C); None: there are none."""
        named = (getattr(self.vit, name, None) for name in ("cls_token", "dist_token", "reg_token"))
        tokens = [token for token in named if isinstance(token, Tensor)]
        if not tokens:
            return None
        first = torch.cat(tokens, dim=1)
        return first if self.vit.no_embed_class else first + self.vit.pos_embed[:, : first.shape[1]]

    def _prefix(self) -> int:
        return int(self.vit.num_prefix_tokens)

    def _first(self, image: Tensor) -> tuple[Tensor, dict[str, Any]]:
        """Return the first block's input, (B, prefix + h * w, C), and the arguments of all blocks."""
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
        """Return the patch embedding plus resampled positions, after the class and register tokens."""
        tokens: Tensor = self.vit.patch_embed.proj(pixels).flatten(2).transpose(1, 2)
        # Resampled in float32: in half precision tokens would differ by more than the parity check allows.
        grid, prefix = self.position_table().float(), self.prefix()
        tokens = tokens + resample(grid, height, width, self.row.positions).flatten(0, 1).to(tokens)
        return tokens if prefix is None else torch.cat([prefix.expand(tokens.shape[0], -1, -1), tokens], dim=1)


def build(row: Backbone, weights: Path | None, block: int | None = None, token: str = "feat") -> FrozenViT:
    """Build a backbone, cut after `block` (None: the row's best).

    Args:
        row: the backbone.
        weights: its safetensors file; None: random weights, for tests.
        block: 0-based; negative counts from the end.
        token: "feat" or "key".

    Raises:
        UsageError: timm has no such vision transformer, or it has no such block or token.
        WeightsError: the file does not fit the architecture.
    """
    import timm

    architecture = row.timm_name
    # Some of timm's entries name a loader for the format of the first publication; ours are safetensors.
    overlay = {"file": str(weights), "custom_load": False} if weights and row.source == "hub" else None
    own = None if overlay else weights  # a file with all weights: first ones, which take a second, are not drawn
    try:
        with torch.device("meta" if own else "cpu"):
            vit: Any = timm.create_model(
                architecture,
                pretrained=overlay is not None,
                pretrained_cfg_overlay=overlay,
                num_classes=0,
                dynamic_img_size=True,
            )
        if own:
            from safetensors.torch import load_file

            vit.to_empty(device="cpu").load_state_dict(load_file(own))
    except (RuntimeError, OSError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        if weights is None or "Unknown model" in reason:
            raise UsageError(f"timm cannot build {architecture!r}: {reason}", field="backbone") from error
        again = (
            "Import the checkpoint again." if row.source == "run" else f"Delete them: `stego models pull {row.name}`."
        )
        raise WeightsError(f"The weights in {weights} do not fit {row.name}: {reason}", again) from error
    except TypeError as error:  # only plain vision transformers have dynamic_img_size
        raise _not_plain(architecture, error) from error
    row = _filled_in(row, vit)
    chosen = row.block if block is None else block
    if not -row.blocks <= chosen < row.blocks:
        raise UsageError(f"{row.name} has blocks 0 to {row.blocks - 1}, not {chosen}.", field="block")
    chosen %= row.blocks
    if token == "key" and not hasattr(vit.blocks[chosen].attn, "qkv"):
        raise UsageError(f"{row.name} does not offer its keys.", f"Give {setting('token', 'feat')}.", field="token")
    frozen = FrozenViT(vit, row, chosen, token)
    if row.name not in BACKBONES and row.source == "hub":
        _try_out(frozen)
    return frozen


def _try_out(vit: FrozenViT) -> None:
    """Run a model that is not in the table on a few patches: timm has transformers of many kinds."""
    patch = vit.row.patch
    try:
        with torch.inference_mode():
            shape = vit(torch.zeros(1, 2 * patch, 3 * patch, 3, dtype=torch.uint8)).shape
    except (RuntimeError, AttributeError, TypeError) as error:
        raise _not_plain(vit.row.timm_name, error) from error
    if shape != (1, 2, 3, vit.row.width):
        raise _not_plain(vit.row.timm_name, f"its features have the shape {tuple(shape)}")


def _not_plain(name: str, reason: object) -> UsageError:
    return UsageError(f"{name} is not a plain vision transformer of timm: {reason}.", field="backbone")


def _filled_in(row: Backbone, vit: Any) -> Backbone:  # noqa: ANN401  (timm's attributes are known to timm alone)
    """Return the row with what is known only from the built model."""
    patch = vit.patch_embed.patch_size
    config = vit.pretrained_cfg
    absolute = isinstance(getattr(vit, "pos_embed", None), Tensor) and getattr(vit, "rope", None) is None
    if not (hasattr(vit, "blocks") and hasattr(vit, "num_prefix_tokens")) or patch[0] != patch[1]:
        raise _not_plain(row.timm_name, "it has no blocks, or its patches are not square")
    return replace(
        row,
        patch=int(patch[0]),
        width=int(vit.embed_dim),
        blocks=len(vit.blocks),
        positions=row.positions if absolute else "none",
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )

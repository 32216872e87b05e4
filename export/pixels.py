"""The graph's last stage: class probabilities of pixels from codes of cells, without a code for each pixel.

The model upsamples the code bilinearly and then computes the cosine of each pixel to each centroid
(`Segmenter.forward`, with which the export is compared). The same numbers take a third of the work in another order. A
pixel's code is sum_i w_i c_i over the four cells around it, therefore

- its product with a centroid is the upsampled product: K planes are enlarged instead of D, and
- its squared length is sum_ij w_i w_j <c_i, c_j>: products of neighbouring cells, enlarged with products of weights.

Enlarging is a product with two small matrices, which is exact at every patch and at the borders, keeps height and width
dynamic, and runs faster than Resize. log_softmax is written out, since ONNX Runtime's own is slow along a strided axis.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stego_cli.model.segmenter import Segmenter

# A squared length below this share of the cells' own is rounding, not length: opposite codes cancelled in between.
_CANCELLED = 1e-6
_SMALLEST = 1e-24  # the square of the length at which torch's normalize stops dividing


class PixelGraph(nn.Module):
    """A segmenter in the form that is exported: same inputs, same outputs to rounding."""

    def __init__(self, model: Segmenter) -> None:
        super().__init__()
        self.model = model
        self.eval()

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return what `Segmenter.forward` returns for `image`, uint8 (B, H, W, 3)."""
        model, patch = self.model, self.model.backbone.row.patch
        code = model.code(image).float().permute(0, 2, 3, 1)  # (B, h, w, D)
        down, across = bilinear(code.shape[1], patch), bilinear(code.shape[2], patch)
        products = F.linear(code, model.temperature * F.normalize(model.centroids, dim=1))  # (B, h, w, K)
        length = squared_length(code, down, across).sqrt()[:, None]  # (B, 1, H, W)
        outputs: tuple[Tensor, ...] = (_log_softmax(_enlarge(products, down, across) * length.reciprocal()),)
        if model.has_linear:
            scores = _enlarge(F.linear(code, model.linear_weight, model.linear_bias), down, across)
            # Unlike cosines these have no bound, and exp() has.
            outputs += (_log_softmax(scores - scores.amax(1, keepdim=True)),)
        return outputs


def bilinear(cells: int, patch: int) -> Tensor:
    """Return the weights (cells * patch, cells) of bilinear interpolation, float32, align_corners=False.

    Args:
        cells: may be symbolic while a graph is exported.
        patch: pixels a cell.
    """
    centres = torch.arange(cells, dtype=torch.float32) * patch + (patch - 1) / 2
    pixels = torch.arange(cells * patch, dtype=torch.float32)
    pixels = torch.minimum(pixels.clamp(min=(patch - 1) / 2), centres[-1])  # beyond the outer centres nothing changes
    return (1 - (pixels[:, None] - centres[None]).abs() / patch).clamp(min=0)


def squared_length(code: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Return the squared length (B, H, W) of each pixel's code, from the codes of the cells.

    Args:
        code: (B, h, w, D), float32.
        down: weights (H, h) of each row of cells in each row of pixels, at most two neighbours above 0.
        across: weights (W, w), likewise.
    """
    own = (code * code).sum(3)
    right = (code[:, :, :-1] * code[:, :, 1:]).sum(3)
    below = (code[:, :-1] * code[:, 1:]).sum(3)
    diagonals = (code[:, :-1, :-1] * code[:, 1:, 1:]).sum(3) + (code[:, :-1, 1:] * code[:, 1:, :-1]).sum(3)
    # Rows: each cell, then each pair of cells one above the other; columns: each cell, then each pair side by side.
    gram = torch.cat([torch.cat([own, right], 2), torch.cat([below, diagonals / 2], 2)], 1)  # (B, 2h - 1, 2w - 1)
    length = _with_pairs(down) @ (gram @ _with_pairs(across).T)
    return torch.maximum(length, (down @ (own @ across.T)) * _CANCELLED + _SMALLEST)


def _with_pairs(weights: Tensor) -> Tensor:
    """Return (n, 2c - 1): the square of each weight (n, c), and twice the product of each two neighbours."""
    return torch.cat([weights * weights, 2 * weights[:, :-1] * weights[:, 1:]], 1)


def _enlarge(cells: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Return (B, K, H, W), bilinear, of values (B, h, w, K)."""
    return down @ (cells.permute(0, 3, 1, 2) @ across.T)


def _log_softmax(scores: Tensor) -> Tensor:
    """Return the log_softmax over the classes of (B, K, H, W), whose exponentials neither overflow nor all vanish."""
    batch, classes, height, width = scores.shape
    # A product with ones is the quickest sum over an axis that is not the last.
    total = torch.ones(1, classes) @ scores.exp().reshape(batch, classes, height * width)
    return scores - total.log().reshape(batch, 1, height, width)

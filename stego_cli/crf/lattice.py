"""The permutohedral lattice in torch: where each pixel's features lie in it, and which vertices are neighbours.

A Gaussian filter in a feature space of d dimensions costs O(pixels x d^2) on this lattice (Adams, Baek and Davis,
"Fast high-dimensional filtering using the permutohedral lattice", 2010): splat the values onto the D = d + 1 corners
of the simplex that encloses each pixel, blur along the D axes of the lattice, slice the values back.

Rows are the short dimension everywhere, (D, pixels) rather than (pixels, D): each step below is then a pass over
contiguous memory on any device. All photographs of a batch share one lattice whose vertices also carry the photograph's
number, so that building it is one sort. The order of operations is that of pydensecrf's code, because float32 rounding
decides into which of two touching simplices a pixel on their border falls.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stego_cli.errors import UsageError

_CODE_LIMIT = 2**62  # of int64; leaves a bit for sums
_PITCH = 16  # elements; rows of the table of neighbours begin aligned, whatever the number of vertices


@dataclass(frozen=True)
class Lattice:
    """The lattice of P pixels with d features: D = d + 1 corners a pixel and M vertices, int32 and float32 tensors.

    Vertices are numbered in the order in which the pixels first touch them, so that what is near in the photograph is
    near in memory.
    """

    vertices: Tensor  # int32 (D, P): the vertex at each corner of each pixel's simplex
    weights: Tensor  # float32 (D, P): the barycentric coordinates; they sum to 1 over the corners
    neighbours: Tensor  # int32 (D, 2, M rounded up): along each axis the next and the previous vertex; M: there is none
    entries: Tensor  # int32 (D * P): indices into the flattened (D, P) tensors, grouped by vertex, pixels rising
    first: Tensor  # int32 (M + 1): where each vertex's group begins in `entries`

    @property
    def count(self) -> int:
        """The number of vertices M."""
        return self.first.shape[0] - 1

    @property
    def alpha(self) -> float:
        """The factor by which a sliced value is brought back to the scale of the splatted ones."""
        return 1 / (1 + 2.0 ** -(self.vertices.shape[0] - 1))


def spatial_features(height: int, width: int, sxy: float, device: torch.device) -> Tensor:
    """Return float32 (2, height * width): x and y of each pixel in units of `sxy` pixels."""
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float32, device=device),
        torch.arange(width, dtype=torch.float32, device=device),
        indexing="ij",
    )
    return _divided(torch.stack([x, y]).flatten(1), sxy)


def bilateral_features(images: Tensor, sxy: float, srgb: float) -> Tensor:
    """Return float32 (5, B * H * W): x, y, blue, green and red of each pixel of uint8 (B, H, W, 3) RGB images.

    The lattice treats its dimensions differently in the last digits; blue first is the published evaluation's order.
    """
    batch, height, width, _ = images.shape
    spatial = spatial_features(height, width, sxy, images.device)
    colours = _divided(images.flip(-1).reshape(-1, 3).T.to(torch.float32), srgb)
    return torch.cat([spatial.repeat(1, batch), colours])


def _divided(values: Tensor, by: float) -> Tensor:
    """Divide as C does: with a plain number torch multiplies by its reciprocal on a GPU, which rounds otherwise."""
    return values / torch.full((), by, device=values.device)


def build(features: Tensor, photographs: int = 1) -> Lattice:
    """Place pixels in the lattice and find its vertices.

    Args:
        features: float32 (d, P), in units of the kernel's deviations; any device.
        photographs: P is made of this many equal parts that share no vertex.

    Raises:
        UsageError: the features span more of the lattice than a code of 62 bits can number.
    """
    cells, rank, weights = _simplices(features)
    codes, steps = _codes(cells, rank, photographs)
    ordered, entries = torch.sort(codes.flatten(), stable=True)
    begins = torch.cat([ordered.new_ones(1, dtype=torch.bool), ordered[1:] != ordered[:-1]])
    starts = begins.nonzero().squeeze(1)
    unique = ordered[starts]
    number = _by_first_touch(entries[starts] % features.shape[1])  # of each vertex, which are sorted by code here
    vertices = torch.empty_like(entries, dtype=torch.int32)
    vertices[entries] = number[torch.cumsum(begins, 0) - 1]
    entries, first = _regrouped(entries, starts, number)
    return Lattice(
        vertices=vertices.view(codes.shape),
        weights=weights,
        neighbours=_neighbours(unique, number, steps, codes.shape[0]),
        entries=entries,
        first=first,
    )


def _simplices(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the enclosing simplex of each pixel: its cell and rank, int32 (D, P), and its weights, float32 (D, P).

    Coordinate i of the simplex's remainder-0 corner is D times its cell; the rank orders the differences to it.
    """
    d, pixels = features.shape
    corners = d + 1
    unit = float(np.float32((2 / 3) ** 0.5 * corners))  # the blur then deviates by 1 in feature space
    elevated = features.new_empty(corners, pixels)
    total = torch.zeros_like(features[0])
    for j in range(d, 0, -1):
        scaled = features[j - 1] * (1 / (j * (j + 1)) ** 0.5 * unit)
        elevated[j] = total - j * scaled
        total = total + scaled
    elevated[0] = total

    nearest = torch.round(elevated * (1 / corners))
    difference = elevated - nearest * corners
    rank = torch.zeros_like(elevated, dtype=torch.int32)
    for i in range(corners):
        for j in range(i + 1, corners):
            less = difference[i] < difference[j]
            rank[i] += less
            rank[j] += ~less
    # The rounded point lies in the lattice's plane only if its cells sum to 0: move the coordinates worth moving.
    cells = nearest.to(torch.int32)
    rank += cells.sum(0, dtype=torch.int32)
    move = (rank < 0).to(torch.int32) - (rank > d).to(torch.int32)
    cells += move
    rank += corners * move

    share = (elevated - cells * float(corners)) * (1 / corners)
    by_rank = torch.empty_like(share).scatter_(0, rank.long(), share)  # rank is a permutation of 0 to d
    weights = by_rank.flip(0)
    weights[1:] -= by_rank.flip(0)[:-1]
    weights[0] += 1 - by_rank[0]
    return cells, rank, weights


def _codes(cells: Tensor, rank: Tensor, photographs: int) -> tuple[Tensor, Tensor]:
    """Number the vertices: int64 codes (D, P), and the change of code to the next vertex, (2, D) for D axes.

    All coordinates of the vertex at corner r are r modulo D, and the last follows from the others. So r and the cells
    of d coordinates name a vertex, and written as digits of one number (r last) they leave a photograph of 4 megapixels
    far from 62 bits. The second dimension of the steps is the axis, the first is 0 for r < d and 1 for r = d, where
    going on means r = 0 in the cells that follow.
    """
    corners, pixels = cells.shape
    d = corners - 1
    low, high = torch.stack(torch.aminmax(cells[:d], dim=1)).tolist()
    places = [corners]
    # One cell below the remainder-0 corner for its other corners; one more on either side for a neighbour's.
    for smallest, largest in zip(low, high, strict=True):
        places.append(places[-1] * (largest - smallest + 4))
    if places[-1] * photographs >= _CODE_LIMIT:
        raise UsageError(
            "The CRF's deviations are too small for this engine: its kernels have too many cells.",
            "Make them larger, or take another engine.",
        )
    codes = torch.arange(corners, device=cells.device)[:, None].repeat(1, pixels)
    codes += torch.arange(photographs, device=cells.device).repeat_interleave(pixels // photographs) * places[-1]
    for i in range(d):
        codes += (cells[i].to(torch.int64) - (low[i] - 2)) * places[i]
        for r in range(1, corners):
            codes[r] -= (rank[i] > d - r) * places[i]
    # Along axis j every coordinate grows by 1 but the j-th, which falls by d: by 1 and then by a whole cell.
    steps = [[1 - (place if j < d else 0) for j, place in enumerate(places)]]
    steps.append([step - corners + sum(places[:d]) for step in steps[0]])
    return codes, torch.tensor(steps, device=cells.device)


def _by_first_touch(pixels: Tensor) -> Tensor:
    """Return each vertex's number, int32, given the first pixel that touches each."""
    order = torch.argsort(pixels, stable=True)
    number = torch.empty_like(order, dtype=torch.int32)
    number[order] = torch.arange(len(order), dtype=torch.int32, device=order.device)
    return number


def _regrouped(entries: Tensor, starts: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
    """Bring groups of entries that lie in the order of codes into that of the vertices' numbers."""
    sizes = torch.diff(starts, append=starts.new_tensor([len(entries)]))
    begins, lengths = torch.empty_like(starts), torch.empty_like(sizes)
    begins[number.long()], lengths[number.long()] = starts, sizes
    first = torch.cat([lengths.new_zeros(1), torch.cumsum(lengths, 0)])
    shift = torch.repeat_interleave(begins - first[:-1], lengths, output_size=len(entries))
    moved = entries[shift + torch.arange(len(entries), device=entries.device)]
    return moved.to(torch.int32), first.to(torch.int32)


def _neighbours(unique: Tensor, number: Tensor, steps: Tensor, corners: int) -> Tensor:
    """Find the next and the previous vertex along each axis among the sorted codes: see `Lattice.neighbours`."""
    count = len(unique)
    pitch = -(-count // _PITCH) * _PITCH
    neighbours = torch.full((corners, 2, pitch), count, dtype=torch.int32, device=unique.device)
    wraps = (unique % corners == corners - 1).long()
    for axis in range(corners):
        sought = unique + steps[:, axis][wraps]
        place = torch.searchsorted(unique, sought).clamp_(max=count - 1)
        found = unique[place] == sought
        here, there = number[found].long(), number[place[found]].long()
        neighbours[axis, 0, here] = there.to(torch.int32)
        neighbours[axis, 1, there] = here.to(torch.int32)
    return neighbours

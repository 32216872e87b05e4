"""The permutohedral lattice in torch: the simplex of each pixel's features, and the neighbours of each vertex.

A Gaussian filter in a feature space of d dimensions costs O(pixels x d^2) on this lattice (Adams, Baek and Davis,
"Fast high-dimensional filtering using the permutohedral lattice", 2010): splat the values onto the D = d + 1 corners
of the simplex that encloses each pixel, blur along the D axes of the lattice, slice the values back.

Tensors are (D, pixels) rather than (pixels, D): each step below is then a pass over contiguous memory on any device.
All photographs of a batch share one lattice, in which a vertex also has the number of its photograph, so that building
it is one sort. Operations have the order of pydensecrf's code, because float32 rounding decides to which of two
touching simplices a pixel on their border belongs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stego_cli.errors import UsageError

CODE_LIMIT = 2**62  # of int64, with a bit to spare for sums
TOO_MANY_CELLS = (
    "The CRF's deviations are too small for this engine: there are too many lattice cells.",
    "Make them larger, or choose another engine.",
)
_PITCH = 16  # elements


@dataclass(frozen=True)
class Lattice:
    """The lattice of P pixels with d features: D = d + 1 corners a pixel, M vertices.

    Vertices are numbered in the order of the first pixel that uses them, so that what is near in the photograph is near
    in memory.
    """

    vertices: Tensor  # int32 (D, P): the vertex at each corner of each pixel's simplex
    weights: Tensor  # float32 (D, P): the barycentric coordinates; they sum to 1 over the corners
    neighbours: Tensor  # int32 (D, 2, M rounded up): along each axis the next and the previous vertex; M: none
    entries: Tensor  # int32 (D * P): indices into the flattened (D, P) tensors, grouped by vertex, pixels rising
    first_entry: Tensor  # int32 (M + 1): where each vertex's group begins in `entries`

    @property
    def count(self) -> int:
        """The number of vertices M."""
        return self.first_entry.shape[0] - 1

    @property
    def alpha(self) -> float:
        """The factor that brings sliced values to the scale of the splatted ones."""
        return 1 / (1 + 2.0 ** -(self.vertices.shape[0] - 1))


def spatial_features(height: int, width: int, sxy: float, device: torch.device) -> Tensor:
    """Return x and y of each pixel in units of `sxy` pixels, float32 (2, height * width)."""
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float32, device=device),
        torch.arange(width, dtype=torch.float32, device=device),
        indexing="ij",
    )
    return _divided(torch.stack([x, y]).flatten(1), sxy)


def bilateral_features(images: Tensor, sxy: float, srgb: float) -> Tensor:
    """Return x, y, blue, green and red of each pixel in units of `sxy` pixels and `srgb` 8-bit steps.

    The lattice approximates the kernel, and its error depends on the order of the channels; blue first is the order of
    the published evaluation.

    Args:
        images: uint8 (B, H, W, 3), RGB.
        sxy: deviation in pixels.
        srgb: deviation in 8-bit steps.

    Returns:
        float32 (5, B * H * W).
    """
    batch, height, width, _ = images.shape
    spatial = spatial_features(height, width, sxy, images.device)
    colours = _divided(images.flip(-1).reshape(-1, 3).T.to(torch.float32), srgb)
    return torch.cat([spatial.repeat(1, batch), colours])


def _divided(values: Tensor, by: float) -> Tensor:
    """Divide as C does: on a GPU torch replaces division by a number with a product, which rounds differently."""
    return values / torch.full((), by, device=values.device)


def build_lattice(features: Tensor, photographs: int = 1) -> Lattice:
    """Find the vertices of the pixels' simplices, and their neighbours.

    Args:
        features: float32 (d, P), in units of the kernel's deviations; any device.
        photographs: P is made of this many equal parts, which have no vertex in common.

    Raises:
        UsageError: the features span more cells than a code of 62 bits can number.
    """
    cells, rank, weights = _simplices(features)
    codes, steps = _codes(cells, rank, photographs)
    ordered, entries = torch.sort(codes.flatten(), stable=True)
    begins = torch.cat([ordered.new_ones(1, dtype=torch.bool), ordered[1:] != ordered[:-1]])
    starts = begins.nonzero().squeeze(1)
    unique = ordered[starts]
    number = _by_first_pixel(entries[starts] % features.shape[1])  # by vertex, in the order of the codes
    vertices = torch.empty_like(entries, dtype=torch.int32)
    vertices[entries] = number[torch.cumsum(begins, 0) - 1]
    entries, first_entry = _regrouped(entries, starts, number)
    return Lattice(
        vertices=vertices.view(codes.shape),
        weights=weights,
        neighbours=_neighbours(unique, number, steps, codes.shape[0]),
        entries=entries,
        first_entry=first_entry,
    )


def _simplices(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the enclosing simplex of each pixel: its cell and rank, int32 (D, P), and its weights, float32 (D, P).

    D times the cell is the simplex's remainder-0 corner; the rank orders the differences to that corner.
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
    # The rounded point lies in the lattice's plane only if its cells sum to 0: wrap the ranks that are out of range.
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
    """Return a code for each vertex, int64 (D, P), and the differences of the codes of neighbours, int64 (2, D).

    All coordinates of the vertex at corner r are r modulo D, and the last coordinate follows from the others. So r and
    the cells of d coordinates identify a vertex. They are the digits of its code, r being the lowest; a photograph of 4
    megapixels needs far less than 62 bits. The difference to the next vertex along axis j is [0, j] where r < d, and
    [1, j] where r = d, since the next vertex then has r = 0 in the next cells.
    """
    corners, pixels = cells.shape
    d = corners - 1
    low, high = torch.stack(torch.aminmax(cells[:d], dim=1)).tolist()
    places = [corners]
    # One cell below the remainder-0 corner for its other corners; one more on either side for a neighbour's.
    for smallest, largest in zip(low, high, strict=True):
        places.append(places[-1] * (largest - smallest + 4))
    if places[-1] * photographs >= CODE_LIMIT:
        raise UsageError(*TOO_MANY_CELLS)
    codes = torch.arange(corners, device=cells.device)[:, None].repeat(1, pixels)
    codes += torch.arange(photographs, device=cells.device).repeat_interleave(pixels // photographs) * places[-1]
    for i in range(d):
        codes += (cells[i].to(torch.int64) - (low[i] - 2)) * places[i]
        for r in range(1, corners):
            codes[r] -= (rank[i] > d - r) * places[i]
    # A step along axis j adds 1 to every coordinate but the j-th, from which it subtracts d: 1 - D, a cell less.
    steps = [[1 - (place if j < d else 0) for j, place in enumerate(places)]]
    steps.append([step - corners + sum(places[:d]) for step in steps[0]])
    return codes, torch.tensor(steps, device=cells.device)


def _by_first_pixel(pixels: Tensor) -> Tensor:
    """Return each vertex's number, int32, given the first pixel of each."""
    order = torch.argsort(pixels, stable=True)
    number = torch.empty_like(order, dtype=torch.int32)
    number[order] = torch.arange(len(order), dtype=torch.int32, device=order.device)
    return number


def _regrouped(entries: Tensor, starts: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
    """Reorder the groups of entries, from the order of the codes to that of the vertices' numbers."""
    sizes = torch.diff(starts, append=starts.new_tensor([len(entries)]))
    begins, lengths = torch.empty_like(starts), torch.empty_like(sizes)
    begins[number.long()], lengths[number.long()] = starts, sizes
    first = torch.cat([lengths.new_zeros(1), torch.cumsum(lengths, 0)])
    shift = torch.repeat_interleave(begins - first[:-1], lengths, output_size=len(entries))
    moved = entries[shift + torch.arange(len(entries), device=entries.device)]
    return moved.to(torch.int32), first.to(torch.int32)


def padded(count: int) -> int:
    """Return the length of the rows of `Lattice.neighbours`, at which each begins aligned."""
    return -(-count // _PITCH) * _PITCH


def _neighbours(unique: Tensor, number: Tensor, steps: Tensor, corners: int) -> Tensor:
    """Find the next and the previous vertex along each axis among the sorted codes: see `Lattice.neighbours`."""
    count = len(unique)
    neighbours = torch.full((corners, 2, padded(count)), count, dtype=torch.int32, device=unique.device)
    wraps = (unique % corners == corners - 1).long()
    for axis in range(corners):
        sought = unique + steps[:, axis][wraps]
        place = torch.searchsorted(unique, sought).clamp_(max=count - 1)
        found = unique[place] == sought
        here, there = number[found].long(), number[place[found]].long()
        neighbours[axis, 0, here] = there.to(torch.int32)
        neighbours[axis, 1, there] = here.to(torch.int32)
    return neighbours

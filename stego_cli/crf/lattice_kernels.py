"""Building the bilateral lattice as Triton kernels, which stego_cli/crf/gpu_lattice.py calls: crf/lattice.py, fused.

Each kernel is a pass over pixels, over entries (the corners of all pixels, sorted by the code of their vertex), or over
vertices. What they compute equals crf/lattice.py to the bit: float32 operations have its order, divisions are rounded
correctly, and they are compiled without fused multiplication and addition (`enable_fp_fusion=False`).
"""
# mypy: disable-error-code="no-untyped-def, untyped-decorator, import-untyped, import-not-found"
# ruff: noqa: ANN001, ANN201
# Triton reads the annotations of its kernels: they may only be its own types and tl.constexpr.

import triton
import triton.language as tl

_SIXTH = tl.constexpr(1 / 6)
_TO_WHOLE = tl.constexpr(12582912.0)  # 1.5 * 2^23: beside it float32 has whole numbers alone


@triton.jit
def nearest(value):
    """Round to the nearest whole number, halves to the even one; |value| is below 2^22."""
    return (value + _TO_WHOLE) - _TO_WHOLE


@triton.jit
def below(first, second):
    """Return 1 where first < second, else 0."""
    return (first < second).to(tl.int32)


@triton.jit
def chosen(place, r0, r1, r2, r3, r4, s0, s1, s2, s3, s4, s5):
    """Return the s whose r is `place`; the sixth where none of the others' is."""
    later = tl.where(r3 == place, s3, tl.where(r4 == place, s4, s5))
    return tl.where(r0 == place, s0, tl.where(r1 == place, s1, tl.where(r2 == place, s2, later)))


@triton.jit
def scaled(number, by, factor):
    """Return number / by * factor, each rounded."""
    return tl.div_rn(number.to(tl.float32), tl.full(number.shape, by, tl.float32)) * factor


@triton.jit
def moved(cell, rank, total):
    """Return the cell and rank of one coordinate, brought into the lattice's plane."""
    rank += total
    move = (rank < 0).to(tl.int32) - (rank > 5).to(tl.int32)
    return cell + move, rank + 6 * move


@triton.jit
def code_of(corner, base, k0, k1, k2, k3, k4, r0, r1, r2, r3, r4, place):
    """Return the code of the vertex at a corner; see `_codes` in crf/lattice.py."""
    code = base + corner
    code += (k0 - (r0 > 5 - corner).to(tl.int64)) * tl.load(place)
    code += (k1 - (r1 > 5 - corner).to(tl.int64)) * tl.load(place + 1)
    code += (k2 - (r2 > 5 - corner).to(tl.int64)) * tl.load(place + 2)
    code += (k3 - (r3 > 5 - corner).to(tl.int64)) * tl.load(place + 3)
    code += (k4 - (r4 > 5 - corner).to(tl.int64)) * tl.load(place + 4)
    return code


@triton.jit(do_not_specialize=["pixels", "width", "size"])
def simplices(
    images, weights, codes, low, place, pixels, size, width, sxy, srgb, c1, c2, c3, c4, c5, ROWS: tl.constexpr
):
    """Write the barycentric weights and the codes of the vertices of each pixel's simplex, (6, pixels) each.

    Args:
        images: uint8 (pixels, 3), RGB; photographs of `size` pixels and `width` columns follow each other.
        weights: float32, written; `codes`: int64, written.
        low: int64 (5): the lowest cell of each coordinate; `place`: int64 (6): the value of each digit of a code.
        pixels: of all photographs.
        sxy: deviation in pixels; `srgb`: in 8-bit steps.
        c1, c2, c3, c4, c5: factors of the coordinates.
    """
    pixel = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    valid = pixel < pixels
    within = pixel % size
    red = tl.load(images + pixel.to(tl.int64) * 3, mask=valid, other=0)
    green = tl.load(images + pixel.to(tl.int64) * 3 + 1, mask=valid, other=0)
    blue = tl.load(images + pixel.to(tl.int64) * 3 + 2, mask=valid, other=0)
    s1, s2 = scaled(within % width, sxy, c1), scaled(within // width, sxy, c2)
    s3, s4, s5 = scaled(blue, srgb, c3), scaled(green, srgb, c4), scaled(red, srgb, c5)
    e5 = 0.0 - 5.0 * s5
    e4 = s5 - 4.0 * s4
    total = s5 + s4
    e3 = total - 3.0 * s3
    total = total + s3
    e2 = total - 2.0 * s2
    total = total + s2
    e1 = total - s1
    e0 = total + s1

    n0, n1, n2 = nearest(e0 * _SIXTH), nearest(e1 * _SIXTH), nearest(e2 * _SIXTH)
    n3, n4, n5 = nearest(e3 * _SIXTH), nearest(e4 * _SIXTH), nearest(e5 * _SIXTH)
    d0, d1, d2 = e0 - n0 * 6.0, e1 - n1 * 6.0, e2 - n2 * 6.0
    d3, d4, d5 = e3 - n3 * 6.0, e4 - n4 * 6.0, e5 - n5 * 6.0
    b01, b02, b03, b04, b05 = below(d0, d1), below(d0, d2), below(d0, d3), below(d0, d4), below(d0, d5)
    b12, b13, b14, b15 = below(d1, d2), below(d1, d3), below(d1, d4), below(d1, d5)
    b23, b24, b25 = below(d2, d3), below(d2, d4), below(d2, d5)
    b34, b35, b45 = below(d3, d4), below(d3, d5), below(d4, d5)
    k0, k1, k2 = n0.to(tl.int32), n1.to(tl.int32), n2.to(tl.int32)
    k3, k4, k5 = n3.to(tl.int32), n4.to(tl.int32), n5.to(tl.int32)
    out = k0 + k1 + k2 + k3 + k4 + k5
    k0, r0 = moved(k0, b01 + b02 + b03 + b04 + b05, out)
    k1, r1 = moved(k1, 1 - b01 + b12 + b13 + b14 + b15, out)
    k2, r2 = moved(k2, 2 - b02 - b12 + b23 + b24 + b25, out)
    k3, r3 = moved(k3, 3 - b03 - b13 - b23 + b34 + b35, out)
    k4, r4 = moved(k4, 4 - b04 - b14 - b24 - b34 + b45, out)
    k5, _ = moved(k5, 5 - b05 - b15 - b25 - b35 - b45, out)

    s0, s1 = (e0 - k0.to(tl.float32) * 6.0) * _SIXTH, (e1 - k1.to(tl.float32) * 6.0) * _SIXTH
    s2, s3 = (e2 - k2.to(tl.float32) * 6.0) * _SIXTH, (e3 - k3.to(tl.float32) * 6.0) * _SIXTH
    s4, s5 = (e4 - k4.to(tl.float32) * 6.0) * _SIXTH, (e5 - k5.to(tl.float32) * 6.0) * _SIXTH
    last = chosen(5, r0, r1, r2, r3, r4, s0, s1, s2, s3, s4, s5)
    before = last
    for corner in tl.static_range(1, 6):
        mine = chosen(5 - corner, r0, r1, r2, r3, r4, s0, s1, s2, s3, s4, s5)
        tl.store(weights + corner * pixels + pixel, mine - before, mask=valid)
        before = mine
    tl.store(weights + pixel, last + (1.0 - before), mask=valid)

    base = (pixel // size).to(tl.int64) * tl.load(place + 5)
    l0, l1 = k0.to(tl.int64) - tl.load(low), k1.to(tl.int64) - tl.load(low + 1)
    l2, l3 = k2.to(tl.int64) - tl.load(low + 2), k3.to(tl.int64) - tl.load(low + 3)
    l4 = k4.to(tl.int64) - tl.load(low + 4)
    for corner in tl.static_range(6):
        code = code_of(corner, base, l0, l1, l2, l3, l4, r0, r1, r2, r3, r4, place)
        tl.store(codes + corner * pixels + pixel, code, mask=valid)


@triton.jit(do_not_specialize=["entries"])
def starts(codes, begins, entries, ROWS: tl.constexpr):
    """Write 1 where an entry's code differs from the one before it, int32; `codes` are sorted."""
    entry = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    code = tl.load(codes + entry, mask=entry < entries, other=0)
    before = tl.load(codes + entry - 1, mask=(entry < entries) & (entry > 0), other=0)
    tl.store(begins + entry, ((entry == 0) | (code != before)).to(tl.int32), mask=entry < entries)


@triton.jit(do_not_specialize=["entries"])
def collect(codes, order, group, unique, start, first, entries, ROWS: tl.constexpr):
    """Write the code and the first entry of each vertex, and mark its first corner.

    Args:
        codes: int64, sorted; `order`: int64, where each entry was before that.
        group: int32: one more than the vertex of each entry, in the order of the codes.
        unique: int64 (vertices), written; `start`: int32 (vertices + 1), written.
        first: int32 (6, pixels), 0; 1 is written to the corner that a vertex's first entry is.
        entries: how many.
    """
    entry = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    valid = entry < entries
    vertex = tl.load(group + entry, mask=valid, other=0) - 1
    before = tl.load(group + entry - 1, mask=valid & (entry > 0), other=0) - 1
    begins = valid & (vertex != before)
    tl.store(unique + vertex, tl.load(codes + entry, mask=begins, other=0), mask=begins)
    tl.store(start + vertex, entry, mask=begins)
    tl.store(start + vertex + 1, entry + 1, mask=entry == entries - 1)
    tl.store(first + tl.load(order + entry, mask=begins, other=0), tl.full((ROWS,), 1, tl.int32), mask=begins)


@triton.jit(do_not_specialize=["vertices", "pixels"])
def number(codes, order, unique, start, first, until, numbers, lengths, vertices, pixels, ROWS: tl.constexpr):
    """Number the vertices in the order of the first pixel of each, those of one pixel in the order of their codes.

    Args:
        codes: int64 (6, pixels), unsorted; `order`, `unique`, `start` and `first` as in `collect`.
        until: int32 (pixels): marks in `first` up to and with each pixel.
        numbers: int32 (vertices), written.
        lengths: int32 (vertices), written: the entries of each vertex, by its number.
        vertices: how many; `pixels`: likewise.
    """
    vertex = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    valid = vertex < vertices
    begin = tl.load(start + vertex, mask=valid, other=0)
    pixel = tl.load(order + begin, mask=valid, other=0) % pixels
    mine = tl.load(unique + vertex, mask=valid, other=0)
    place = tl.load(until + pixel, mask=valid, other=0)
    for corner in tl.static_range(6):
        marked = tl.load(first + corner * pixels + pixel, mask=valid, other=0)
        other = tl.load(codes + corner * pixels + pixel, mask=valid, other=0)
        place -= tl.where((marked > 0) & (other >= mine), 1, 0)
    tl.store(numbers + vertex, place, mask=valid)
    tl.store(lengths + place, tl.load(start + vertex + 1, mask=valid, other=0) - begin, mask=valid)


@triton.jit(do_not_specialize=["entries"])
def arrange(order, group, start, numbers, begins, grouped, vertices, entries, ROWS: tl.constexpr):
    """Group the entries by the number of their vertex, and write that number to the corner that each entry is.

    Args:
        order, group, start, numbers: as above.
        begins: int32 (vertices + 1): where the group of each number begins.
        grouped: int32 (entries), written; `vertices`: int32 (6, pixels), written.
        entries: how many.
    """
    entry = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    valid = entry < entries
    vertex = tl.load(group + entry, mask=valid, other=1) - 1
    mine = tl.load(numbers + vertex, mask=valid, other=0)
    corner = tl.load(order + entry, mask=valid, other=0)
    place = tl.load(begins + mine, mask=valid, other=0) + entry - tl.load(start + vertex, mask=valid, other=0)
    tl.store(grouped + place, corner.to(tl.int32), mask=valid)
    tl.store(vertices + corner, mine, mask=valid)


@triton.jit(do_not_specialize=["vertices", "pitch", "halvings"])
def neighbours(unique, numbers, steps, result, vertices, pitch, halvings, ROWS: tl.constexpr):
    """Find the next vertex along each axis by bisection, and write each as the other's neighbour.

    Args:
        unique: int64 (vertices), sorted; `numbers`: int32 (vertices).
        steps: int64 (2, 6): see `_codes` in crf/lattice.py.
        result: int32 (6, 2, pitch), filled with what stands for no vertex.
        vertices: how many; `halvings`: enough to find one of them.
    """
    vertex = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    axis = tl.program_id(1)
    valid = vertex < vertices
    code = tl.load(unique + vertex, mask=valid, other=0)
    wraps = (code % 6 == 5).to(tl.int32)
    sought = code + tl.load(steps + wraps * 6 + axis, mask=valid, other=0)
    low = tl.zeros((ROWS,), tl.int32)
    high = tl.full((ROWS,), 0, tl.int32) + vertices
    for _ in range(halvings):
        middle = (low + high) // 2
        less = (low < high) & (tl.load(unique + middle, mask=valid & (middle < vertices), other=0) < sought)
        low = tl.where(less, middle + 1, low)
        high = tl.where(less, high, middle)
    found = valid & (low < vertices)
    found = found & (tl.load(unique + low, mask=found, other=0) == sought)
    here = tl.load(numbers + vertex, mask=found, other=0)
    there = tl.load(numbers + low, mask=found, other=0)
    tl.store(result + axis * 2 * pitch + here, there, mask=found)
    tl.store(result + (axis * 2 + 1) * pitch + there, here, mask=found)


@triton.jit(do_not_specialize=["pixels", "alpha", "compat", "floor"])
def normalise(
    vertices,
    weights,
    blurred,
    norms,
    slice_weights,
    pixels,
    alpha,
    compat,
    floor,
    PITCH: tl.constexpr,
    ROWS: tl.constexpr,
):
    """Write n = 1 / sqrt(G(1)) of each pixel, and its weights for slicing with n, compatibility and scale in them.

    Args:
        vertices: int32 (6, pixels); `weights`: float32 (6, pixels).
        blurred: float32, a row of PITCH for each vertex, of which the first is G(1) there.
        norms: float32 (pixels), written; `slice_weights`: float32 (6, pixels), written.
        alpha: the lattice's scale; `compat`: that times the compatibility; `floor`: what is added to G(1).
    """
    pixel = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    valid = pixel < pixels
    total = tl.zeros((ROWS,), tl.float32)
    for corner in tl.static_range(6):
        weight = tl.load(weights + corner * pixels + pixel, mask=valid, other=0.0)
        vertex = tl.load(vertices + corner * pixels + pixel, mask=valid, other=0)
        total += weight * tl.load(blurred + vertex.to(tl.int64) * PITCH, mask=valid, other=0.0)
    norm = tl.div_rn(tl.full((ROWS,), 1.0, tl.float32), tl.sqrt_rn(total * alpha + floor))
    tl.store(norms + pixel, norm, mask=valid)
    for corner in tl.static_range(6):
        weight = tl.load(weights + corner * pixels + pixel, mask=valid, other=0.0)
        tl.store(slice_weights + corner * pixels + pixel, weight * (norm * compat), mask=valid)

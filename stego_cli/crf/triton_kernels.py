"""The CRF's passes over GPU memory as Triton kernels; stego_cli/crf/cuda_engine.py puts them together.

A row holds the channels (classes) of one pixel or vertex in float32, WIDTH of them: a multiple of 4, so that loads are
of 16 bytes, with zeros behind the last class. A program works on a block of ROWS x COLS, COLS being the power of two
that holds WIDTH. WIDTH is a compile-time constant since the compiler must know that rows begin aligned.

All passes are bound by memory, hence: sums stay in registers, a row is read and written once a pass, two axes are
blurred in one pass (the rows of neighbours come from the caches, since vertices are numbered along the photograph), and
slicing, softmax and the choice of a class are one pass. No atomics: results do not depend on the order of programs.

Where a grid has a second dimension, it is the photograph: their rows follow each other, and what belongs to the
lattice alone (indices, weights) is shared by all.
"""
# mypy: disable-error-code="no-untyped-def, untyped-decorator, import-untyped, import-not-found"
# ruff: noqa: ANN001, ANN201
# Triton reads the annotations of kernels itself: only its own types and tl.constexpr mean anything there.

import triton
import triton.language as tl

PROBS = tl.constexpr(0)  # what `update` writes: rows of probabilities,
LOG_PROBS = tl.constexpr(1)  # planes of log-probabilities,
LABELS = tl.constexpr(2)  # or a byte a pixel


@triton.jit
def load_rows(base, rows, valid, cols, WIDTH: tl.constexpr):
    """Load a block of rows; 0 where `valid` is false and behind WIDTH."""
    offsets = rows.to(tl.int64)[:, None] * WIDTH + cols[None, :]
    return tl.load(base + offsets, mask=valid[:, None] & (cols < WIDTH)[None, :], other=0.0)


@triton.jit
def store_rows(base, rows, valid, cols, values, WIDTH: tl.constexpr):
    """Store a block of rows where `valid` is true."""
    offsets = rows.to(tl.int64)[:, None] * WIDTH + cols[None, :]
    tl.store(base + offsets, values, mask=valid[:, None] & (cols < WIDTH)[None, :])


@triton.jit(do_not_specialize=["pixels", "count"])
def splat(
    probs,
    pixel,
    weight,
    first,
    values,
    pixels,
    count,
    SHORT: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
):
    """Gather into each vertex the weighted rows of its pixels; vertices with more than SHORT are `splat_long`'s."""
    photograph = tl.program_id(1).to(tl.int64)
    probs += photograph * pixels * WIDTH
    values += photograph * count * WIDTH
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    cols = tl.arange(0, COLS)
    begin = tl.load(first + rows, mask=rows < count, other=0)
    length = tl.load(first + rows + 1, mask=rows < count, other=0) - begin
    mine = (rows < count) & (length <= SHORT)
    length = tl.where(mine, length, 0)
    total = tl.zeros((ROWS, COLS), tl.float32)
    for step in range(0, tl.max(length, axis=0)):
        valid = step < length
        source = tl.load(pixel + begin + step, mask=valid, other=0)
        share = tl.load(weight + begin + step, mask=valid, other=0.0)
        total += share[:, None] * load_rows(probs, source, valid, cols, WIDTH)
    store_rows(values, rows, mine, cols, total, WIDTH)


@triton.jit(do_not_specialize=["pixels", "count"])
def splat_long(
    probs,
    pixel,
    weight,
    first,
    values,
    long,
    pixels,
    count,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
):
    """Gather the vertices listed in `long`, a program each: a flat region puts thousands of pixels on one vertex."""
    photograph = tl.program_id(1).to(tl.int64)
    probs += photograph * pixels * WIDTH
    values += photograph * count * WIDTH
    row = tl.load(long + tl.program_id(0))
    begin = tl.load(first + row)
    end = tl.load(first + row + 1)
    cols = tl.arange(0, COLS)
    total = tl.zeros((ROWS, COLS), tl.float32)
    for start in range(begin, end, ROWS):
        entries = start + tl.arange(0, ROWS)
        source = tl.load(pixel + entries, mask=entries < end, other=0)
        share = tl.load(weight + entries, mask=entries < end, other=0.0)
        offsets = source.to(tl.int64)[:, None] * WIDTH + cols[None, :]
        inside = (entries < end)[:, None] & (cols < WIDTH)[None, :]
        total += share[:, None] * tl.load(probs + offsets, mask=inside, other=0.0)
    tl.store(values + row.to(tl.int64) * WIDTH + cols, tl.sum(total, axis=0), mask=cols < WIDTH)


@triton.jit
def blurred(values, neighbours, pitch, rows, count, cols, WIDTH: tl.constexpr):
    """Blur rows along one axis, given its next and previous vertices; 0 for rows that do not exist."""
    exists = rows < count
    following = tl.load(neighbours + rows, mask=exists, other=count)
    previous = tl.load(neighbours + pitch + rows, mask=exists, other=count)
    around = load_rows(values, following, following < count, cols, WIDTH)
    around += load_rows(values, previous, previous < count, cols, WIDTH)
    return load_rows(values, rows, exists, cols, WIDTH) + 0.5 * around


@triton.jit(do_not_specialize=["count", "pitch"])
def blur(
    values,
    result,
    neighbours,
    second,
    count,
    pitch,
    PAIR: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
):
    """Blur along one axis, or with PAIR along that of `neighbours` and then that of `second`."""
    photograph = tl.program_id(1).to(tl.int64)
    values += photograph * count * WIDTH
    result += photograph * count * WIDTH
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    cols = tl.arange(0, COLS)
    total = blurred(values, neighbours, pitch, rows, count, cols, WIDTH)
    if PAIR:
        following = tl.load(second + rows, mask=rows < count, other=count)
        previous = tl.load(second + pitch + rows, mask=rows < count, other=count)
        around = blurred(values, neighbours, pitch, following, count, cols, WIDTH)
        around += blurred(values, neighbours, pitch, previous, count, cols, WIDTH)
        total += 0.5 * around
    store_rows(result, rows, rows < count, cols, total, WIDTH)


@triton.jit
def sliced(values, vertices, weights, pitch, pixels, valid, cols, CORNERS: tl.constexpr, WIDTH: tl.constexpr):
    """Sum the weighted rows of the CORNERS vertices around each pixel; `pitch` lies between a pixel's corners."""
    total = tl.zeros((pixels.shape[0], cols.shape[0]), tl.float32)
    for corner in tl.static_range(CORNERS):
        places = pixels.to(tl.int64) + corner * pitch
        vertex = tl.load(vertices + places, mask=valid, other=0)
        weight = tl.load(weights + places, mask=valid, other=0.0)
        total += weight[:, None] * load_rows(values, vertex, valid, cols, WIDTH)
    return total


@triton.jit(do_not_specialize=["classes", "spatial_count"])  # planes that begin aligned are read in wider loads
def update(
    unary,
    spatial_values,
    spatial_vertices,
    spatial_weights,
    spatial_count,
    bilateral_values,
    bilateral_vertices,
    bilateral_weights,
    pitch,
    result,
    pixels,
    classes,
    SPATIAL: tl.constexpr,
    BILATERAL: tl.constexpr,
    OUTPUT: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
):
    """Slice both kernels, add the unary planes, and write softmax, its logarithm, or the likeliest class.

    SPATIAL and BILATERAL are the kernels' numbers of corners; 0 leaves a kernel out (the first softmax has none). The
    spatial lattice is shared by the photographs; the bilateral one has vertices of its own for each.
    """
    photograph = tl.program_id(1).to(tl.int64)
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    cols = tl.arange(0, COLS)
    valid = rows < pixels
    planes = photograph * classes * pixels + cols[None, :].to(tl.int64) * pixels + rows[:, None]
    inside = valid[:, None] & (cols < classes)[None, :]
    energy = tl.load(unary + planes, mask=inside, other=0.0)
    if SPATIAL > 0:
        own = spatial_values + photograph * spatial_count * WIDTH
        energy += sliced(own, spatial_vertices, spatial_weights, pixels, rows, valid, cols, SPATIAL, WIDTH)
    if BILATERAL > 0:
        everywhere = photograph * pixels + rows
        energy += sliced(
            bilateral_values, bilateral_vertices, bilateral_weights, pitch, everywhere, valid, cols, BILATERAL, WIDTH
        )
    energy = tl.where((cols < classes)[None, :], energy, float("-inf"))
    raised = tl.exp(energy - tl.max(energy, axis=1)[:, None])
    probs = raised / tl.sum(raised, axis=1)[:, None]
    if OUTPUT == PROBS:
        store_rows(result, photograph * pixels + rows, valid, cols, probs, WIDTH)
    elif OUTPUT == LOG_PROBS:
        tl.store(result + planes, tl.log(tl.maximum(probs, 1e-30)), mask=inside)
    else:
        tl.store(result + photograph * pixels + rows, tl.argmax(probs, axis=1).to(tl.uint8), mask=valid)

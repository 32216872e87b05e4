"""The CRF's passes over GPU memory as Triton kernels, which stego_cli/crf/cuda_engine.py calls.

A row is the values of all classes of one pixel or vertex: WIDTH floats, a multiple of 4, so that loads are of 16 bytes,
with zeros after the last class. A program works on a block of ROWS x COLS, where COLS is the power of two that holds
WIDTH. WIDTH is a compile-time constant, because the compiler must be able to tell that rows begin aligned.

All passes are bound by memory. Sums therefore stay in registers, a row is read and written once in a pass, two axes are
blurred in one pass (vertices are numbered along the photograph, so the rows of neighbours come from the caches), and
the spatial kernel, slicing and softmax are one pass. There are no atomics: results do not depend on the order of
programs.

The rows of photographs follow each other.
"""
# mypy: disable-error-code="no-untyped-def, untyped-decorator, import-untyped, import-not-found"
# ruff: noqa: ANN001, ANN201
# Triton reads the annotations of its kernels: they may only be its own types and tl.constexpr.

import triton
import triton.language as tl

ROWS_OF_PROBS = tl.constexpr(0)  # the output of `update`: rows of probabilities
LOG_PROBS = tl.constexpr(1)  # or planes of log-probabilities
CHOSEN = tl.constexpr(2)  # or planes of probabilities, and the likeliest class of each pixel


@triton.jit
def load_rows(base, rows, valid, cols, WIDTH: tl.constexpr):
    """Load a block of rows; 0 where `valid` is false and beyond WIDTH."""
    offsets = rows.to(tl.int64)[:, None] * WIDTH + cols[None, :]
    return tl.load(base + offsets, mask=valid[:, None] & (cols < WIDTH)[None, :], other=0.0)


@triton.jit
def store_rows(base, rows, valid, cols, values, WIDTH: tl.constexpr):
    """Store a block of rows where `valid` is true."""
    offsets = rows.to(tl.int64)[:, None] * WIDTH + cols[None, :]
    tl.store(base + offsets, values, mask=valid[:, None] & (cols < WIDTH)[None, :])


@triton.jit(do_not_specialize=["count"])
def splat(
    probs,
    pixel,
    weight,
    first,
    values,
    count,
    SHORT: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
):
    """Sum the weighted rows of each vertex's pixels; leave out vertices with more than SHORT: see `splat_long`."""
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


@triton.jit
def splat_long(probs, pixel, weight, first, values, long, WIDTH: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr):
    """Splat the vertices listed in `long`, one program each: in a flat region one vertex has thousands of pixels."""
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
    """Sum the weighted rows of each pixel's CORNERS vertices; `pitch` is the distance between a pixel's corners."""
    total = tl.zeros((pixels.shape[0], cols.shape[0]), tl.float32)
    for corner in tl.static_range(CORNERS):
        places = pixels.to(tl.int64) + corner * pitch
        vertex = tl.load(vertices + places, mask=valid, other=0)
        weight = tl.load(weights + places, mask=valid, other=0.0)
        total += weight[:, None] * load_rows(values, vertex, valid, cols, WIDTH)
    return total


@triton.jit
def weighted_around(probs, shifts, weights, pixels, pixel, valid, cols, OFFSETS: tl.constexpr, WIDTH: tl.constexpr):
    """Sum the weighted rows `shifts` away from each pixel; those outside the photograph have weight 0."""
    total = tl.zeros((pixel.shape[0], cols.shape[0]), tl.float32)
    for offset in range(OFFSETS):
        weight = tl.load(weights + offset * pixels + pixel, mask=valid, other=0.0)
        rows = load_rows(probs, pixel + tl.load(shifts + offset), weight != 0, cols, WIDTH)
        total += weight[:, None] * rows
    return total


@triton.jit(do_not_specialize=["classes", "photographs", "height"])  # aligned planes are read in wider loads
def update(
    unary,
    probs,
    shifts,
    stencil,
    bilateral_values,
    bilateral_vertices,
    bilateral_weights,
    pitch,
    result,
    chosen,
    pixels,
    photographs,
    height,
    width,
    classes,
    OFFSETS: tl.constexpr,
    BILATERAL: tl.constexpr,
    OUTPUT: tl.constexpr,
    TALL: tl.constexpr,
    WIDE: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
):
    """Apply the spatial stencil, slice the bilateral kernel, add the unary planes, and write what OUTPUT says.

    OFFSETS is the number of pixels in the stencil, BILATERAL the lattice's number of corners; 0 leaves a kernel out, as
    in the first softmax. All photographs have the same stencil; in the bilateral lattice each has vertices of its own.
    Programs of one place in all photographs follow each other, so that the stencil's weights are read once.
    A program works on TALL x WIDE pixels, so that neighbours' rows come from on-chip memory. `result` is not `probs`.
    """
    photograph = (tl.program_id(0) % photographs).to(tl.int64)
    tile = tl.program_id(0) // photographs
    across = tl.cdiv(width, WIDE)
    place = tl.arange(0, ROWS)
    y = tile // across * TALL + place // WIDE
    x = tile % across * WIDE + place % WIDE
    valid = (y < height) & (x < width)
    rows = y * width + x
    cols = tl.arange(0, COLS)
    planes = photograph * classes * pixels + cols[None, :].to(tl.int64) * pixels + rows[:, None]
    inside = valid[:, None] & (cols < classes)[None, :]
    energy = tl.load(unary + planes, mask=inside, other=0.0)
    if OFFSETS > 0:
        own = probs + photograph * pixels * WIDTH
        energy += weighted_around(own, shifts, stencil, pixels, rows, valid, cols, OFFSETS, WIDTH)
    if BILATERAL > 0:
        everywhere = photograph * pixels + rows
        energy += sliced(
            bilateral_values, bilateral_vertices, bilateral_weights, pitch, everywhere, valid, cols, BILATERAL, WIDTH
        )
    energy = tl.where((cols < classes)[None, :], energy, float("-inf"))
    raised = tl.exp(energy - tl.max(energy, axis=1)[:, None])
    softmax = raised / tl.sum(raised, axis=1)[:, None]
    if OUTPUT == ROWS_OF_PROBS:
        store_rows(result, photograph * pixels + rows, valid, cols, softmax, WIDTH)
    elif OUTPUT == LOG_PROBS:
        tl.store(result + planes, tl.log(tl.maximum(softmax, 1e-30)), mask=inside)
    else:
        tl.store(result + planes, softmax, mask=inside)
        tl.store(chosen + photograph * pixels + rows, tl.argmax(energy, axis=1).to(tl.uint8), mask=valid)

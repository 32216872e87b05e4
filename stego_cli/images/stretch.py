"""Numbers of more than 8 bits to 8 bits: one range for each kind of numbers, decided once for a whole run.

So the same number is the same grey in every picture. The range comes from a sample, spread evenly over the files:

- The ends are the 0.1 and 99.9 % quantiles, or the lowest and highest number where those lie at most a quarter farther
  from the median. If the former lie more than twice as far from it as the 1 and 99 % quantiles they belong to
  outliers, and the ends are the latter, a tenth farther.
- A lower end of less than a fifth of the upper one is 0: dark is dark in photographs.
- An upper end near the highest number of 8, 10, 12, 14 or 16 bits (or near 1, of floating-point numbers) is that one,
  unless there are larger ones. Numbers that use half of 16 bits use them all.

Pixels without a value are left out: NaN and infinities, the number that the file names (GDAL's nodata), and, in signed
and floating-point bands, the fill values that programs write without naming them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stego_cli.errors import PhotoError
from stego_cli.images.readers.bands import Bands, BandsInfo, Numbers, indices_of
from stego_cli.images.readers.picture import OpenPicture
from stego_cli.images.readers.table import READERS, open_any
from stego_cli.reading import Reading

NoData = NDArray[np.bool_]  # (H, W)

_TOPS = tuple(float(2**bits - 1) for bits in (8, 10, 12, 14, 16))
_NEAR_TOP, _HALF_OF_16 = 0.8, 32_768.0
_DARK = 0.2  # of the upper end: a lower one below it is 0
_FILLS = (-9999.0, -99999.0, -32768.0, -2147483648.0)
_HUGE = 9e36  # 3.4e38, 1e38 and 9.97e36 are fill values; no measurement is so large
_FILES, _PICTURES = 64, 16  # that are looked at: of each suffix, and of each kind of numbers
_BLOCKS, _VALUES = 16, 4096  # that are looked at: of a picture, and pixels of a block, about


@dataclass(frozen=True)
class Decision:
    """How a run reads its pictures.

    Attributes:
        reading: with the ranges.
        notes: sentences for the user; none where all pictures are of 8 bits.
    """

    reading: Reading
    notes: list[str]


def decide(files: Sequence[Path], reading: Reading, opened: Callable[[Path], OpenPicture] = open_any) -> Decision:
    """Decide the ranges of a run from a sample of its files; the same files and settings give the same.

    `opened` opens each of them. Ranges that `reading` has already, such as a model's, are kept.

    Files that cannot be read are passed over here: the run itself reports why.
    """
    values: defaultdict[str, list[NDArray[np.float64]]] = defaultdict(list)
    counts: set[int] = set()
    for file in _sample(files):
        try:
            with opened(file) as picture:
                bands = picture.bands
                if bands is None:
                    continue
                if bands.info.count - (bands.info.alpha is not None) > 3:
                    counts.add(bands.info.count)
                kind = bands.info.kind
                if kind != "uint8" and len(values.get(kind, ())) < _PICTURES:
                    values[kind].append(np.zeros(0) if reading.limits else sample_of(bands, reading))
        except Exception:  # whatever is wrong with it is reported when it is read for the run
            continue
    known = {kind: (low, high) for kind, low, high in reading.ranges}
    ranges = tuple(
        (kind, *(known.get(kind) or range_of(np.concatenate(parts), kind, reading)))
        for kind, parts in sorted(values.items())
    )
    notes = [
        f"Pictures of {_named(kind)}: {low:g} is shown as black, {high:g} as white"
        f"{', as where the model was trained' if kind in known else ''}."
        for kind, low, high in ranges
    ]
    if counts:
        taken = ", ".join(map(str, reading.bands)) or "1, 2, 3"
        notes.append(f"Pictures of {', '.join(map(str, sorted(counts)))} bands: of these, {taken} are taken.")
    return Decision(replace(reading, ranges=ranges), notes)


def _sample(files: Sequence[Path]) -> list[Path]:
    """Return files spread evenly over those of each suffix, of formats that can have more than 8 bits."""
    plain = {suffix for reader in READERS.values() if not reader.deep for suffix in reader.suffixes}
    by_suffix: defaultdict[str, list[Path]] = defaultdict(list)
    for file in files:
        by_suffix[file.suffix.lower()].append(file)
    chosen = []
    for suffix, those in by_suffix.items():
        most = 4 if suffix in plain else _FILES  # names may be wrong, which the first files show
        chosen += those[:: -(-len(those) // most)]
    return chosen


def _named(kind: str) -> str:
    return {"uint16": "16 bits", "float": "floating-point numbers"}.get(kind, f"{kind} numbers")


def sample_of(bands: Bands, reading: Reading) -> NDArray[np.float64]:
    """Return some of the numbers of the bands that are shown, spread evenly, without pixels that have no value."""
    parts = []
    for block in bands.blocks(chosen_bands(bands.info, reading), some=_BLOCKS, truncated=reading.accept_truncated):
        if not block.missing:
            pixels = block.numbers.reshape(-1, block.numbers.shape[2])
            pixels = pixels[:: len(pixels) // _VALUES | 1]  # odd, so as not to keep to the same columns
            parts.append(pixels[~_empty(pixels, bands.info)].ravel().astype(np.float64))
    return np.concatenate(parts) if parts else np.zeros(0)


def range_of(values: NDArray[np.float64], kind: str, reading: Reading) -> tuple[float, float]:
    """Return the numbers that become black and white.

    Args:
        values: a sample, of any length, all finite.
        kind: of the numbers, as in `BandsInfo`.
        reading: what is asked for.
    """
    if reading.limits is not None:
        return reading.limits
    if reading.stretch == "none" or not len(values):
        return 0.0, 1.0 if kind == "float" else float(np.iinfo(kind).max)
    percent = reading.percent
    if percent is not None:
        low, high = map(float, np.quantile(values, [percent / 100, 1 - percent / 100]))
        return (low, high) if low < high else _around(low, kind)
    quantiles = map(float, np.quantile(values, [0, 0.001, 0.01, 0.5, 0.99, 0.999, 1]))
    minimum, lowest, low, median, high, highest, maximum = quantiles
    upper = median + _reach(maximum - median, highest - median, high - median)
    lower = median - _reach(median - minimum, median - lowest, median - low)
    if lower >= upper:
        return _around(upper, kind)
    upper = _top(upper, maximum, kind)
    if lower < _DARK * upper and minimum >= 0:
        lower = 0.0
    return lower, upper


def _reach(farthest: float, far: float, most: float) -> float:
    """Return how far from the median the numbers reach, from how far all, 99.9 % and 99 % of them do."""
    if far > 2 * most:
        return 1.1 * most
    return farthest if farthest <= 1.25 * far else far


def _top(upper: float, largest: float, kind: str) -> float:
    """Return the end of the numbers' own range where the upper end is near it."""
    if kind == "uint16" and upper >= _HALF_OF_16:
        return _TOPS[-1]
    for top in (1.0, *_TOPS) if kind == "float" else _TOPS:
        if _NEAR_TOP * top <= upper and largest <= top:
            return top
    return upper


def _around(value: float, kind: str) -> tuple[float, float]:
    """Return a range for a picture of one value; any grey will do."""
    for top in (1.0, *_TOPS) if kind == "float" else _TOPS:
        if 0 <= value <= top:
            return 0.0, top
    return (0.0, 2 * value) if value > 0 else (2 * value, 0.0)


def chosen_bands(info: BandsInfo, reading: Reading) -> list[int]:
    """Return the indices of the one or three bands that are shown.

    Raises:
        PhotoError: the picture does not have them.
    """
    if reading.bands:
        return indices_of(reading.bands, info.count, info.names)
    colours = [index for index in range(info.count) if index != info.alpha]
    return colours[:3] if len(colours) >= 3 else colours[:1]


def range_for(bands: Bands, reading: Reading) -> tuple[float, float]:
    """Return the range of a picture: the run's, or, where none was decided for its kind, one from the picture alone."""
    kind = bands.info.kind
    for name, low, high in reading.ranges:
        if name == kind:
            return low, high
    if reading.limits is not None or reading.stretch == "none":
        return range_of(np.zeros(0), kind, reading)
    return range_of(sample_of(bands, reading), kind, reading)


def is_whole(info: BandsInfo, limits: tuple[float, float]) -> bool:
    """Return whether what is asked for is what Pillow does as it decodes: all numbers of 16 bits to 8 bits."""
    return info.kind == "uint16" and limits == (0.0, _TOPS[-1]) and not info.inverted and info.nodata is None


def to_8_bits(bands: Bands, reading: Reading, limits: tuple[float, float]) -> tuple[Image.Image, NoData | None]:
    """Return a picture as RGB of 8 bits, and where it has no value.

    Transparent parts are laid over white. Pixels without a value get the mean colour of the others.

    Args:
        bands: of the open picture.
        reading: which bands are shown; whether a file that is cut short is taken.
        limits: the numbers that become black and white; of no effect on 8 bits.

    Returns:
        The picture at its stored size, RGB, and a mask (H, W), True where there is no value; None if there is one
        everywhere.

    Raises:
        PhotoError: it is broken, lacks a band, or has no value anywhere.
    """
    info, chosen = bands.info, chosen_bands(bands.info, reading)
    alpha = None if reading.bands or info.alpha is None else info.alpha
    wanted = chosen if alpha is None else [*chosen, alpha]
    shown = np.zeros((info.height, info.width, len(chosen)), np.uint8)
    nodata: NoData = np.zeros((info.height, info.width), np.bool_)
    table = _table(info, limits)
    for block in bands.blocks(wanted, truncated=reading.accept_truncated):
        high, wide = block.numbers.shape[:2]
        place = slice(block.top, block.top + high), slice(block.left, block.left + wide)
        if block.missing:
            nodata[place] = True
            continue
        colours = block.numbers[..., : len(chosen)]
        empty = _empty(colours, info)
        grey = table[colours] if table is not None else _scaled(colours, limits, empty)
        if info.inverted:
            grey = 255 - grey
        if alpha is not None:
            grey = _over_white(grey, block.numbers[..., -1:], info)
        shown[place], nodata[place] = grey, empty
    if nodata.any():
        if nodata.all():
            raise PhotoError("no pixel of it has a value")
        shown[nodata] = np.rint(shown[~nodata].mean(0)).astype(np.uint8)
    image = Image.fromarray(shown if len(chosen) == 3 else shown[..., 0]).convert("RGB")
    return image, nodata if nodata.any() else None


def _empty(numbers: Numbers, info: BandsInfo) -> NoData:
    """Return where pixels (..., B) of the bands that are shown have no value."""
    empty: NoData = np.zeros(numbers.shape[:-1], np.bool_)
    with np.errstate(invalid="ignore", over="ignore"):  # of NaN, and of fill values beyond 16 bits
        if info.nodata is not None and np.isfinite(info.nodata):
            empty |= (numbers == _as(numbers, info.nodata)).all(-1)
        if info.kind.startswith("uint") or not numbers.size:
            return empty
        lowest, highest = numbers.min(), numbers.max()
        if lowest > max(_FILLS) and highest < _HUGE:  # as nearly always; with NaN it is not
            return empty
        if info.kind == "float":
            empty |= ~(np.abs(numbers) < _HUGE).all(-1)
        for fill in _FILLS:
            empty |= (numbers == fill).any(-1)
    return empty


def _as(numbers: Numbers, value: float) -> float:
    """Return a value as the picture's type rounds it: -3.4028234663852886e+38 in a file of 32 bits is its lowest."""
    return float(np.asarray(value).astype(numbers.dtype)) if numbers.dtype.kind == "f" else value


def _table(info: BandsInfo, limits: tuple[float, float]) -> NDArray[np.uint8] | None:
    """Return the grey of every number, where they are few enough for a table."""
    if info.kind == "uint8":
        return np.arange(256, dtype=np.uint8)
    if info.kind == "uint16":
        return _scaled(np.arange(65_536), limits, np.zeros(65_536, np.bool_))
    return None


def _scaled(numbers: Numbers, limits: tuple[float, float], empty: NoData) -> NDArray[np.uint8]:
    low, high = limits
    few_bits = numbers.dtype in (np.float16, np.float32) and 1e-30 < high - low < 1e30
    values: Numbers = numbers.astype(np.float32 if few_bits else np.float64)
    if empty.any():
        values[empty] = low
    with np.errstate(over="ignore"):  # of numbers far outside of the range
        values -= low
        values /= high - low
        values *= 255.0
        values += 0.5
    return np.clip(values, 0, 255, out=values).astype(np.uint8)


def _over_white(grey: NDArray[np.uint8], alpha: Numbers, info: BandsInfo) -> NDArray[np.uint8]:
    """Lay colours over white by their alpha, which is opaque at its type's highest number, or at 1."""
    opaque = 1.0 if info.kind == "float" else float(np.iinfo(info.kind).max)
    if (alpha == opaque).all():
        return grey
    share = np.clip(np.nan_to_num(alpha.astype(np.float64) / opaque), 0, 1)
    colours = grey if info.premultiplied else grey * share
    return np.clip(colours + 255 * (1 - share) + 0.5, 0, 255).astype(np.uint8)

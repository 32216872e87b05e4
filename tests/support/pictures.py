"""Small pictures of every format and kind, made by hand where no library writes them. Shared with benchmarks."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[Any]


def scene(width: int = 40, height: int = 30) -> NDArray[np.uint8]:
    """Return a smooth colour picture (H, W, 3) that uses all values and differs in every direction."""
    y, x = np.mgrid[0:height, 0:width]
    red, green, blue = x * 255 / (width - 1), y * 255 / (height - 1), (x + y) * 255 / (width + height - 2)
    return np.stack([red, green, 255 - blue], 2).round().astype(np.uint8)


def saved(pixels: Array, plugin: str, **options: Any) -> bytes:
    """Return what Pillow saves (H, W) or (H, W, C) as."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, plugin, **options)
    return stream.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a PNG's chunk."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(pixels: Array, before: Sequence[bytes] = (), after: Sequence[bytes] = ()) -> bytes:
    """Return a PNG of uint8 or uint16 (H, W, C), with chunks before and after its pixels."""
    height, width, channels = pixels.shape
    colours = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(pixels.dtype.newbyteorder(">")).tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.dtype.itemsize, colours, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *before, chunk(b"IDAT", zlib.compress(rows)), *after, chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def jpeg(pixels: Array, segments: Sequence[tuple[int, bytes]] = (), **options: Any) -> bytes:
    """Return a JPEG with application segments (marker, content) behind its start."""
    content = saved(pixels, "JPEG", quality=95, **options)
    added = b"".join(b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body for marker, body in segments)
    return content[:2] + added + content[2:]


def exif(orientation: int) -> bytes:
    """Return a block of EXIF that holds an orientation."""
    found = Image.Exif()
    found[0x0112] = orientation
    return found.tobytes().removeprefix(b"Exif\0\0")


_CODES = {"stored": 1, "lzw": 5, "deflate": 8, "packbits": 32773, "zstd": 50000, "lzma": 34925}
_PREDICTED = ("lzw", "deflate", "zstd", "lzma")
_PILLOWS = {"lzw": "tiff_lzw", "packbits": "packbits", "zstd": "zstd", "lzma": "lzma"}


def tiff(
    pixels: Array,
    *,
    compression: str = "stored",
    predictor: int = 1,
    apart: bool = False,
    tile: tuple[int, int] | None = None,
    rows: int = 0,
    big: bool = False,
    order: str = "<",
    tags: Sequence[tuple[int, int, Sequence[int] | bytes]] = (),
    photometric: int | None = None,
    pages: int = 1,
) -> bytes:
    """Return a TIFF of (H, W, B).

    Args:
        pixels: of any integer or floating-point type.
        compression: a key of `_CODES`.
        predictor: 2, differences, or 3, of floating-point numbers.
        apart: each band by itself.
        tile: width and height; None: strips of `rows` rows, 0 for one strip.
        big: a BigTIFF.
        order: "<" or ">".
        tags: more of them, as number, type (2: text, 3: 16 bits, 4: 32 bits) and values; they replace the usual ones.
        photometric: None: RGB of three and four bands, else grey.
        pages: the same picture so many times.
    """
    height, width, bands = pixels.shape
    wide, high = tile or (width, rows or height)
    stored = pixels.astype(pixels.dtype.newbyteorder(order))
    blocks = []
    for group in np.split(stored, bands, 2) if apart else [stored]:
        for top in range(0, height, high):
            for left in range(0, width, wide):
                block = group[top : top + high, left : left + wide]
                if tile:
                    block = np.pad(block, ((0, high - block.shape[0]), (0, wide - block.shape[1]), (0, 0)))
                blocks.append(
                    _compressed(_predicted(block, predictor if compression in _PREDICTED else 1), compression)
                )
    kind = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    values: dict[int, tuple[int, Sequence[int] | bytes]] = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [8 * pixels.dtype.itemsize] * bands),
        259: (3, [_CODES[compression]]),
        262: (3, [photometric if photometric is not None else 2 if bands in (3, 4) else 1]),
        277: (3, [bands]),
        284: (3, [2 if apart else 1]),
        317: (3, [predictor]),
        339: (3, [kind] * bands),
    }
    values |= {322: (4, [wide]), 323: (4, [high])} if tile else {278: (4, [high])}
    values |= {number: (type_, content) for number, type_, content in tags}
    return _file(values, blocks, (324, 325) if tile else (273, 279), big, order, pages)


def _file(
    values: dict[int, tuple[int, Sequence[int] | bytes]],
    blocks: list[bytes],
    places: tuple[int, int],
    big: bool,
    order: str,
    pages: int,
) -> bytes:
    offset, count, entry = ("Q", "Q", 20) if big else ("I", "H", 12)
    out = bytearray(b"II" if order == "<" else b"MM")
    out += struct.pack(f"{order}HHHQ" if big else f"{order}HI", *((43, 8, 0, 16) if big else (42, 8)))
    for page in range(pages):
        start = len(out)
        tags = {**values, places[0]: (4, [0] * len(blocks)), places[1]: (4, [len(block) for block in blocks])}
        tail = start + struct.calcsize(f"{order}{count}") + len(tags) * entry + struct.calcsize(f"{order}{offset}")
        extra, entries = bytearray(), bytearray()
        at = tail + sum(len(_packed(kind, content, order)) for kind, content in tags.values())
        offsets = [at + sum(map(len, blocks[:index])) for index in range(len(blocks))]
        tags[places[0]] = 4, offsets
        for number, (kind, content) in sorted(tags.items()):
            packed = _packed(kind, content, order)
            field = packed.ljust(struct.calcsize(f"{order}{offset}"), b"\0")
            if len(field) > struct.calcsize(f"{order}{offset}"):
                field = struct.pack(f"{order}{offset}", tail + len(extra))
                extra += packed
            entries += struct.pack(f"{order}HH{offset}", number, kind, len(content)) + field
        body = bytes(extra).ljust(at - tail, b"\0") + b"".join(blocks)
        following = tail + len(body) if page + 1 < pages else 0
        out += struct.pack(f"{order}{count}", len(tags)) + entries + struct.pack(f"{order}{offset}", following) + body
    return bytes(out)


def _packed(kind: int, content: Sequence[int] | bytes, order: str) -> bytes:
    if isinstance(content, bytes):
        return content
    return struct.pack(f"{order}{len(content)}{ {3: 'H', 4: 'I'}[kind] }", *content)


def _predicted(block: Array, predictor: int) -> bytes:
    if predictor == 1:
        return block.tobytes()
    if predictor == 2:
        whole = block.astype(block.dtype.newbyteorder("="), copy=True).view(f"u{block.dtype.itemsize}")
        whole[:, 1:] = whole[:, 1:] - whole[:, :-1]
        return whole.astype(whole.dtype.newbyteorder(block.dtype.byteorder)).tobytes()
    height, width, bands = block.shape
    big = np.ascontiguousarray(block.astype(block.dtype.newbyteorder(">")))
    split = big.view(np.uint8).reshape(height, width * bands, -1).swapaxes(1, 2).reshape(height, -1, bands).copy()
    split[:, 1:] = split[:, 1:] - split[:, :-1]
    return split.tobytes()


def _compressed(content: bytes, compression: str) -> bytes:
    if compression == "stored":
        return content
    if compression == "deflate":
        return zlib.compress(content)
    stream = io.BytesIO()
    Image.frombytes("L", (len(content), 1), content).save(stream, "TIFF", compression=_PILLOWS[compression])
    with Image.open(io.BytesIO(stream.getvalue()), formats=("TIFF",)) as image:
        offset, size = image.tag_v2[273][0], image.tag_v2[279][0]
    return stream.getvalue()[offset : offset + size]


def heic(pixels: Array) -> bytes:
    """Return a HEIC picture."""
    import pillow_heif

    stream = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(stream, quality=90)
    return stream.getvalue()


def samples() -> dict[str, bytes]:
    """Return a valid picture of each format and kind; all of them show `scene()`, as far as they can."""
    pixels = scene()
    grey, deep = pixels[..., :1], pixels.astype(np.uint16) * 16
    opaque = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    plain = "P3 40 30 255\n" + " ".join(map(str, pixels.ravel()))
    others = [Image.fromarray(255 - pixels)]
    numbers = (pixels / 255).astype(np.float32)
    five = np.dstack([pixels, grey, grey])
    return {
        "jpeg": jpeg(pixels, [(0xE1, b"Exif\0\0" + exif(1))]),
        "jpeg-progressive": jpeg(pixels, progressive=True),
        "jpeg-grey": saved(pixels[..., 0], "JPEG"),
        "jpeg-cmyk": _cmyk(pixels),
        "mpo": _mpo(pixels),
        "png": png(pixels),
        "png-palette": _palette(pixels, "PNG"),
        "png-rgba": png(opaque, [chunk(b"eXIf", exif(1))]),
        "png-16": png(deep),
        "png-16-grey": png(deep[..., :1]),
        "png-16-alpha": png(np.dstack([deep, np.full(deep.shape[:2], 65535, np.uint16)])),
        "apng": saved(pixels, "PNG", save_all=True, append_images=others),
        "webp": saved(pixels, "WEBP", lossless=True),
        "webp-lossy": saved(pixels, "WEBP", quality=90, exif=b"Exif\0\0" + exif(1)),
        "webp-moving": saved(pixels, "WEBP", save_all=True, append_images=others, lossless=True),
        "bmp": saved(pixels, "BMP"),
        "gif": _palette(pixels, "GIF"),
        "gif-moving": saved(pixels, "GIF", save_all=True, append_images=others),
        "pbm": saved(pixels[..., 0] > 127, "PPM"),
        "pgm-16": b"P5\n# made by hand\n40 30\n65535\n" + deep[..., :1].astype(">u2").tobytes(),
        "ppm": saved(pixels, "PPM"),
        "ppm-4095": b"P6 40 30 4095\n" + np.rint(pixels / 255 * 4095).astype(">u2").tobytes(),
        "ppm-plain": plain.encode(),
        "pfm": b"Pf\n40 30\n-1.0\n" + np.ascontiguousarray(numbers[::-1, :, 0]).tobytes(),
        "tiff": saved(pixels, "TIFF"),
        "tiff-jpeg": saved(pixels, "TIFF", compression="jpeg"),
        "tiff-lzw": saved(pixels, "TIFF", compression="tiff_lzw"),
        "tiff-grey-16": tiff(deep[..., :1], rows=7),
        "tiff-rgb-16": tiff(deep, compression="lzw", predictor=2, rows=11),
        "tiff-tiles": tiff(deep, compression="deflate", tile=(16, 16)),
        "tiff-apart": tiff(deep, compression="packbits", apart=True, order=">"),
        "tiff-big": tiff(five, big=True),
        "tiff-float": tiff(numbers, compression="zstd", predictor=3),
        "tiff-nodata": tiff(pixels.astype(np.int16) * 40, tags=[(42113, 2, b"-9999\0")]),
        "tiff-pages": tiff(pixels, pages=3),
        "jpeg2000": saved(pixels, "JPEG2000"),
        "jpeg2000-16": saved(deep[..., 0], "JPEG2000"),
        "avif": saved(pixels, "AVIF", quality=90),
        "heic": heic(np.asarray(Image.fromarray(pixels).resize((64, 64)))),
    }


def _palette(pixels: Array, plugin: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).quantize(256).save(stream, plugin, interlace=False)
    return stream.getvalue()


def _cmyk(pixels: Array) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).convert("CMYK").save(stream, "JPEG", quality=95)
    return stream.getvalue()


def _mpo(pixels: Array) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "MPO", save_all=True, append_images=[Image.fromarray(pixels)], quality=95)
    return stream.getvalue()

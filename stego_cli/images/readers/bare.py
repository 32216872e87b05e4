"""A picture's bytes without its metadata, for files in which that is broken or huge: it never costs the pixels.

What the pixels need stays: of a PNG the palette and the transparency, of a JPEG the markers that say what its
components are. The EXIF orientation is read apart, where it can be read.
"""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image

_ORIENTATION = 0x0112
_PNG_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_SHORTEST_TRNS = {0: 14, 2: 18}  # bytes of a PNG's transparency with its frame, by colour type: grey, RGB
_WEBP_KEPT = frozenset({b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"})
# Application markers that say what the components are, with the least that they have to hold, in bytes.
_COLOURS = {(0xE0, b"JFIF\0"): 14, (0xEE, b"Adobe"): 12}
_EXIF = b"Exif\0\0"
_MOST_EXIF = 1 << 20  # bytes; what is larger is not searched for the orientation


def orientation_of(image: Image.Image) -> int:
    """Return a picture's EXIF orientation, 1 to 8; 1 where its EXIF cannot be read.

    Raises:
        Exception: of Pillow's, if a PNG whose EXIF may lie behind its pixels cannot be decoded.
    """
    if image.format == "PNG" and "exif" not in image.info:
        image.load()  # here and not in `getexif`, so that no picture that is half decoded passes for a whole one
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except Exception:  # whatever damaged EXIF leads Pillow into
        return 1
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def bare_png(content: bytes) -> tuple[bytes, int]:
    """Return a PNG without metadata, and its EXIF orientation."""
    kept, orientation = [content[:8]], 1
    for kind, start, end in _png_chunks(content):
        if kind in _PNG_KEPT and not (kind == b"tRNS" and end - start < _SHORTEST_TRNS.get(content[25], 13)):
            kept.append(content[start:end])
        elif kind == b"eXIf":
            orientation = _orientation_in(content[start + 8 : end - 4])
    return b"".join(kept), orientation


def bare_jpeg(content: bytes) -> tuple[bytes, int]:
    """Return a JPEG without metadata, and its EXIF orientation."""
    kept, orientation, at = [content[:2]], 1, 2
    for marker, start, end in _jpeg_segments(content):
        body = content[start + 4 : end]
        if marker == 0xE1 and body.startswith(_EXIF):
            orientation = _orientation_in(body[len(_EXIF) :])
        # All application markers and comments but those two are metadata, and so is one of them that is cut short.
        is_metadata = 0xE0 <= marker <= 0xEF or marker == 0xFE
        if not is_metadata or ((marker, body[:5]) in _COLOURS and len(body) >= _COLOURS[marker, body[:5]]):
            kept.append(content[start:end])
        at = end
    return b"".join([*kept, content[at:]]), orientation


def bare_webp(content: bytes) -> tuple[bytes, int]:
    """Return a WebP without metadata, and its EXIF orientation."""
    kept, orientation, at = [], 1, 12
    while at + 8 <= len(content):
        kind, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        end = at + 8 + size + size % 2
        if kind in _WEBP_KEPT:
            kept.append(content[at:end])
        elif kind == b"EXIF":
            orientation = _orientation_in(content[at + 8 : at + 8 + size].removeprefix(_EXIF))
        at = end
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + len(body).to_bytes(4, "little") + body, orientation


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of every chunk; one that is cut short ends with the file."""
    at = 8
    while at + 8 <= len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        yield content[at + 4 : at + 8], at, end
        at = end


def _jpeg_segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of every segment before the first scan."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == 0xDA or not 0xC0 <= marker <= 0xFE:
            return
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        yield marker, at, end
        at = end


def _orientation_in(exif: bytes) -> int:
    """Return the orientation in a block of EXIF; 1 where it is broken, or none is in it."""
    if len(exif) > _MOST_EXIF:
        return 1
    found = Image.Exif()
    try:
        found.load(exif)
        orientation = found.get(_ORIENTATION)
    except Exception:  # whatever damaged EXIF leads Pillow into
        return 1
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1

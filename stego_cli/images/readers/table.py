"""Readers by format, a row each. Which one reads a file is decided by its first bytes, never by its name.

Names only decide which files of a folder are looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, features

from stego_cli.errors import PhotoError
from stego_cli.images.readers import heif, pillow, pnm, tiff
from stego_cli.images.readers.picture import OpenPicture
from stego_cli.images.readers.picture_file import FileOrBytes, head_of, quiet, reason_of

_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})


def _always() -> None:
    return None


@dataclass(frozen=True)
class Reader:
    """One format.

    Attributes:
        suffixes: of files' names, in small letters.
        matches: returns whether a file is of this format, from its first bytes (`picture_file.HEAD` of them).
        read: opens a picture; with True without its metadata.
        missing: returns why the format cannot be read here, with the remedy; None if it can.
        deep: its pictures can have more than 8 bits.
    """

    suffixes: tuple[str, ...]
    matches: Callable[[bytes], bool]
    read: Callable[[FileOrBytes, bool], OpenPicture]
    missing: Callable[[], str | None] = _always
    deep: bool = False


def _starts(*prefixes: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(prefixes)


def _brands(head: bytes) -> set[bytes]:
    """Return the brands of an ISO media file: its own, and those that it is compatible with."""
    if head[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))}


def _is_avif(head: bytes) -> bool:
    return bool(_brands(head) & {b"avif", b"avis"})


def _no_avif() -> str | None:
    return None if features.check("avif") else "an AVIF picture, which this build of Pillow does not read"


READERS: dict[str, Reader] = {
    "JPEG": Reader((".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), _starts(b"\xff\xd8\xff"), pillow.reader("JPEG")),
    "PNG": Reader((".png", ".apng"), _starts(b"\x89PNG\r\n\x1a\n"), pillow.reader("PNG"), deep=True),
    "WebP": Reader((".webp",), lambda head: head[:4] + head[8:12] == b"RIFFWEBP", pillow.reader("WEBP")),
    "BMP": Reader((".bmp", ".dib"), _starts(b"BM"), pillow.reader("BMP")),
    "GIF": Reader((".gif",), _starts(b"GIF87a", b"GIF89a"), pillow.reader("GIF")),
    "PNM": Reader(
        (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
        lambda head: re.match(rb"P[1-6f][\s#]", head) is not None,
        pnm.read,
        deep=True,
    ),
    "TIFF": Reader((".tif", ".tiff"), _starts(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), tiff.read, deep=True),
    "JPEG 2000": Reader(
        (".jp2", ".j2k", ".jpx", ".j2c"),
        _starts(b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n"),
        pillow.reader("JPEG2000"),
        deep=True,
    ),
    "AVIF": Reader((".avif",), _is_avif, pillow.reader("AVIF"), _no_avif),
    "HEIC": Reader(
        (".heic", ".heif", ".hif"), lambda head: bool(_brands(head) & _HEIF_BRANDS), heif.read, heif.missing
    ),
}

SUFFIXES = frozenset(suffix for reader in READERS.values() for suffix in reader.suffixes)
# Raw files of cameras are offered too, and then refused by name: they are photographs, and not to be passed over.
RAW_SUFFIXES = frozenset({".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw"})

_RAW = "a camera's raw file, which is not read; convert it to JPEG, PNG or TIFF"
_OTHERS: tuple[tuple[bytes, str], ...] = (  # what is often found under a picture's name, by its first bytes
    (b"%PDF", "not a picture but a PDF"),
    (b"%!PS", "not a picture but PostScript"),
    (b"\xc5\xd0\xd3\xc6", "not a picture but PostScript"),
    (b"8BPS", "a Photoshop file, which is not read; convert it to PNG or TIFF"),
    (b"\xff\x0a", "a JPEG XL picture, which is not read; convert it to JPEG or PNG"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture, which is not read; convert it to JPEG or PNG"),
    (b"v/1\x01", "an OpenEXR picture, which is not read; convert it to TIFF"),
    (b"<svg", "an SVG drawing, which is not read"),
    (b"<!DOCTYPE html", "not a picture but a web page"),
    (b"<html", "not a picture but a web page"),
    (b"version https://git-lfs", "not the picture but a Git LFS pointer to it; run `git lfs pull`"),
    *((head, _RAW) for head in (b"IIRO", b"IIRS", b"IIU\0", b"FUJIFILMCCD-RAW")),
)


def matches_a_photograph(head: bytes) -> bool:
    """Return whether the first bytes of a file are those of a picture of a format of the table, or of a raw file."""
    return any(reader.matches(head) for reader in READERS.values()) or b"crx " in _brands(head)


def reader_of(head: bytes) -> Reader:
    """Return the reader of a picture by its first bytes.

    Raises:
        PhotoError: it is none, or of a format that is not read here; the message names what it is.
    """
    if not head:
        raise PhotoError("the file is empty")
    if head.startswith(b"II*\0") and head[8:10] == b"CR":
        raise PhotoError(_RAW)
    for reader in READERS.values():
        if reader.matches(head):
            reason = reader.missing()
            if reason is not None:
                raise PhotoError(reason)
            return reader
    brands = _brands(head)
    if brands:
        raise PhotoError(_RAW if b"crx " in brands else "not a picture but a video")
    raise PhotoError(next((reason for prefix, reason in _OTHERS if head.startswith(prefix)), "not a picture"))


def open_any(source: FileOrBytes, bare: bool = False) -> OpenPicture:
    """Open a picture, a file or its content, of any format of the table; nothing of its pixels is decoded yet.

    Args:
        source: a file or its content.
        bare: without its metadata, for a picture that cannot be read with it.

    Raises:
        PhotoError: it cannot be read, with a reason that fits on a line.
    """
    try:
        with quiet():
            return reader_of(head_of(source)).read(source, bare)
    except PhotoError as error:
        of_system = isinstance(error.__cause__, OSError)  # it could not be opened at all
        if isinstance(source, Path) and source.suffix.lower() in RAW_SUFFIXES and not of_system:
            raise PhotoError(_RAW) from error
        raise
    except Exception as error:  # what a damaged header leads a reader into
        raise PhotoError(reason_of(error)) from error


def open_picture(source: FileOrBytes) -> Image.Image:
    """Open a picture with Pillow, lazily; the only way to do so in this project.

    Only the formats of the table are tried, and of those only the one that fits the content.

    Raises:
        PhotoError: it cannot be opened, or Pillow has no mode for it, with a reason that fits on a line.
    """
    try:
        picture = open_any(source)
    except PhotoError as error:
        try:
            picture = open_any(source, bare=True)
        except PhotoError:
            raise error from None
    image, bands = picture.image, picture.bands
    if picture.stream is not None:
        picture.stream.close()
    if image is None:
        raise PhotoError(f"a picture of bands ({bands.info.count}, {bands.info.kind})" if bands else "not a picture")
    return image

"""Opening rasters with GDAL: which of its drivers are let in, which files, and how much it may keep in memory.

A VRT is a list of other files. GDAL would open whatever it names, with any driver, addresses of servers among it. Only
GeoTIFFs and JPEG 2000 files are let through, and none of the kinds of VRT that compute or read raw bytes.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from stego_cli.errors import PhotoError
from stego_cli.images.readers.picture_file import head_of, quiet
from stego_cli.text import shown

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MOST_IN_VRT = 1 << 24  # characters
_JPEG_2000 = b"\0\0\0\x0cjP  "
SETTINGS = {
    "GDAL_CACHEMAX": 128,  # megabytes of blocks that are kept; GDAL's own default is a share of the whole memory
    "GDAL_VRT_ENABLE_PYTHON": "NO",  # no code that a file brings
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "none",  # no file of another machine
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # no files beside it, which may name others
    "GDAL_PAM_ENABLED": "NO",  # likewise, and none is written
    "GDAL_TIFF_INTERNAL_MASK": True,
}


def missing() -> str | None:
    """Return why rasters cannot be read here, with the remedy; None if they can."""
    from importlib.util import find_spec

    if all(find_spec(name) is not None for name in ("rasterio", "shapely")):
        return None
    return 'a georeferenced raster, which needs rasterio and shapely; install them: pip install "stego-cli[geo]"'


@contextmanager
def gdal() -> Iterator[None]:
    """Use GDAL with this project's settings, and without its warnings."""
    import rasterio

    with quiet(), rasterio.Env(**SETTINGS):
        yield


def opened(file: Path) -> DatasetReader:
    """Open a raster.

    Raises:
        PhotoError: it cannot be opened.
    """
    import rasterio

    try:
        with gdal():
            return rasterio.open(str(file.absolute()), driver=_driver(file))
    except PhotoError:
        raise
    except Exception as error:  # as many kinds as GDAL has drivers
        raise PhotoError(reason_of(error)) from error


def _driver(file: Path) -> str:
    """Return the one driver that may open a file: others would be tried on whatever is in it.

    Raises:
        PhotoError: it is a VRT that is not let in.
    """
    head = head_of(file)
    if head.startswith(_JPEG_2000):
        return "JP2OpenJPEG"
    if not head.lstrip().startswith(b"<VRT"):
        return "GTiff"
    _require_plain(file)
    return "VRT"


def _require_plain(file: Path) -> None:
    with file.open("rb") as stream:
        text = stream.read(_MOST_IN_VRT + 1).decode("utf-8", "replace")
    if len(text) > _MOST_IN_VRT or re.search(r"subclass|<\s*(SourceDataset|OverviewFile)", text, re.IGNORECASE):
        raise PhotoError("a VRT that is very large, computes, or reads raw bytes, which is not read")
    named = re.findall(r"<\s*SourceFilename\b([^>]*)>([^<]*)<", text, re.IGNORECASE)
    if len(named) != len(re.findall("<\\s*SourceFilename", text, re.IGNORECASE)):
        raise PhotoError("a broken VRT")
    for attributes, name in named:
        beside = re.search(r"relativeToVRT\s*=\s*[\"']?1", attributes, re.IGNORECASE) is not None
        source = (file.parent if beside else Path()) / html.unescape(name).strip()
        try:
            plain = head_of(source).startswith((_JPEG_2000, *_TIFF))
        except PhotoError:
            plain = False
        if not plain:
            raise PhotoError(f"a VRT of something else than GeoTIFFs and JPEG 2000 files: {shown(name)}")


def reason_of(error: BaseException) -> str:
    """Return an error of GDAL as one line of text: the deepest one says what is wrong."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__

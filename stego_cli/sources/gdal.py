"""Opening rasters with GDAL: which of its drivers are let in, and how much it may keep in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from stego_cli.errors import PhotoError
from stego_cli.images.readers.picture_file import head_of, quiet

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

_JPEG_2000 = b"\0\0\0\x0cjP  "
SETTINGS = {
    "GDAL_CACHEMAX": 128,  # megabytes of blocks that are kept; GDAL's own default is a share of the whole memory
    "GDAL_VRT_ENABLE_PYTHON": "NO",  # no code that a file brings
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "none",  # no file of another machine
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
            return rasterio.open(str(file.absolute()), driver=_driver(head_of(file)))
    except Exception as error:  # as many kinds as GDAL has drivers
        raise PhotoError(reason_of(error)) from error


def _driver(head: bytes) -> str:
    """Return the one driver that may open a file: others would be tried on whatever is in it."""
    if head.startswith(_JPEG_2000):
        return "JP2OpenJPEG"
    return "VRT" if head.lstrip().startswith(b"<VRT") else "GTiff"


def reason_of(error: BaseException) -> str:
    """Return an error of GDAL as one line of text: the deepest one says what is wrong."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__

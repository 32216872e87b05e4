"""HEIC and other HEIF pictures, by pillow-heif: an extra, since its wheels carry code under the LGPL and the GPL."""

from __future__ import annotations

import importlib.util
import io

from stego_cli.errors import PhotoError
from stego_cli.images.readers.picture import OpenPicture
from stego_cli.images.readers.picture_file import FileOrBytes, reason_of, require_content_size, require_size


def missing() -> str | None:
    """Return why there are no HEIC pictures here, with the remedy; None if they are read."""
    if importlib.util.find_spec("pillow_heif") is None:
        return "a HEIC picture, which needs pillow-heif: pip install 'stego-cli[heic]'"
    return None


def read(source: FileOrBytes, bare: bool) -> OpenPicture:
    """Open a HEIF file's primary picture.

    Raises:
        PhotoError: it is broken or too large.
    """
    from pillow_heif import HeifImageFile

    require_content_size(source)
    try:
        image = HeifImageFile(io.BytesIO(source) if isinstance(source, bytes) else source)  # type: ignore[no-untyped-call]  # the library has no types
    except Exception as error:  # libheif's errors come in many kinds
        raise PhotoError(f"a broken HEIC file: {reason_of(error)}") from error
    try:
        require_size(*image.size)
        # The decoder turns the picture, and sets the orientation in its EXIF to 1.
        return OpenPicture(image.size, frames=image.n_frames, image=image)
    except BaseException:
        image.close()
        raise

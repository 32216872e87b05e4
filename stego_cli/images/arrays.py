"""Labels in files of arrays: NumPy's .npy and .npz, and MATLAB's .mat. None of them is unpickled."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stego_cli.errors import PhotoError
from stego_cli.images.decode import MAX_PIXELS
from stego_cli.images.ids import Ids, whole_ids
from stego_cli.images.mat_files import load_mat

# Names that the array of labels usually has, in small letters, the better ones first.
_NAMES = (
    "label", "labels", "gt", "mask", "masks", "segmentation", "seg", "annotation", "annotations", "groundtruth",
    "labelmap", "label_map", "l", "s", "y", "arr_0", "data",
)  # fmt: skip
_LARGEST = 256 << 20  # bytes of an array in a .npz


def ids_in_npy(content: bytes) -> Ids:
    """Return the labels in a .npy file, uint8 or uint16 (H, W).

    Raises:
        PhotoError: it is broken, or not an array of whole numbers of height x width.
    """
    return _as_ids(_load_npy(content))


def ids_in_npz(content: bytes) -> Ids:
    """Return the labels in a .npz file that has one array of height x width, or one with a usual name.

    Raises:
        PhotoError: it is broken, or it is unclear which array it is.
    """
    arrays = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.infolist():
                if member.filename.endswith(".npy"):
                    if member.file_size > _LARGEST:
                        raise PhotoError(f"its array {member.filename[:-4]} has {member.file_size / 1e9:.1f} GB")
                    arrays[member.filename[:-4]] = _load_npy(archive.read(member))
    except PhotoError:
        raise
    except Exception as error:  # a damaged zip leads its reader to raise anything
        raise PhotoError(f"a broken .npz file: {error}") from error
    return _as_ids(_only(arrays))


def ids_in_mat(content: bytes) -> Ids:
    """Return the labels in a .mat file that has one array of height x width, or one with a usual name.

    Raises:
        PhotoError: it is broken, of version 7.3, or it is unclear which array it is.
    """
    return _as_ids(_only(load_mat(content)))


def _load_npy(content: bytes) -> NDArray[Any]:
    """Load an array whose size is checked before memory is taken."""
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(stream)
        if dtype.hasobject:
            raise PhotoError("a .npy file of Python objects, which are never loaded")
        if math.prod(shape) * dtype.itemsize > len(content) - stream.tell():
            raise PhotoError("a .npy file that is cut short")
        stream.seek(0)
        array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    except PhotoError:
        raise
    except Exception as error:  # a damaged header leads the reader to raise anything
        raise PhotoError(f"a broken .npy file: {error}") from error
    return array


def _only(arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    flat = {name: array for name, array in arrays.items() if array.ndim >= 2 and min(array.shape[:2]) > 1}
    for those in (flat, arrays):
        if len(those) == 1:
            return next(iter(those.values()))
    by_name = {name.lower(): array for name, array in flat.items()}
    for name in _NAMES:
        if name in by_name:
            return by_name[name]
    raise PhotoError(f"it is unclear which of its arrays is the label: {', '.join(arrays) or 'there is none'}")


def _as_ids(array: NDArray[Any]) -> Ids:
    if array.ndim == 3 and 1 in (array.shape[0], array.shape[2]):
        array = array[0] if array.shape[0] == 1 else array[..., 0]
    if array.ndim != 2 or not array.size:
        raise PhotoError(f"an array of shape {array.shape}, not height x width")
    if array.size > MAX_PIXELS:
        raise PhotoError(f"more than {MAX_PIXELS / 1e6:.0f} million pixels ({array.shape[1]} x {array.shape[0]})")
    return whole_ids(np.ascontiguousarray(array.astype(np.uint8) if array.dtype == bool else array))

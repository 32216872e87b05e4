"""Labels in files of arrays: NumPy's .npy and .npz, and MATLAB's .mat. None of them is unpickled."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stego_cli.errors import PhotoError
from stego_cli.images.decode import MAX_PIXELS
from stego_cli.images.ids import Ids, whole_ids

# Names that the array of labels usually has, in small letters, the better ones first.
_NAMES = (
    "label", "labels", "gt", "mask", "masks", "segmentation", "seg", "annotation", "annotations", "groundtruth",
    "labelmap", "label_map", "l", "s", "y", "arr_0", "data",
)  # fmt: skip
_LARGEST = 256 << 20  # bytes of an array in a .npz
_DEEPEST = 6  # structures within each other in a .mat


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
    from scipy.io import loadmat

    if content[:4] == b"\x89HDF" or b"MATLAB 7.3" in content[:128]:
        raise PhotoError("a .mat file of version 7.3 (HDF5), which is not read; save it with -v7")
    try:
        loaded = loadmat(io.BytesIO(content), squeeze_me=False)
        arrays = dict(_in_structures({key: value for key, value in loaded.items() if not key.startswith("__")}))
    except Exception as error:  # a damaged file leads the reader to raise anything
        raise PhotoError(f"a broken .mat file: {error}") from error
    return _as_ids(_only(arrays))


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


def _in_structures(found: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the arrays in MATLAB's structures, each with the name of its field."""
    for name, value in found.items():
        array = np.asarray(value)
        if array.dtype.names and array.size and depth < _DEEPEST:
            first = array.ravel()[0]
            yield from _in_structures({field: first[field] for field in array.dtype.names}, depth + 1)
        elif array.dtype == object and array.size == 1 and depth < _DEEPEST:
            yield from _in_structures({name: array.ravel()[0]}, depth + 1)
        elif array.dtype.kind in "iufb":
            yield name, array


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

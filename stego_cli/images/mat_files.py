"""MATLAB's .mat files, loaded in processes of their own: SciPy's reader crashes at some damaged files."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stego_cli.errors import PhotoError
from stego_cli.machine import cores
from stego_cli.processes import begin_worker, process_pool

_MEMORY = 4 << 30  # bytes of address space of a process
_DEEPEST = 6  # structures within each other

_lock = threading.Lock()
_shared: ProcessPoolExecutor | None = None


def load_mat(content: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of numbers in a .mat file by name, those in structures by the name of their field.

    Raises:
        PhotoError: it is broken, or of version 7.3.
    """
    if content[:4] == b"\x89HDF" or b"MATLAB 7.3" in content[:128]:
        raise PhotoError("a .mat file of version 7.3 (HDF5), which is not read; save it with -v7")
    try:
        found = _in_another_process(content)
    except BrokenProcessPool as error:
        raise PhotoError("a broken .mat file, at which its reader crashes") from error
    if isinstance(found, str):
        raise PhotoError(f"a broken .mat file: {found}")
    return found


def _in_another_process(content: bytes) -> dict[str, NDArray[Any]] | str:
    global _shared
    with _lock:
        pool = _shared = _shared or process_pool(cores(), _begin)
    with contextlib.suppress(BrokenProcessPool):
        return pool.submit(_load, content).result()
    with _lock:  # the file at which it broke may have been another one, so this one is tried alone
        _shared = None if _shared is pool else _shared
    with process_pool(1, _begin) as alone:
        return alone.submit(_load, content).result()


def _begin() -> None:
    begin_worker()
    with contextlib.suppress(ImportError, ValueError, OSError):  # Windows has no such limit
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


def _load(content: bytes) -> dict[str, NDArray[Any]] | str:
    """Return the arrays, or why there are none."""
    from scipy.io import loadmat

    try:
        loaded = loadmat(io.BytesIO(content), squeeze_me=False)
        return dict(_in_structures({key: value for key, value in loaded.items() if not key.startswith("__")}))
    except Exception as error:  # at a damaged file the reader raises anything
        return (str(error).splitlines() or [type(error).__name__])[0]


def _in_structures(found: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[str, NDArray[Any]]]:
    for name, value in found.items():
        array = np.asarray(value)
        if array.dtype.names and array.size and depth < _DEEPEST:
            first = array.ravel()[0]
            yield from _in_structures({field: first[field] for field in array.dtype.names}, depth + 1)
        elif array.dtype == object and array.size == 1 and depth < _DEEPEST:
            yield from _in_structures({name: array.ravel()[0]}, depth + 1)
        elif array.dtype.kind in "iufb":
            yield name, array

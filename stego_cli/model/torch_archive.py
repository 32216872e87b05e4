"""Reading a file of `torch.save` without executing anything in it.

Such a file is a zip archive of raw storages and one pickle, and a pickle is a program that may call any function by
name. Here no name is looked up: the few that describe tensors and dicts are mapped to classes of this module, those of
the libraries that checkpoints mention become inert records, and any other name is refused. A tensor is read only when
it is asked for, with a check of its bounds, so optimiser states and the like cost nothing.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import torch
from torch import Tensor

from stego_cli.errors import ModelError
from stego_cli.model.pickle_limits import PROGRAM_LIMIT, ForbiddenOpcode, check_program
from stego_cli.regular_file import open_regular
from stego_cli.text import shown

_DIRECTORY_LIMIT = 4 * 2**20  # bytes of the zip archive's directory, which has 100 for a tensor
_ENTRY_LIMIT = 64 * 2**20  # bytes; the largest tensor of a ViT-B takes 9 MB
_MOST_DIMENSIONS = 8
_ELEMENTS = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
# Packages with objects among a checkpoint's hyper-parameters and callbacks. Their content is kept as data.
_INERT_PACKAGES = frozenset(
    {"omegaconf", "pytorch_lightning", "lightning", "lightning_fabric", "lightning_utilities", "typing"}
)
_INERT = frozenset(
    {("argparse", "Namespace"), ("operator", "getitem"), ("pathlib", "PosixPath"), ("pathlib", "WindowsPath")}
    | {("torch", name) for name in ("device", "Size", "float16", "float32", "float64", "bfloat16", "int64", "bool")}
    | {(module, "scalar") for module in ("numpy.core.multiarray", "numpy._core.multiarray")}
    | {("numpy", "dtype"), ("_codecs", "encode"), ("copyreg", "_reconstructor"), ("copy_reg", "_reconstructor")}
    | {
        (module, name)
        for module in ("builtins", "__builtin__")
        for name in ("dict", "list", "tuple", "set", "frozenset", "str", "int", "float", "bool", "bytes", "object")
    }
)


class Record:
    """Stands for an object of a foreign class: has its state, without that class's code.

    Attributes:
        state: the attributes that the object had.
    """

    state: dict[Any, Any]

    def __new__(cls, *args: object, **kwargs: object) -> Record:
        """Make a record that has a state: some opcodes make an object without `__init__`."""
        made = super().__new__(cls)
        made.state = {}
        return made

    def __setstate__(self, state: object) -> None:
        if isinstance(state, tuple) and len(state) == 2:  # attributes, and those in slots
            state = state[0] or state[1]
        if isinstance(state, dict):
            self.state = state

    def __setitem__(self, key: object, value: object) -> None:
        self.state[key] = value

    def append(self, value: object) -> None:
        """Drop an item: no foreign list is needed."""

    def extend(self, values: object) -> None:
        """Drop items: see `append`."""


class _Mapping(dict[Any, Any]):
    """Stands for OrderedDict and defaultdict; attributes that a pickle sets on one are dropped."""

    __slots__ = ()

    def __init__(self, *args: object) -> None:
        super().__init__()

    def __setstate__(self, state: object) -> None:
        pass


# All classes that a pickle can name have a `__setstate__`, so that unpickling cannot set attributes of a class.
class _Elements:
    """The type of a storage's elements."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype

    def __setstate__(self, state: object) -> NoReturn:
        raise pickle.UnpicklingError("a storage type has no state")


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: torch.dtype


class StoredTensor:
    """Where a tensor is in the archive, as the file describes it; not checked before it is read."""

    def __init__(self, storage: object, offset: object, shape: object, strides: object, *rest: object) -> None:
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def __setstate__(self, state: object) -> NoReturn:
        raise pickle.UnpicklingError("a tensor has no state")

    def sizes(self) -> tuple[int, ...]:
        """Return its shape; () if the file describes none that a tensor can have."""
        shape = self.shape
        if not isinstance(shape, tuple) or len(shape) > _MOST_DIMENSIONS:
            return ()
        return shape if all(type(size) is int and 0 <= size < 2**48 for size in shape) else ()


class _Parameter:
    """Unwraps a parameter to its tensor."""

    def __new__(cls, data: object, *rest: object) -> Any:  # noqa: ANN401  (the data, not an instance)
        return data

    def __setstate__(self, state: object) -> None:
        pass


class _Forbidden(Exception):  # noqa: N818  (never leaves this module)
    pass


class _BoundedFile(io.BufferedReader):
    """A file that refuses to read more at once than `most` bytes: zipfile believes the sizes in an archive."""

    most = _DIRECTORY_LIMIT

    def read(self, size: int | None = -1) -> bytes:
        """Read `size` bytes, or all that is left."""
        if size is None or size < 0:
            here = self.tell()
            size = self.seek(0, io.SEEK_END) - here
            self.seek(here)
        if size > self.most:
            raise zipfile.BadZipFile(f"it has a part of {size / 1e6:.0f} MB")
        return super().read(size)


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401  (a class or an element type)
        """Return the substitute for a name; nothing is imported, and no attribute is looked up."""
        if (module, name) in (("collections", "OrderedDict"), ("collections", "defaultdict")):
            return _Mapping
        if module == "torch" and name in _ELEMENTS:
            return _Elements(_ELEMENTS[name])
        if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            return StoredTensor
        if module == "torch._utils" and name == "_rebuild_parameter":
            return _Parameter
        known = (module, name) in _INERT or module.partition(".")[0] in _INERT_PACKAGES
        if known and name.isidentifier():  # a dotted name would reach into other modules
            return Record
        raise _Forbidden(f"{module}.{name}"[:100])

    def persistent_load(self, pid: Any) -> _Storage:  # noqa: ANN401  (whatever the file says)
        """Return the storage that ("storage", type, key, device, elements) names."""
        kind, elements, key, *_ = pid
        if kind != "storage" or not isinstance(elements, _Elements) or not isinstance(key, str):
            raise pickle.UnpicklingError("a storage is not described as one")
        return _Storage(key, elements.dtype)


class TorchArchive:
    """An open file of `torch.save`; a context manager.

    Attributes:
        content: the saved object, with `StoredTensor` for tensors and `Record` for objects of foreign classes.

    Raises (in the constructor):
        ModelError: the file cannot be read, is not such an archive, is damaged, or its pickle names what none needs.
    """

    def __init__(self, file: Path) -> None:
        self._name = shown(file)
        try:
            self._file = _BoundedFile(open_regular(file))
        except OSError as error:
            raise ModelError(f"{self._name} cannot be read: {error.strerror or error}.") from error
        try:
            self._zip = self._opened()
            self._file.most = _ENTRY_LIMIT
            self._entries = {info.filename: info for info in self._zip.infolist()}
            self._folder = self._only_folder()
            if self._folder + "byteorder" in self._entries and self._bytes("byteorder", 100) != b"little":
                raise ModelError(f"{self._name} was written on a big-endian machine, which is not supported.")
            self.content = self._load()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def tensor(self, stored: StoredTensor, shape: tuple[int, ...], name: str) -> Tensor:
        """Return a tensor as contiguous float32 of that shape.

        Raises:
            ModelError: it has another shape, reaches beyond its storage, or holds values that are not finite.
        """
        if stored.shape != shape:
            raise ModelError(f"{self._name} has {name} of shape {stored.sizes()}; {shape} was expected.")
        storage, offset, strides = stored.storage, stored.offset, stored.strides
        numbers = (offset, *strides) if isinstance(strides, tuple) else (None,)
        if not isinstance(storage, _Storage) or not all(type(n) is int and 0 <= n < 2**48 for n in numbers):
            raise self.damaged(f"{name} is not described as a tensor")
        assert isinstance(offset, int)
        assert isinstance(strides, tuple)
        raw = bytearray(self._bytes(f"data/{storage.key}"))
        count = len(raw) // storage.dtype.itemsize
        # No repeated elements either (strides of 0): a few bytes must not become a huge tensor.
        needed = offset + 1 + sum((size - 1) * step for size, step in zip(shape, strides, strict=False))
        if len(strides) != len(shape) or needed > count or torch.Size(shape).numel() > count or 0 in shape:
            raise self.damaged(f"{name} reaches beyond its data")
        flat = torch.frombuffer(raw, dtype=storage.dtype, count=count)
        tensor = torch.as_strided(flat, shape, strides, offset).to(torch.float32).clone().contiguous()
        if not bool(torch.isfinite(tensor).all()):
            raise ModelError(f"{self._name} has values in {name} that are not finite: its training failed.")
        return tensor

    def damaged(self, reason: str) -> ModelError:
        """Return the error of a file that contradicts itself."""
        return ModelError(f"{self._name} is damaged: {reason}.", "Fetch it again.")

    def _opened(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self._file)
        except OSError as error:
            raise ModelError(f"{self._name} cannot be read: {error.strerror or error}.") from error
        except Exception as error:  # zipfile has errors of many kinds for damage
            self._file.seek(0)
            if self._file.read(4) == b"PK\x03\x04":
                missing = isinstance(error, zipfile.BadZipFile) and "not a zip file" in str(error)
                raise self.damaged("its end is missing" if missing else _brief(error)) from error
            raise ModelError(
                f"{self._name} is not a checkpoint: no zip archive, the format of torch since version 1.6.",
                "Give a .ckpt of the original STEGO. One of an older torch must be saved again with a newer one.",
            ) from error

    def _only_folder(self) -> str:
        found = [name for name in self._entries if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(found) != 1 or len(self._entries) != len(self._zip.infolist()):
            raise ModelError(f"{self._name} is a zip archive, but not one that torch wrote.")
        return found[0].removesuffix("data.pkl")

    def _bytes(self, entry: str, most: int = _ENTRY_LIMIT) -> bytes:
        """Return the bytes of an entry of at most `most`, which must not be compressed: it could be a bomb."""
        info = self._entries.get(self._folder + entry)
        if info is None:
            raise self.damaged(f"{_brief(entry)} is missing")
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size or info.flag_bits & 1:
            raise ModelError(f"{self._name} is not one that torch wrote: {entry} is compressed or encrypted.")
        if info.file_size > most:
            raise self.damaged(f"{_brief(entry)} takes {info.file_size / 1e6:.0f} MB, far more than in a checkpoint")
        try:
            return self._zip.read(info)
        except Exception as error:  # zipfile has errors of many kinds for it
            raise self.damaged(_brief(error)) from error

    def _load(self) -> Any:  # noqa: ANN401  (whatever was saved)
        program = self._bytes("data.pkl", PROGRAM_LIMIT)
        try:
            check_program(program)
            return _Reader(io.BytesIO(program)).load()
        except (_Forbidden, ForbiddenOpcode) as error:
            raise ModelError(
                f"{self._name} is refused: it asks for {error}, which no checkpoint needs; nothing of it was run.",
                "Get the checkpoint from those who published it.",
            ) from error
        except Exception as error:  # a damaged pickle can raise nearly any
            raise self.damaged(f"its pickle cannot be read ({_brief(error) or type(error).__name__})") from error


def _brief(thing: object) -> str:
    """Return a description that is short enough for a sentence."""
    return " ".join(str(thing).split())[:100].rstrip(".")

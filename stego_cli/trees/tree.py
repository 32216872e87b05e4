"""A folder on any file system that fsspec knows: a stream of what is in it, and files that are whole or not there."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from stego_cli.errors import OutputError, UsageError
from stego_cli.images.atomic import write_bytes
from stego_cli.text import shown
from stego_cli.trees.address import EXTRAS, is_address, protocol_of

Result = TypeVar("Result")

_PAGE = 1000  # objects that are asked for at once
_WAITS = (1.0, 4.0, 16.0)  # seconds before another try, after the tries of the store's own client
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)  # another try changes nothing
_ATOMIC = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory"})  # a put is seen whole or not at all
_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Listed:
    """A file of a tree.

    Attributes:
        path: relative to the tree.
        size: bytes; -1: unknown.
        mtime: nanoseconds; -1: unknown.
        md5: of its content as the store tells it, in hexadecimal; "": it does not. A store may tell another hash.
    """

    path: str
    size: int
    mtime: int
    md5: str = ""


class Tree:
    """A folder at an address, or on this machine.

    Args:
        place: such as "s3://bucket/folder", "memory://x" or "/data/photos".
        field: the setting that it was given as, for errors.

    Raises:
        UsageError: there is no such kind of address, or what it needs is not installed.
    """

    def __init__(self, place: str, field: str) -> None:
        try:
            import fsspec

            options = {"use_listings_cache": False} if is_address(place) else {}
            self._fs, root = fsspec.url_to_fs(place, **options)
        except ImportError as error:
            protocol = protocol_of(place)
            raise UsageError(
                f"{protocol}:// needs {error.name or 'fsspec'}.",
                f"`pip install 'stego-cli[{EXTRAS[protocol]}]'`." if protocol in EXTRAS else "Install it.",
                field=field,
            ) from error
        except (ValueError, OSError) as error:
            raise UsageError(f"{place} cannot be used: {error}.", field=field) from error
        self.place, self._root = place.rstrip("/"), str(root).rstrip("/")
        protocols = self._fs.protocol
        self._protocols = {protocols} if isinstance(protocols, str) else set(protocols)
        self._local, self._web = "file" in self._protocols, "http" in self._protocols

    def files(self, below: str = "") -> Iterator[Listed]:
        """Yield every file, in no order, without holding more than a page or, where there are none, a folder.

        Raises:
            OSError: a folder cannot be listed; nothing may be left out.
        """
        top = self._full(below) if below else self._root
        for info in self._pages(top) if hasattr(self._fs, "_iterdir") else self._folders(top):
            path = str(info["name"])[len(self._root) :].removeprefix("/")  # one alone: a key may have two
            if path and not path.endswith("/"):
                yield Listed(path, -1 if info.get("size") is None else info["size"], _mtime(info), _md5(info))

    def _folders(self, top: str) -> Iterator[dict[str, Any]]:
        folders = [top]
        while folders:
            folder = folders.pop()
            try:
                infos = self._in_folder(folder)
            except FileNotFoundError:
                if folder == top:
                    return
                continue  # it was removed meanwhile
            for info in infos:
                if info["type"] == "directory":
                    folders.append(str(info["name"]).rstrip("/"))
                elif str(info["name"]).rstrip("/") != folder:
                    yield info

    def _in_folder(self, folder: str) -> list[dict[str, Any]]:
        # A web server's page of a folder is at its name with a slash.
        return list(patiently(lambda: self._fs.ls(folder + "/" if self._web or not folder else folder, detail=True)))

    def _pages(self, top: str) -> Iterator[dict[str, Any]]:
        """List a bucket of S3 by pages: its own `ls` collects what is in a folder, which may be everything."""
        from fsspec.asyn import sync

        bucket, key, _ = self._fs.split_path(top)
        pages = self._fs._iterdir(bucket, delimiter="", prefix=f"{key}/" if key else "")
        while page := sync(self._fs.loop, _some, pages, _PAGE):
            yield from page

    def exists(self) -> bool:
        """Return whether there is such a folder."""
        return bool(patiently(lambda: self._fs.exists(self._root)))

    def fetch(self, path: str, file: Path) -> None:
        """Copy a file of the tree to one of this machine.

        Raises:
            Exception: what the file system raises.
        """
        patiently(lambda: self._fs.get_file(self._full(path), str(file)))

    def read(self, path: str) -> bytes:
        """Return the content of a file.

        Raises:
            Exception: what the file system raises.
        """
        return bytes(patiently(lambda: self._fs.cat_file(self._full(path))))

    def hash_of(self, path: str) -> str | None:
        """Return the sha256 of a file, in hexadecimal; None: there is none, or it cannot be read."""
        try:
            return hashlib.sha256(self.read(path)).hexdigest()
        except Exception:  # the clients of stores have errors without a common base
            return None

    def put(self, path: str, content: bytes) -> None:
        """Write a file, whole or not at all.

        Raises:
            OutputError: nothing can be written there.
            Exception: what the file system raises; another file may be written all the same.
        """
        full = self._full(path)
        try:
            if self._local:
                write_bytes(Path(full), content)
            elif self._protocols & _ATOMIC:
                patiently(lambda: self._fs.pipe_file(full, content))
            else:
                self._put_and_rename(full, content)
        except _FINAL as error:
            raise OutputError(
                f"{shown(self.place)} cannot be written: {error}.", "Give an address that these credentials may write."
            ) from error

    def _put_and_rename(self, full: str, content: bytes) -> None:
        folder, _, _ = full.rpartition("/")
        temporary = f"{folder}/.stego-{uuid.uuid4().hex[:16]}.tmp"
        patiently(lambda: self._fs.makedirs(folder, exist_ok=True))
        patiently(lambda: self._fs.pipe_file(temporary, content))
        patiently(lambda: self._fs.mv(temporary, full))

    def remove(self, path: str) -> None:
        """Delete a file; one that is not there is none."""
        with contextlib.suppress(FileNotFoundError):
            patiently(lambda: self._fs.rm_file(self._full(path)))

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}"


def patiently(call: Callable[[], Result]) -> Result:
    """Return what a call returns, trying again after a while if the store does not answer or has an error of its own.

    Raises:
        Exception: what the last try raises.
    """
    for wait in _WAITS:
        try:
            return call()
        except _FINAL:
            raise
        except Exception:  # the clients of stores have errors without a common base
            time.sleep(wait)
    return call()


async def _some(infos: AsyncIterator[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    some = []
    async for info in infos:
        some.append(info)
        if len(some) == count:
            break
    return some


def _mtime(info: dict[str, Any]) -> int:
    """Return when a file was changed, in nanoseconds; each store has another name for it."""
    for name in ("mtime", "LastModified", "updated", "last_modified", "created"):
        value = info.get(name)
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                value = datetime.fromisoformat(value)
        if isinstance(value, datetime):
            value = value.timestamp()
        if isinstance(value, (int, float)):
            return round(value * 1e9)
    return -1


def _md5(info: dict[str, Any]) -> str:
    tag = str(info.get("ETag", "")).strip('"')
    if _MD5.fullmatch(tag):  # not of an object in several parts, nor of one that the store encrypts with its own key
        return tag
    with contextlib.suppress(ValueError, TypeError):
        return base64.b64decode(info.get("md5Hash", ""), validate=True).hex()
    return ""

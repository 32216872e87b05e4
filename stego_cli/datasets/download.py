"""Downloads that continue where they stopped, and are accepted only with the right size and hash.

A download is written to NAME.part and renamed at the end. A file of the right name and size is not fetched again.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stego_cli.errors import OutputError, SourceError, setting
from stego_cli.images.atomic import require_writable
from stego_cli.progress import Progress, Stage
from stego_cli.stop import Stop
from stego_cli.text import shown

_BLOCK = 1 << 20  # bytes
_TIMEOUT = 60  # seconds without a byte
_TRIES = 4  # at one address, each going on where the last one broke off


@dataclass(frozen=True)
class Download:
    """An archive on an official host.

    Attributes:
        url: its address; the last part is the name of the file.
        size: bytes; None if it is not published.
        md5: None if it is not published.
        about: bytes, roughly, if `size` is None.
    """

    url: str
    size: int | None = None
    md5: str | None = None
    about: int = 0

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.url.rpartition("/")[2]

    @property
    def bytes(self) -> int:
        """Size, exact or rough."""
        return self.size or self.about


def is_here(download: Download, folder: Path) -> bool:
    """Return whether the file is in `folder` already; its hash was checked when it got its name."""
    file = folder / download.name
    return file.is_file() and (download.size is None or file.stat().st_size == download.size)


def to_fetch(download: Download, folder: Path) -> int:
    """Return how many bytes of a download are still missing in `folder`, roughly if its size is not published."""
    return 0 if is_here(download, folder) else max(0, download.bytes - _length(folder / f"{download.name}.part"))


def fetch(
    downloads: Sequence[Download], folder: Path, mirrors: Sequence[str], progress: Progress, stop: Stop
) -> list[Path]:
    """Download what is missing in `folder` and return all the files.

    Args:
        downloads: what is needed.
        folder: made if it is missing.
        mirrors: addresses of folders that are tried before the official host.
        progress: shown a bar of bytes for each file.
        stop: asked between blocks; bytes received until then are kept.

    Raises:
        SourceError: a file cannot be fetched from any address, or is not the official one.
        OutputError: there is no room.
        Stopped: a signal came.
    """
    require_writable(folder)
    for download in downloads:
        if not is_here(download, folder):
            _require_room(download, folder)
            _fetch_from_any(download, folder, mirrors, progress, stop)
    return [folder / download.name for download in downloads]


def _require_room(download: Download, folder: Path) -> None:
    need = to_fetch(download, folder)
    if need > (free := shutil.disk_usage(folder).free):
        raise OutputError(
            f"{download.name} needs {need / 1e9:.1f} GB more, and {shown(folder)} has {free / 1e9:.1f} GB left.",
            "Free some space.",
        )


def _fetch_from_any(download: Download, folder: Path, mirrors: Sequence[str], progress: Progress, stop: Stop) -> None:
    part = folder / f"{download.name}.part"
    reason = ""
    for address in [*(f"{mirror.rstrip('/')}/{download.name}" for mirror in mirrors), download.url]:
        try:
            with progress.stage(f"Downloading {download.name}", download.bytes or None, unit="B") as stage:
                stage.advance(_length(part))
                _fetch(address, part, download, stage, stop)
            _require_right(download, part, progress)
            part.replace(folder / download.name)
            return
        except _UnavailableError as error:
            reason = str(error)
            progress.note(f"{shown(address)}: {reason}")
    raise SourceError(
        f"{download.name} could not be downloaded: {reason}",
        f"Try again later: received bytes are kept. Or give a {setting('mirror')}, or fetch it by hand and give it as "
        f"{setting('source')}.",
    )


class _UnavailableError(Exception):
    """This address does not have the file, has another one, or ended the connection too often."""


def _fetch(address: str, part: Path, download: Download, stage: Stage, stop: Stop) -> None:
    reason = ""
    for _ in range(_TRIES):
        stop.check()
        before = _length(part)
        if before and before == download.size:
            return
        try:
            if _append(address, part, before, stage, stop):
                return
            reason = "the connection was closed too early."
        except urllib.error.HTTPError as error:
            if error.code == 416 and before:  # there is nothing left to send; the check decides whether it is complete
                return
            raise _UnavailableError(f"the server answers {error.code} {error.reason}.") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = f"{getattr(error, 'reason', None) or error or type(error).__name__}."
    raise _UnavailableError(reason)


def _append(address: str, part: Path, before: int, stage: Stage, stop: Stop) -> bool:
    """Do one request, and return whether its answer was complete."""
    headers = {"User-Agent": "stego", **({"Range": f"bytes={before}-"} if before else {})}
    request = urllib.request.Request(address, headers=headers)
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
        goes_on = answer.status == 206 and _starts_at(answer.headers.get("Content-Range"), before)
        if before and not goes_on:
            stage.advance(-before)  # this server sends the file from its beginning
        expected = answer.headers.get("Content-Length")
        came = 0
        while block := answer.read(_BLOCK):
            _add(part, block, anew=not goes_on and not came)
            came += len(block)
            stage.advance(len(block))
            stop.check()
    return expected is None or came == int(expected)


def _starts_at(content_range: str | None, before: int) -> bool:
    found = re.match(r"bytes (\d+)-", content_range or "")
    return found is not None and int(found[1]) == before


def _add(part: Path, block: bytes, anew: bool) -> None:
    try:
        with part.open("wb" if anew else "ab") as file:
            file.write(block)
    except OSError as error:
        raise OutputError(f"{shown(part)} cannot be written: {error.strerror or error}.", "Free some space.") from error


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _require_right(download: Download, part: Path, progress: Progress) -> None:
    """Compare size and hash; a wrong file is deleted, since it cannot be continued."""
    size = _length(part)
    wrong = ""
    if download.size is not None and size != download.size:
        wrong = f"it has {size} bytes instead of {download.size}"
    elif download.md5 is not None:
        with progress.stage(f"Checking {download.name}", None), part.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        wrong = "" if digest == download.md5 else f"its md5 is {digest} instead of {download.md5}"
    if wrong:
        part.unlink(missing_ok=True)
        raise _UnavailableError(f"it is not the official file: {wrong}.")

"""What is an address, and which extra its file system needs."""

from __future__ import annotations

import re
from pathlib import PurePath

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_IN_PATH = re.compile(r"[a-z][a-z0-9+.-]+:[/\\]", re.IGNORECASE)  # a path has no two separators in a row
EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gs",
    "gcs": "gs",
    "az": "az",
    "abfs": "az",
    "abfss": "az",
    "http": "http",
    "https": "http",
}  # protocol: extra of this package


def is_address(text: str) -> bool:
    """Return whether a place is an address, such as s3://bucket/folder, and no path."""
    return _ADDRESS.match(text) is not None


def was_address(path: PurePath) -> bool:
    """Return whether a path was made of an address."""
    return _IN_PATH.match(str(path)) is not None


def protocol_of(address: str) -> str:
    """Return "s3" of "s3://bucket/folder"."""
    return address.partition("://")[0].lower()

"""Where the cache is, what a file in it holds, and whether others could change that."""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from pathlib import Path

from stego_cli.errors import OutputError
from stego_cli.images.atomic import sha256

REMEDY = "Set STEGO_CACHE to a folder that can be written and has 300 MB free."


def cache_folder() -> Path:
    """Return the folder of the cache: STEGO_CACHE, or the system's cache folder for `stego`. It need not exist yet.

    Raises:
        OutputError: the user has no home folder, where the system's cache folder would be.
    """
    try:
        if override := os.environ.get("STEGO_CACHE"):
            return Path(override).expanduser()
        import platformdirs

        folder = Path(platformdirs.user_cache_dir("stego", appauthor=False))
    except RuntimeError:  # neither HOME nor an entry in the system's table of users
        folder = Path()
    if not folder.is_absolute():
        raise OutputError("There is no home folder to keep the cache in.", REMEDY)
    return folder


def weights_sha256(file: Path) -> str:
    """Return the sha256 of a weights file, in hexadecimal; it is read again only after it has changed.

    Raises:
        OSError: it cannot be read.
    """
    now = file.stat()
    return _sha256(file, (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns))


@lru_cache(maxsize=16)  # the second argument changes with the file
def _sha256(file: Path, as_it_is: tuple[int, ...]) -> str:
    return sha256(file)


def writable_by_others(file: Path) -> Path | None:
    """Return what allows other users to replace `file`: itself or the nearest folder above it; None if nothing does.

    The administrator is not counted, nor is a group that consists of the user alone. On Windows the answer is None.
    """
    if not hasattr(os, "geteuid"):
        return None
    real = file.resolve()
    for path in (real, *real.parents):
        try:
            about = path.lstat()
        except OSError:  # the folder does not exist, or may not be seen
            continue
        # In a folder with the sticky bit, such as /tmp, only its owner can replace an entry.
        open_to = about.st_mode & (stat.S_IWOTH | (0 if _is_own_group(about.st_gid) else stat.S_IWGRP))
        if about.st_uid not in (0, os.geteuid()) or (open_to and not about.st_mode & stat.S_ISVTX):
            return path
    return None


def _is_own_group(group: int) -> bool:
    """Return whether a group is the private one that many systems give each user: of the user's name."""
    import grp
    import pwd

    try:
        return grp.getgrgid(group).gr_name == pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # the user or the group has no name
        return group == os.getegid() == os.geteuid()

"""Where the cache is."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder of the cache: STEGO_CACHE, or the system's cache folder for `stego`. It need not exist yet."""
    if override := os.environ.get("STEGO_CACHE"):
        return Path(override).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("stego", appauthor=False))

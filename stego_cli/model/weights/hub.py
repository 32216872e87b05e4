"""Weights from the Hugging Face hub."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

from stego_cli.errors import WeightsError
from stego_cli.model.backbones import Backbone
from stego_cli.model.weights.cache import cache_folder, weights_sha256
from stego_cli.progress import Progress, Stage

_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS})
_FILE = "model.safetensors"  # the only format taken from a hub: it cannot hold code


def local(row: Backbone) -> Path | None:
    """Return the weights if the cache holds them."""
    import huggingface_hub

    found = huggingface_hub.try_to_load_from_cache(repository(row), _FILE, cache_dir=cache_folder() / "hub")
    return Path(found) if isinstance(found, str) else None


def is_published(file: Path) -> bool:
    """Return whether a file in the cache has the content that the hub named; it is read as a whole."""
    blob = file.resolve()  # the hub names a large file's blob by its sha256
    return len(blob.name) != 64 or weights_sha256(blob) == blob.name


def fetch(row: Backbone, progress: Progress, file: Path | None = None) -> Path:
    """Fetch the weights into the cache; `file` is ignored.

    Raises:
        WeightsError: they could not be fetched, or arrived damaged.
        OSError: the cache cannot be written.
    """
    import huggingface_hub

    with progress.stage(f"Fetching {row.name}", None, unit="B") as stage:
        try:
            path = huggingface_hub.hf_hub_download(
                repository(row),
                _FILE,
                cache_dir=cache_folder() / "hub",
                tqdm_class=_tqdm_to(stage),
                force_download=local(row) is not None,  # it is asked for where that is damaged
            )
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
                raise
            reason = str(error).strip().splitlines()[0]
            raise WeightsError(
                f"The weights of {row.name} could not be fetched from {repository(row)}: {reason}",
                f"On a machine with a network run `stego models pull {row.name}` and copy its cache folder to "
                f"{cache_folder()} (or point STEGO_CACHE at it). HF_ENDPOINT names a mirror, HF_TOKEN a login.",
            ) from error
    if not is_published(Path(path)):
        Path(path).resolve().unlink()
        raise WeightsError(f"The weights of {row.name} arrived damaged.", "Run the same command again.")
    return Path(path)


def repository(row: Backbone) -> str:
    """Return the hub repository (owner/name) of a backbone's weights.

    Raises:
        WeightsError: timm has no pretrained weights of that name.
    """
    if not row.name.startswith("timm:"):
        return f"timm/{row.timm_name}"
    import timm

    config = timm.get_pretrained_cfg(row.timm_name, allow_unregistered=True)
    if config is None or not config.hf_hub_id:
        raise WeightsError(f"timm has no pretrained weights on a hub for {row.timm_name!r}.")
    return str(config.hf_hub_id)


def _tqdm_to(stage: Stage) -> Any:  # noqa: ANN401  (huggingface_hub wants a tqdm class, and tqdm is untyped)
    from tqdm.auto import tqdm

    class StageBar(tqdm):  # type: ignore[misc]  # tqdm is untyped
        """Counts into a stage instead of drawing."""

        def __init__(self, *args: object, **kwargs: object) -> None:
            kwargs.pop("name", None)  # huggingface_hub's own argument
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> None:
            stage.advance(int(n or 0))

    return StageBar

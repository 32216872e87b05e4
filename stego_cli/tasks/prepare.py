"""Prepare a data set: from what its hosts publish, or a folder of photographs, to what the other tasks read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from stego_cli.datasets.build import Prepared, build, inventory_of, open_files
from stego_cli.datasets.catalogue import DATASETS, DataSet
from stego_cli.datasets.download import Download, fetch, to_fetch
from stego_cli.datasets.recorded import prepared_before
from stego_cli.errors import UsageError, setting
from stego_cli.progress import Progress
from stego_cli.settings import PrepareSettings
from stego_cli.stop import Stop


@dataclass(frozen=True)
class Preview:
    """What `prepare` would do.

    Attributes:
        archives: each archive to download and how many bytes of it are missing; empty without `download`.
        folder: where they are kept; None without `download`.
        splits: number of photographs by split; empty with `download`, since the archives may be missing.
    """

    archives: tuple[tuple[Download, int], ...] = ()
    folder: Path | None = None
    splits: dict[str, int] = field(default_factory=dict)


def prepare(settings: PrepareSettings, progress: Progress, stop: Stop) -> Prepared:
    """Make a data set, unless it is there already.

    Raises:
        UsageError: OUT holds something else, or settings do not fit together or do not fit the source.
        SourceError: a source cannot be downloaded, is missing, broken, malicious, or not of this data set.
        OutputError: OUT cannot be written, or another run writes it.
        Stopped: a signal came; the same call goes on.
    """
    row = _row(settings.name)
    folder = _download_folder(settings, row)
    given = settings.source if folder is None else tuple(folder / download.name for download in row.downloads)
    if about := prepared_before(settings, given):
        return Prepared(about, kept=True)
    if folder is not None:
        fetch(row.downloads, folder, settings.mirror, progress, stop)
    _require_sources(settings, given, row)
    return build(settings, given, progress, stop)


def preview(settings: PrepareSettings, progress: Progress) -> Preview:
    """Return what `prepare` would do, and do nothing.

    Raises:
        UsageError: settings do not fit together or do not fit the source.
        SourceError: a source is missing, broken, malicious, or not of this data set.
    """
    row = _row(settings.name)
    folder = _download_folder(settings, row)
    if folder is not None:
        return Preview(tuple((download, to_fetch(download, folder)) for download in row.downloads), folder)
    _require_sources(settings, settings.source, row)
    with open_files(settings, settings.source) as files:
        inventory = inventory_of(settings, files, progress)
    splits: dict[str, int] = {}
    for item in inventory.items:
        splits[item.split] = splits.get(item.split, 0) + 1
    return Preview(splits=splits)


def _row(name: str) -> DataSet:
    if name not in DATASETS:
        raise UsageError(f"must be one of {', '.join(DATASETS)}, got {name!r}", field="name")
    return DATASETS[name]


def _download_folder(settings: PrepareSettings, row: DataSet) -> Path | None:
    """Return the folder in which downloaded archives are kept; None if nothing is to be downloaded."""
    if not settings.download:
        return None
    if not row.downloads:
        raise UsageError(f"{settings.name} cannot be downloaded without an account.", row.where)
    if len(settings.source) > 1 or (settings.source and settings.source[0].is_file()):
        raise UsageError(
            f"With {setting('download', True)}, {setting('source')} must be one folder, in which the archives are kept."
        )
    return settings.source[0] if settings.source else Path(f"{settings.name}-download")


def _require_sources(settings: PrepareSettings, given: tuple[Path, ...], row: DataSet) -> None:
    if not given:
        raise UsageError(f"There is no {setting('source')} for {settings.name}.", row.where or None)
    if settings.link and not all(path.is_dir() for path in given):
        raise UsageError(f"{setting('link')} needs a folder as the source; files in an archive can only be copied.")

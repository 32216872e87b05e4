"""`stego_cli.prepare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from stego_cli.api.reporting import PathName, Reporting, reporter
from stego_cli.class_files import parse_classes, read_remap
from stego_cli.datasets.build import Prepared
from stego_cli.settings import CutCrops, PrepareSettings
from stego_cli.stop import NEVER
from stego_cli.tasks import prepare as task


def prepare(
    name: str,
    *,
    source: Sequence[PathName] | None = None,
    download: bool = False,
    mirror: Sequence[str] | None = None,
    lists: PathName | None = None,
    labels: PathName | None = None,
    classes: int | PathName | None = None,
    palette: PathName | Literal["auto"] | None = None,
    label_pattern: str | None = None,
    remap: PathName | dict[int, int] | None = None,
    void: Sequence[int] | None = None,
    val: float = 0.2,
    limit: int | None = None,
    fraction: float | None = None,
    seed: int = 0,
    crops: CutCrops | None = None,
    ratio: float = 0.5,
    resize: int | None = None,
    unlabelled: bool = False,
    out: PathName,
    link: bool = False,
    overwrite: bool = False,
    progress: Reporting = None,
) -> Prepared:
    """Make a data set that `train`, `evaluate` and `score` read, as `stego prepare` does.

    Args:
        name: a key of stego_cli.datasets.catalogue.DATASETS: a known data set, or "folder" for photographs of your own.
        source: archives and folders; with `download` the one folder in which archives are kept.
        download: fetch the archives first, into `source` or ./NAME-download.
        mirror: addresses of folders to try before the official host.
        lists: folder of the curated lists (cocostuff27, potsdam3).
        labels: "folder": where the labels are, if they are not in `source`.
        classes: "folder": a number, a file with one name a line, or a data set; None: from the labels.
        palette: "folder": file of "RED GREEN BLUE NAME" lines, for labels that are colour pictures; "auto": each colour
            is a class.
        label_pattern: "folder": name of a label, such as "{stem}_mask.png"; None: the usual ones.
        remap: "folder": class of each label value (-1: no class), or a file of "label-value class" lines; None: the
            values in order.
        void: "folder": label values of no class, none if empty; None: 255, but not in labels with one other value.
        val: "folder": share of the photographs in the split val, 0 to 1.
        limit: at most this many photographs of each split.
        fraction: this share of each split, above 0 and at most 1.
        seed: decides which ones, and where random crops are.
        crops: "five" or "random": five crops of each training photograph; None: none.
        ratio: sides of a crop to those of the photograph.
        resize: shorter side, pixels; smaller photographs stay as they are.
        unlabelled: also photographs that are in no split, in imgs/unlabelled.
        out: folder for the data set; it is complete or not there.
        link: hard links instead of copies, from a folder.
        overwrite: replace the data set that is there.
        progress: what the call reports to; None: the console or notebook; False: nothing.

    Returns:
        What the data set holds, whether it was there before (`kept`), and path and reason of what was left out.

    Raises:
        UsageError: `out` holds something else, or settings do not fit together or do not fit the source.
        SourceError: a source is missing, broken, malicious, not of this data set, or cannot be downloaded.
        OutputError: `out` cannot be written, or another run is writing to it.
    """
    settings = PrepareSettings(
        name=name,
        out=Path(out),
        source=tuple(map(Path, source or ())),
        download=download,
        mirror=tuple(mirror or ()),
        lists=None if lists is None else Path(lists),
        labels=None if labels is None else Path(labels),
        classes=None if classes is None else parse_classes(str(classes)),
        palette="auto" if palette == "auto" else None if palette is None else Path(palette),
        label_pattern=label_pattern,
        remap=remap if remap is None or isinstance(remap, dict) else read_remap(Path(remap)),
        void=None if void is None else tuple(void),
        val=val,
        limit=limit,
        fraction=fraction,
        seed=seed,
        crops=crops,
        ratio=ratio,
        resize=resize,
        link=link,
        unlabelled=unlabelled,
        overwrite=overwrite,
    )
    return task.prepare(settings, reporter(progress), NEVER)

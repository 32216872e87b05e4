"""`stego prepare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stego_cli.datasets.about import About
    from stego_cli.datasets.example import PrepareSettings
    from stego_cli.datasets.prepare import Prepared
    from stego_cli.ui import Ui

HELP = """Make a data set of what its official hosts give, as `train`, `evaluate` and `score` read it.

NAME is voc2012, cocostuff27, cityscapes, potsdam3, or folder for photographs of your own. OUT gets imgs/SPLIT and
labels/SPLIT, lists of the splits, dataset.json with the classes' names and colours, and contact.jpg to look at. It is
whole or not there; a run that was killed goes on with the same command, and a finished one is left alone.

voc2012 and cocostuff27 can be downloaded (--download); cityscapes and potsdam3 need an account of yours, and without
--source the command says where. Nothing in an archive can write outside OUT. See docs/datasets.md.

\b
Examples:
  stego prepare voc2012 --download --out voc
  stego prepare voc2012 --source VOCtrainval_11-May-2012.tar --out voc
  stego prepare cocostuff27 --source coco --lists curated --out coco27 --fraction 0.1 --seed 1
  stego prepare cityscapes --source downloads --out cityscapes --crops five
  stego prepare folder --source ./photos --labels ./labels --palette colours.txt --out mine
"""


def command(
    name: Annotated[
        str, typer.Argument(help="voc2012, cocostuff27, cityscapes, potsdam3 or folder.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the data set.")],
    source: Annotated[
        list[Path] | None, typer.Option(help="An archive or folder; several are taken together.", show_default=False)
    ] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch the archives first, into --source or ./NAME-download.")
    ] = False,
    mirror: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="Try this address of a folder first.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and how much it is.")] = False,
    lists: Annotated[Path | None, typer.Option(help="Folder of the curated lists (cocostuff27, potsdam3).")] = None,
    labels: Annotated[Path | None, typer.Option(help="folder: where the labels are (x/a.png for x/a.jpg).")] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            help="folder: a number, a file with one name a line, or a data set.", show_default="from the labels"
        ),
    ] = None,
    palette: Annotated[
        Path | None, typer.Option(help='folder: file of "RED GREEN BLUE NAME" lines for colour labels.')
    ] = None,
    val: Annotated[float, typer.Option(help="folder: share of the photographs in val.")] = 0.2,
    limit: Annotated[int | None, typer.Option(help="At most so many photographs of each split.")] = None,
    fraction: Annotated[float | None, typer.Option(help="Such a share of each split, 0 to 1.")] = None,
    seed: Annotated[int, typer.Option(help="Decides which, and where random crops lie.")] = 0,
    crops: Annotated[
        str | None, typer.Option(help="five or random: five crops of each training photograph.", show_default="none")
    ] = None,
    ratio: Annotated[float, typer.Option(help="Sides of a crop to those of the photograph.")] = 0.5,
    resize: Annotated[int | None, typer.Option(help="Shorter side, pixels; smaller ones stay.")] = None,
    link: Annotated[bool, typer.Option("--link", help="Hard links instead of copies, from a folder.")] = False,
    unlabelled: Annotated[
        bool, typer.Option("--unlabelled", help="Also photographs of no split, in imgs/unlabelled.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the data set that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Events as JSON lines on standard output.")] = False,
) -> None:
    """Prepare a data set."""
    from stego_cli.datasets.prepare import prepare, prepared_before
    from stego_cli.datasets.table import DATASETS
    from stego_cli.errors import EXIT_SOME_FAILED, UsageError
    from stego_cli.stop import Stop
    from stego_cli.ui import Ui

    if name not in DATASETS:
        raise UsageError(f"{name} is no data set that is known.", f"They are {', '.join(DATASETS)}.")
    if mirror and not download:
        raise UsageError("--mirror is for --download.", "Give --download too.")
    keep = _download_folder(name, source or []) if download else None
    settings = _settings(
        name,
        source or [],
        keep,
        out,
        classes,
        lists=lists,
        labels=labels,
        palette=palette,
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
    ui = Ui(as_json)
    with Stop() as stop:
        if dry_run:
            _dry_run(settings, keep, mirror or [], ui)
            return
        about = prepared_before(settings)
        if keep is not None and about is None:
            from stego_cli.datasets.download import fetch

            fetch(DATASETS[name].downloads, keep, mirror or [], ui, stop)
        prepared = prepare(settings, ui, stop)
    _show(prepared, settings, ui)
    if prepared.failures:
        raise typer.Exit(EXIT_SOME_FAILED)


def _download_folder(name: str, source: list[Path]) -> Path:
    """Return where archives are kept."""
    from stego_cli.datasets.table import DATASETS
    from stego_cli.errors import UsageError

    row = DATASETS[name]
    if not row.downloads:
        raise UsageError(f"{name} cannot be downloaded freely.", row.where)
    if len(source) > 1 or (source and source[0].is_file()):
        raise UsageError("With --download, --source is the one folder in which archives are kept.")
    return source[0] if source else Path(f"{name}-download")


def _settings(
    name: str, source: list[Path], keep: Path | None, out: Path, classes: str | None, **others: object
) -> PrepareSettings:
    from stego_cli.datasets.example import PrepareSettings
    from stego_cli.datasets.table import DATASETS
    from stego_cli.scoring.settings import parse_classes

    sources = source if keep is None else [keep / download.name for download in DATASETS[name].downloads]
    table = parse_classes(classes) if classes else None
    return PrepareSettings(name, tuple(sources), out, table=table, **others)  # type: ignore[arg-type]  # by name, as given


def _dry_run(settings: PrepareSettings, keep: Path | None, mirrors: list[str], ui: Ui) -> None:
    """Say what would be downloaded, or what would be prepared."""
    from stego_cli.datasets.download import here
    from stego_cli.datasets.prepare import open_files, plan_of
    from stego_cli.datasets.table import DATASETS
    from stego_cli.errors import UsageError
    from stego_cli.text import shown

    if keep is not None:
        rows, total = [], 0
        for download in DATASETS[settings.name].downloads:
            there = here(download, keep)
            part = keep / f"{download.name}.part"
            need = 0 if there else max(0, download.bytes - (part.stat().st_size if part.exists() else 0))
            total += need
            amount = f"{'' if download.size else 'about '}{download.bytes / 1e9:.2f} GB"
            rows.append((download.name, amount, "is there" if there else f"{need / 1e9:.2f} GB to fetch", download.url))
            ui.event("download", url=download.url, bytes=download.size, to_fetch=need, mirrors=mirrors)
        ui.table("", ("archive", "size", "", "from"), rows, out=True)
        ui.note(f"{total / 1e9:.2f} GB would be fetched into {shown(keep)}; nothing was done.")
        return
    if not settings.sources:
        raise UsageError(f"There is no --source for {settings.name}.", DATASETS[settings.name].where or None)
    with open_files(settings) as files:
        plan = plan_of(settings, files, ui)
    counts: dict[str, int] = {}
    for example in plan.examples:
        counts[example.split] = counts.get(example.split, 0) + 1
    ui.event("plan", splits=counts)
    ui.table("", ("split", "photographs"), [(split, str(count)) for split, count in counts.items()], out=True)
    ui.note(f"They would be prepared in {shown(settings.out)}; nothing was done.")


def _show(prepared: Prepared, settings: PrepareSettings, ui: Ui) -> None:
    """Show counts by split and class, what was left out, and what to do next."""
    from stego_cli.text import shown

    about, out = prepared.about, shown(settings.out)
    ui.event(
        "prepared",
        out=out,
        kept=prepared.kept,
        failed=len(prepared.failures),
        splits={name: {"photographs": each.photographs, "labels": each.labels} for name, each in about.splits.items()},
    )
    if prepared.kept:
        ui.note(f"{out} is prepared already; nothing to do.")
        return
    ui.table(
        "",
        ("split", "photographs", "labels"),
        [(name, str(each.photographs), str(each.labels)) for name, each in about.splits.items()],
    )
    _show_classes(about, ui)
    for path, reason in prepared.failures[:20]:
        ui.line(f"left out: {shown(path)}: {shown(reason)}", style="red")
    if len(prepared.failures) > 20:
        ui.note(f"... and {len(prepared.failures) - 20} more.")
    ui.note(f"{out} is prepared; {out}/contact.jpg shows some of it. Next: stego train {out} --out run")


def _show_classes(about: About, ui: Ui) -> None:
    if about.table is None:
        return
    splits = {name: each for name, each in about.splits.items() if each.labels}
    rows = []
    for index, name in enumerate(about.table.names):
        cells = []
        for each in splits.values():
            total = sum(each.pixels) or 1
            cells += [str(each.images[index]), f"{100 * each.pixels[index] / total:.2f}"]
        rows.append((name, *cells))
    columns = [column for split in splits for column in (f"{split}: labels", "% of pixels")]
    ui.table("", ("class", *columns), rows)
    for name, each in splits.items():
        pixels = sum(each.pixels) + each.void
        ui.line(f"{name}: {100 * each.void / (pixels or 1):.1f} % of the pixels are void.")

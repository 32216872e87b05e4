"""`stego correspond`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stego_cli.settings import DEFAULT_BACKBONE

if TYPE_CHECKING:
    from stego_cli.correspond.describer import Describer
    from stego_cli.ui import Ui

HELP = """Look at correspondences: what a point of a photograph has in common with others, and whether labels agree.

With photographs, draw where the backbone's features (F) and, with --run, the head's codes (S) correspond to a point of
the first one. --at counts pixels from its upper left corner; several --at give several rows.

With --data, measure how well F and S predict that two pixels share a label, on DATA/imgs/SPLIT and DATA/labels/SPLIT:
precision, recall and average precision, beside plain colour and chance.

\b
Examples:
  stego correspond cat.jpg --at 250,180 --out cat.png
  stego correspond wren.jpg --at 270,120 heron.jpg osprey.jpg --run run --out birds.png
  stego correspond --data ./camvid --run run --out curves.png --json curves.json
"""
_MOST_ROWS = 40  # of a picture, so that its size stays bounded


def command(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.png", help="The picture.")],
    photos: Annotated[
        list[Path] | None, typer.Argument(help="A photograph, and others to compare it with.", show_default=False)
    ] = None,
    at: Annotated[
        list[str] | None, typer.Option(metavar="X,Y", help="A point of the first photograph, pixels; repeatable.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="A data set with imgs/SPLIT and labels/SPLIT.")] = None,
    split: Annotated[str, typer.Option(help="Name of the split.")] = "val",
    run: Annotated[Path | None, typer.Option(help="A run of `stego train`: also look at its codes.")] = None,
    backbone: Annotated[
        str | None, typer.Option(help="See `stego models list`.", show_default=DEFAULT_BACKBONE)
    ] = None,
    res: Annotated[
        int | None, typer.Option(min=16, help="Shorter side at work, pixels.", show_default="the run's, or 320")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=20_000, help="Photographs drawn from DATA at most.")] = 500,
    seed: Annotated[int, typer.Option(help="Of what is drawn from DATA.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the numbers; - for standard output.")
    ] = None,
) -> None:
    """Draw correspondences."""
    import json

    from stego_cli.errors import EXIT_SOME_FAILED, UsageError
    from stego_cli.images.atomic import require_writable_files, write_bytes
    from stego_cli.ui import Ui, write_line

    if (data is None) == (not photos) or (data is not None and at):
        raise UsageError("Give photographs and --at X,Y, or --data DATA.")
    if run is not None and backbone is not None:
        raise UsageError("A run has its own backbone: give --run or --backbone.")
    points = [_point(text) for text in at or []]
    if photos and not points:
        raise UsageError("--at X,Y is missing: the point of the first photograph to look at.")
    if len(points) * len(photos or []) > _MOST_ROWS:
        raise UsageError(f"A picture has at most {_MOST_ROWS} rows: points times photographs.")
    require_writable_files(out, json_file)

    from stego_cli.correspond.describer import open_describer
    from stego_cli.training.device import torch_device

    ui = Ui()
    describer = open_describer(run, backbone or DEFAULT_BACKBONE, res, torch_device(device), ui)
    if data is None:
        picture, numbers, failed = _maps(describer, photos or [], points, ui)
    else:
        picture, numbers, failed = _curves(describer, data, split, limit, seed, out.parent, ui, str(json_file) != "-")
    write_bytes(out, picture)
    if str(json_file) == "-":
        write_line(json.dumps(numbers))
    elif json_file is not None:
        write_bytes(json_file, (json.dumps(numbers, indent=2) + "\n").encode())
    if failed:
        raise typer.Exit(EXIT_SOME_FAILED)


def _point(text: str) -> tuple[float, float]:
    from stego_cli.errors import UsageError

    try:
        x, y = map(float, text.split(","))
    except ValueError as error:
        raise UsageError(f"--at {text} is not X,Y.", "Give two numbers of pixels, such as --at 250,180.") from error
    return x, y


def _maps(
    describer: Describer, photos: list[Path], points: list[tuple[float, float]], ui: Ui
) -> tuple[bytes, dict[str, Any], int]:
    from stego_cli.correspond.pictures import draw_maps
    from stego_cli.correspond.point_maps import point_maps
    from stego_cli.text import shown

    found, failed = point_maps(describer, photos, points, ui)
    for path, reason in failed:
        ui.warn(f"Left out {shown(path)}: {reason}.")
    rows = [
        {
            "photograph": shown(photo.path),
            "at": list(points[index]),
            **{kind: {"best_at": list(each.best), "cosine": each.highest} for kind, each in maps.items()},
        }
        for photo in found
        for index, maps in enumerate(photo.maps)
    ]
    numbers = {"names": describer.names, "best": rows, "failed": [shown(path) for path, _ in failed]}
    return draw_maps(found, points, describer.names), numbers, len(failed)


def _curves(
    describer: Describer, data: Path, split: str, limit: int, seed: int, scratch: Path, ui: Ui, out: bool
) -> tuple[bytes, dict[str, Any], int]:
    from stego_cli.correspond.label_agreement import as_json, label_agreement
    from stego_cli.correspond.pictures import TITLES, draw_curves
    from stego_cli.datasets.layout import split_folders
    from stego_cli.images.discover import find_photos
    from stego_cli.stop import Stop
    from stego_cli.text import shown
    from stego_cli.training.context import RunContext

    folders = split_folders(data, split)
    found = find_photos(folders.photos)
    with Stop() as stop:
        paths = [found.root / photo.path for photo in found.photos]
        agreement = label_agreement(
            describer, folders, paths, limit, seed, RunContext(describer.device, scratch, ui, stop)
        )
    for path, reason in agreement.failed:
        ui.warn(f"Left out {shown(path)}: {reason}.")
    pairings = list(agreement.base_rates)
    rows = [
        (kind, *(f"{each[pairing].average_precision:.3f}" for pairing in pairings))
        for kind, each in agreement.curves.items()
    ]
    rows.append(("chance", *(f"{agreement.base_rates[pairing]:.3f}" for pairing in pairings)))
    ui.note("; ".join(f"{kind}: {name}" for kind, name in describer.names.items()) + "; colour: nearness of RGB.")
    title = f"Average precision of predicting that two pixels share a label; {agreement.photographs} photographs"
    ui.table(title, ("", *(TITLES[pairing] for pairing in pairings)), rows, out=out)
    numbers = {"names": describer.names, "split": split, "seed": seed, **as_json(agreement)}
    return draw_curves(agreement, describer.names), numbers, len(agreement.failed)

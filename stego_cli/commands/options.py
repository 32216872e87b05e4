"""Options that several commands share, and the panels in which the help groups options.

An option's panel is the `rich_help_panel` that it is given here (the name is Typer's; `StegoCommand` writes the panels
without rich, which would take longer to load than all else that the help needs). A closed choice is a Literal of
`stego_cli.settings`; a choice out of a table, such as the CRF engines, is completed from the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

import typer

from stego_cli.crf import CHOICES
from stego_cli.engines.table import ENGINES
from stego_cli.settings import AUTO_CLUSTERS

# Panels, in the order in which a command's help has those that it uses. Options of no panel, such as --json, come last.
INPUT, MODEL, TRAINING, MEASURING, OUTPUT, REPEAT, MACHINE = (
    "Input",
    "Model",
    "Training",
    "Measuring",
    "Output",
    "Running it again",
    "Machine",
)


def number_or_text(given: str | None) -> int | str | None:
    """Return the number that an option of a number or a word was given, else its text, which the settings check."""
    try:
        return None if given is None else int(given)
    except ValueError:
        return given


def completed_from(names: Iterable[str]) -> Callable[[str], list[str]]:
    """Return what completes an option's value from the names of a table."""
    return lambda incomplete: [name for name in names if name.startswith(incomplete)]


CrfOption = Annotated[
    bool, typer.Option("--crf/--no-crf", help="Sharpen masks along edges with a dense CRF.", rich_help_panel=OUTPUT)
]
CrfEngineOption = Annotated[
    str,
    typer.Option(
        "--crf-engine",
        metavar="ENGINE",
        autocompletion=completed_from(CHOICES),
        help=f"{', '.join(CHOICES)}: equal masks at different speeds.",
        rich_help_panel=MACHINE,
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        metavar="DEVICE", help="auto, cpu, cuda, cuda:N, or tensorrt:N for the network alone.", rich_help_panel=MACHINE
    ),
]
TorchDeviceOption = Annotated[
    str, typer.Option(metavar="DEVICE", help="auto, cpu, cuda, cuda:N or mps.", rich_help_panel=MACHINE)
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Photographs worked on at the same time.",
        show_default="one a core",
        rich_help_panel=MACHINE,
    ),
]
ProcessesOption = Annotated[
    int,
    typer.Option(
        min=1,
        metavar="N",
        help="Processes of this machine that share the work; several feed a GPU faster.",
        rich_help_panel=MACHINE,
    ),
]
EngineOption = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="ENGINE",
        autocompletion=completed_from(ENGINES),
        help="local: this machine; ray: the machines of a Ray cluster.",
        rich_help_panel=MACHINE,
    ),
]
RayAddressOption = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Of the Ray cluster.",
        show_default="RAY_ADDRESS, else one that is started here",
        rich_help_panel=MACHINE,
    ),
]
ClassesOption = Annotated[
    str | None,
    typer.Option(
        "--classes",
        metavar="N|FILE|NAME",
        help="A number, a file with one name a line, or cocostuff27, cityscapes, voc2012, potsdam3.",
        show_default="the data set's, else from the labels",
        rich_help_panel=MEASURING,
    ),
]
IgnoreOption = Annotated[
    str | None,
    typer.Option(
        metavar="VALUE",
        help="Label value of no class, or none.",
        show_default="the data set's, else 255",
        rich_help_panel=MEASURING,
    ),
]
RemapOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help='File of "label-value class" lines; values that are not in it are of no class.',
        rich_help_panel=MEASURING,
    ),
]
PaletteOption = Annotated[
    Path | None,
    typer.Option(
        "--palette",
        metavar="FILE",
        help='File of "RED GREEN BLUE NAME" lines, for labels that are colour pictures.',
        rich_help_panel=MEASURING,
    ),
]
BandsOption = Annotated[
    str,
    typer.Option(
        metavar="BAND[,BAND,BAND]",
        help="Bands to use, by number from 1 or by name: one as grey, or three as red, green and blue.",
        show_default="the model's, else the first three",
        rich_help_panel=INPUT,
    ),
]
StretchOption = Annotated[
    str,
    typer.Option(
        metavar="auto|none|LOW,HIGH|PERCENT",
        help="Which range of more than 8 bits becomes black to white: the model's, else found on a sample of all files "
        "(auto), the whole range (none), these numbers, or all but a percentage at each end.",
        rich_help_panel=INPUT,
    ),
]
TruncatedOption = Annotated[
    bool,
    typer.Option("--accept-truncated", help="Use what is there of files that are cut short.", rich_help_panel=INPUT),
]
BboxOption = Annotated[
    str,
    typer.Option(
        metavar="LEFT,BOTTOM,RIGHT,TOP",
        help="Of rasters only this box, in the units of their coordinates.",
        show_default=False,
        rich_help_panel=INPUT,
    ),
]
MaskPolygonOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Of rasters only what lies in the polygons of this GeoJSON or GeoPackage.",
        show_default=False,
        rich_help_panel=INPUT,
    ),
]
ResGroundOption = Annotated[
    float | None,
    typer.Option(
        metavar="SIZE",
        help="Size of a pixel on the ground at which the model works on rasters, in metres.",
        show_default="the model's, else the raster's own",
        rich_help_panel=MODEL,
    ),
]
OverlapOption = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Share of a raster's windows that neighbours have in common, 0.1 to 0.8. The more, the less labels depend "
        "on where windows lie; 0.5 takes twice the time, 0.75 nine times.",
        show_default="0.25",
        rich_help_panel=MODEL,
    ),
]
EveryOption = Annotated[
    int | None,
    typer.Option(metavar="N", help="Of videos every N-th frame.", show_default="all frames", rich_help_panel=INPUT),
]
FpsOption = Annotated[
    float | None,
    typer.Option(
        metavar="RATE", help="Of videos so many frames a second.", show_default="all frames", rich_help_panel=INPUT
    ),
]
ColourMapOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Of stacks of one band: a colour map of matplotlib to show them in, such as viridis.",
        show_default="grey",
        rich_help_panel=INPUT,
    ),
]
IncludeOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        help="Only files of which path or name match, such as '*_rgb.tif'. May be given several times.",
        show_default=False,
        rich_help_panel=INPUT,
    ),
]
ExcludeOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        help="No files or folders of which path or name match. May be given several times.",
        show_default=False,
        rich_help_panel=INPUT,
    ),
]
FollowLinksOption = Annotated[
    bool, typer.Option("--follow-links", help="Look into folders that are links, each once.", rich_help_panel=INPUT)
]
OverclusterOption = Annotated[
    str | None,
    typer.Option(
        metavar="N|auto",
        help="Find more clusters than classes, to be joined and named with `stego classes`; auto: "
        f"{AUTO_CLUSTERS} times as many.",
        show_default="as many clusters as classes",
        rich_help_panel=TRAINING,
    ),
]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="List every file that is passed over, by reason.", rich_help_panel=INPUT)
]
EventsOption = Annotated[bool, typer.Option("--json", help="Write events as JSON lines to standard output.")]
JsonFileOption = Annotated[
    Path | None,
    typer.Option(
        "--json", metavar="FILE", help="Write all figures as JSON; - for standard output.", rich_help_panel=OUTPUT
    ),
]
ReplaceOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace files that this tool did not write, too.", rich_help_panel=OUTPUT)
]

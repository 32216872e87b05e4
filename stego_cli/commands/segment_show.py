"""How `stego segment` shows its result, and that of a dry run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stego_cli.tasks.forecast import Forecast
    from stego_cli.tasks.segment import SegmentResult
    from stego_cli.ui import Ui


def show_result(result: SegmentResult, ui: Ui) -> None:
    """Show what was done: photographs, failures, time by stage, share of pixels by class."""
    from stego_cli.inference.summary import STAGES
    from stego_cli.text import shown, visible

    summary, names = result.summary, result.names
    seconds = {name: round(value, 2) for name, value in summary.seconds.items()}
    total = summary.pixels.total() or 1
    shares = {
        visible(names[index]) if index < len(names) else "void": count / total
        for index, count in sorted(summary.pixels.items())
    }
    ui.event(
        "summary",
        photographs=summary.photographs,
        done=summary.done,
        kept=summary.kept,
        failed=len(summary.failed),
        seconds=seconds,
        limit=summary.limit,
        shares={name: round(share, 4) for name, share in shares.items()},
    )
    wall = summary.seconds["total"]
    rows = [
        ("photographs", str(summary.photographs)),
        (
            "masks written",
            f"{summary.done}" + (f" in {wall:.1f} s, {summary.done / wall:.2f}/s" if summary.done else ""),
        ),
        *([("masks kept", str(summary.kept))] if summary.kept else []),
        ("failed", str(len(summary.failed))),
        *(
            (f"  {name}", f"{summary.seconds[name]:.1f} s" + (", the most" if name == summary.limit else ""))
            for name in STAGES
            if name in summary.seconds
        ),
    ]
    ui.table("", ("", ""), rows)
    if shares:
        ui.table("", ("class", "pixels"), [(name, f"{share:.1%}") for name, share in shares.items()])
    for path, reason in summary.failed:
        ui.line(f"failed: {path}: {reason}", style="red")
    if summary.done or summary.kept:
        ui.line(f"Masks are in {shown(result.out)}.")  # no event: the summary is the last of them


def show_forecast(forecast: Forecast, ui: Ui) -> None:
    """Show what a run would do."""
    from dataclasses import asdict

    model = None if forecast.model is None else str(forecast.model)
    ui.event("dry_run", **{**asdict(forecast), "model": model})
    rows = [
        ("photographs", str(forecast.photographs)),
        ("have their masks", str(forecast.kept)),
        *([("not asked for", str(forecast.left))] if forecast.left else []),
        ("to do", str(forecast.todo)),
        *([("in parts", str(forecast.parts))] if forecast.parts else []),
        ("model", model or "none: classes would be discovered first"),
    ]
    if forecast.seconds is not None:
        rows.append(("likely to take", duration(forecast.seconds)))
    if forecast.bytes is not None:
        rows.append(("likely to write", f"{forecast.bytes / 1e6:.1f} MB"))
    ui.table("Nothing was written.", ("", ""), rows)
    for path, reason in forecast.failed:
        ui.line(f"would fail: {path}: {reason}", style="red")


def duration(seconds: float) -> str:
    """Return a time in words, such as "3 h 20 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"

"""The training loop: does the steps, records and reports each, and saves the state to resume from."""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor

from stego_cli.images.atomic import append_line, write_bytes
from stego_cli.model.checkpoint import METRICS_FILE
from stego_cli.model.provenance import MetricsLine
from stego_cli.training.compactness import EVERY, best_step, compactness
from stego_cli.training.context import RunContext
from stego_cli.training.fit import Fit
from stego_cli.training.monitor.watch import Watch
from stego_cli.training.resume import ResumeState
from stego_cli.training.step_metrics import StepMetrics

_SAVE_EVERY = 50  # steps between saves of the state to resume from


def train_head(fit: Fit, sample: Tensor, state: ResumeState, watch: Watch, context: RunContext) -> MetricsLine | None:
    """Do the remaining steps, or as many as there are before a signal.

    Args:
        fit: the training in progress.
        sample: float32 (n, C), patch features whose codes' compactness is measured.
        state: saved every 50 steps and at the end.
        watch: receives the metrics.
        context: the run; metrics.jsonl is written into its folder.

    Returns:
        The metrics of the last step; None if no step has been done.

    Raises:
        OutputError: the folder cannot be written.
    """
    file, settings, progress = context.folder / METRICS_FILE, fit.settings, context.progress
    lines = _keep_lines(file, fit.step)
    last = lines[-1] if lines else None
    measured = {line["step"]: line["compactness"] for line in lines if "compactness" in line}
    collapsed = False
    with progress.stage("Training the head", settings.steps, unit="steps") as stage:
        stage.advance(fit.step)
        for metrics in fit.run(lambda: context.stop.requested is not None):
            last = metrics.as_line()
            if fit.step % EVERY == 0 or fit.step == settings.steps:
                value = round(compactness(fit.head, sample, settings.classes), 6)
                last["compactness"] = measured[fit.step] = value
            append_line(file, json.dumps(last))
            progress.event("step", **last)
            watch.step(metrics, fit.head)
            negative, inter, intra = metrics.correspondences
            stage.advance(
                loss=f"{metrics.loss:+.4f}", intra=f"{intra:.2f}", inter=f"{inter:.2f}", negative=f"{negative:.2f}"
            )
            if metrics.collapsed and not collapsed:
                collapsed = True
                progress.warn(_collapse(metrics))
            if fit.step % _SAVE_EVERY == 0:
                state.save(fit)
    state.save(fit)
    if (best := best_step(measured)) is not None and not collapsed:
        progress.warn(
            f"The codes were most compact at step {best} ({measured[best]:.3f}) and have become less compact since "
            f"({measured[max(measured)]:.3f}): this looks over-trained. Train for fewer steps."
        )
    return last


def _keep_lines(file: Path, steps: int) -> list[MetricsLine]:
    """Return the metrics of the first `steps` steps, and drop later ones from the file: those steps are done again."""
    lines = file.read_text().splitlines(keepends=True)[:steps] if file.exists() and steps else []
    write_bytes(file, "".join(lines).encode())
    return [json.loads(line) for line in lines]


def _collapse(metrics: StepMetrics) -> str:
    return (
        f"The codes are collapsing at step {metrics.step}: unrelated photographs correspond with "
        f"{metrics.correspondences[0]:.2f}, {metrics.rank:.1f} effective dimensions. Classes will be poor; use more "
        "varied photographs, fewer steps or another backbone."
    )

"""From photographs without labels to a checkpoint: features, neighbours, fit, cluster probe."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from signal import SIGTERM

import torch

from stego_cli.datasets.layout import Folders
from stego_cli.errors import Stopped, UsageError
from stego_cli.images.atomic import append_line, remove_leftovers, require_writable, sha256, write_bytes
from stego_cli.images.lock import hold
from stego_cli.machine import cores
from stego_cli.model.backbones import Backbone, backbone
from stego_cli.model.checkpoint import (
    BACKBONE_FILE,
    CONFIG_FILE,
    METRICS_FILE,
    MODEL_FILE,
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from stego_cli.model.vit import FrozenViT, build
from stego_cli.model.weights import pull
from stego_cli.progress import Progress, Quiet
from stego_cli.settings import TrainSettings
from stego_cli.stop import EXIT_CODES, Stop
from stego_cli.text import shown
from stego_cli.training.blocks import best_block, block_dimensions
from stego_cli.training.calibration import whitening
from stego_cli.training.cluster_codes import finished
from stego_cli.training.compactness import EVERY, SAMPLE, best_step, compactness
from stego_cli.training.features import Features
from stego_cli.training.fit import TERMS, Fit, StepFigures
from stego_cli.training.linear_probe import codes_at, fit_linear_probe
from stego_cli.training.live import prepare_features
from stego_cli.training.monitor.tensorboard_log import require_tensorboard
from stego_cli.training.monitor.watch import Watch, open_watch
from stego_cli.training.neighbours import nearest_neighbours
from stego_cli.training.probe_labels import read_labels
from stego_cli.training.ranks import Ranks, join, leave, own_gpu
from stego_cli.training.resume import RESUME_FILE, fingerprint, load_state, save_state
from stego_cli.training.views import cut_of

_WHITENING_SAMPLE = 60_000  # patches
_SAVE_EVERY = 50  # steps between saves of the state to resume from
LOCK_FILE = ".stego-lock"


def torch_device(name: str) -> torch.device:
    """Return the device of that name; "auto" is the first GPU, else the CPU.

    Raises:
        UsageError: there is no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device(own_gpu())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            f"--device {name} cannot be used: {str(error).splitlines()[0]}", "Use --device cpu or auto."
        ) from error
    return device


def train(
    paths: list[Path],
    run: Path,
    settings: TrainSettings,
    progress: Progress,
    stop: Stop,
    labels: Folders | None = None,
    resume: bool = False,
    overwrite: bool = False,
    tensorboard: bool = False,
) -> Checkpoint:
    """Train a head and a cluster probe on photographs and keep them in the folder `run`.

    Args:
        paths: the photographs, in an order that does not change between runs.
        run: made if missing.
        settings: K and block may be left open; the checkpoint has them resolved.
        progress: shown stages and figures.
        labels: where labels are, if there are any; a linear probe is trained on them, and nothing else is.
        stop: on a signal the run ends between two steps with a whole checkpoint and a state to resume from.
        resume: go on from that state.
        overwrite: begin again where there is a run already.
        tensorboard: also write RUN/tensorboard, to watch the run by.

    Raises:
        UsageError: `run` holds a run and neither flag was given, settings do not fit, or there is no TensorBoard.
        NoInputError: no photograph can be decoded.
        WeightsError: the backbone's weights cannot be had.
        OutputError: `run` cannot be written, or another run writes to it.
        Stopped: a signal came.
    """
    device = torch_device(settings.device)
    ranks = join(device)
    if not ranks.first:
        progress = Quiet()
    _check_run(run, resume, overwrite)
    if tensorboard:
        require_tensorboard()
    if labels is not None and not (labels.labels and labels.labels.is_dir()):
        raise UsageError(f"--labels {shown(labels.labels or '')} is not a folder.")
    require_writable(run)
    ranks.wait()  # every process has looked at the folder before one of them changes it
    with hold(run / LOCK_FILE) if ranks.first else nullcontext():
        if ranks.first:
            remove_leftovers(run)
        try:
            return _train(paths, run, settings, progress, stop, labels, resume, tensorboard, device, ranks)
        finally:
            leave()


def _train(
    paths: list[Path],
    run: Path,
    settings: TrainSettings,
    progress: Progress,
    stop: Stop,
    labels: Folders | None,
    resume: bool,
    tensorboard: bool,
    device: torch.device,
    ranks: Ranks,
) -> Checkpoint:
    torch.set_num_threads(max(1, cores() // ranks.count) if device.type == "cpu" else cores())
    row = backbone(settings.backbone)
    weights = pull(row, progress)
    weights_sha256 = sha256(weights)
    vit, blocks = _built(row, weights, paths, settings, device, progress, stop)
    progress.note(f"Backbone {row.name}, block {vit.block}, on {device}.")
    features = prepare_features(vit, paths, settings, run, device, progress, stop, ranks)
    for path, reason in features.failed:
        progress.warn(f"Left out {shown(path)}: {reason}.")
        progress.event("photograph_failed", path=shown(path), error=reason)
    settings = _resolved(settings, vit, features, progress)

    generator = torch.Generator().manual_seed(settings.seed)
    space = (
        whitening(features.random_tokens(_WHITENING_SAMPLE, generator), settings.whiten) if settings.whiten else None
    )
    near = nearest_neighbours(features.pooled, settings.neighbours, features.photos, device)
    fit = Fit(features, near, space, settings, device, ranks)
    source = fingerprint(features.paths, weights_sha256)
    if resume:
        load_state(fit, settings, source, run)
        progress.note(f"Resuming after step {fit.step} of {settings.steps}.")
    elif ranks.first:
        for name in (RESUME_FILE, CONFIG_FILE, MODEL_FILE, METRICS_FILE, BACKBONE_FILE):  # what --overwrite replaces
            (run / name).unlink(missing_ok=True)
    ranks.wait()
    if not ranks.first:
        for _ in fit.run(lambda: stop.requested is not None):
            pass
        ranks.wait()  # until the first has written
        return load_checkpoint(run)
    watch = open_watch(fit, features, settings, run, progress, tensorboard)
    sample = features.random_tokens(SAMPLE, torch.Generator().manual_seed(settings.seed))
    last = _fit(fit, sample, settings, source, run, progress, stop, watch)
    checkpoint = finished(fit, features, vit, weights_sha256, settings, last, progress)
    checkpoint.facts.update({"blocks": blocks} if blocks else {})
    save_checkpoint(checkpoint, run)  # before labels are looked at: they must not endanger what needs none
    if labels is not None:
        checkpoint = _with_linear_probe(checkpoint, features, labels, progress)
        save_checkpoint(checkpoint, run)
    watch.finish(checkpoint)
    ranks.wait()
    if fit.step < settings.steps:
        raise Stopped(
            stop.requested or EXIT_CODES[SIGTERM],  # the signal may have come to another process alone
            f"Stopped after step {fit.step} of {settings.steps}; {shown(run)} holds a whole checkpoint of it.",
            "Give the same command with --resume to do the remaining steps.",
        )
    (run / RESUME_FILE).unlink(missing_ok=True)
    return checkpoint


def _built(
    row: Backbone,
    weights: Path,
    paths: list[Path],
    settings: TrainSettings,
    device: torch.device,
    progress: Progress,
    stop: Stop,
) -> tuple[FrozenViT, list[dict[str, float]]]:
    """Build the backbone up to the wanted block; also return what each block was worth, if that was to be found out."""
    if not isinstance(settings.block, str):
        return build(row, weights, settings.block, settings.token), []
    whole = build(row, weights, -1, settings.token)
    dimensions = block_dimensions(whole, paths, cut_of(settings, whole.row.patch), device, progress, stop)
    if not dimensions:  # no photograph can be decoded, which those who compute the features will say
        return build(row, weights, None, settings.token), []
    said = ", ".join(f"{block}: {value:.1f}" for block, value in dimensions.items())
    progress.note(f"Dimensions used by the features of each block: {said}.")
    curve = [{"block": block, "dimensions": round(value, 3)} for block, value in dimensions.items()]
    progress.event("blocks", curve=curve)
    return build(row, weights, best_block(dimensions), settings.token), curve


def _check_run(run: Path, resume: bool, overwrite: bool) -> None:
    """Refuse to destroy a run that is there."""
    if resume and not (run / RESUME_FILE).is_file():
        raise UsageError(f"{run} has nothing to resume.", "Leave out --resume; a finished run needs none.")
    if not resume and not overwrite:
        if (run / RESUME_FILE).is_file():
            raise UsageError(f"{run} holds an unfinished run.", "Give --resume to go on or --overwrite to begin again.")
        if (run / CONFIG_FILE).is_file():
            raise UsageError(f"{run} holds a run already.", "Give another --out, or --overwrite to replace it.")


def _resolved(settings: TrainSettings, vit: FrozenViT, features: Features, progress: Progress) -> TrainSettings:
    """Fill in what was left open and adapt to few photographs, saying so."""
    count = len(features)
    if count < settings.batch:
        progress.note(
            f"{count} photograph{'' if count == 1 else 's'}: batches of {min(count, settings.batch)}, "
            f"{min(max(1, count - 1), settings.neighbours)} nearest neighbours"
            + ("; with one alone, its own patches serve as positives and negatives." if count == 1 else ".")
        )
    return replace(
        settings,
        block=vit.block,
        batch=min(count, settings.batch),
        neighbours=min(max(1, count - 1), settings.neighbours),
    )


def _fit(
    fit: Fit,
    sample: torch.Tensor,
    settings: TrainSettings,
    source: str,
    run: Path,
    progress: Progress,
    stop: Stop,
    watch: Watch,
) -> dict[str, object] | None:
    """Do the remaining steps and return what the last one measured; `sample` are features whose codes are watched."""
    metrics = run / METRICS_FILE
    # Steps after the saved state will be done again.
    lines = metrics.read_text().splitlines(keepends=True)[: fit.step] if metrics.exists() and fit.step else []
    write_bytes(metrics, "".join(lines).encode())
    last: dict[str, object] | None = json.loads(lines[-1]) if lines else None
    before = map(json.loads, lines)
    seen: dict[int, float] = {line["step"]: line["compactness"] for line in before if "compactness" in line}
    collapsed = False
    with progress.stage("Training the head", settings.steps, unit="steps") as stage:
        stage.advance(fit.step)
        for figures in fit.run(lambda: stop.requested is not None):
            last = _as_json(figures)
            if fit.step % EVERY == 0 or fit.step == settings.steps:
                last["compactness"] = seen[fit.step] = round(compactness(fit.head, sample, settings.classes), 6)
            append_line(metrics, json.dumps(last))
            progress.event("step", **last)
            watch.step(figures, fit.head)
            negative, inter, intra = figures.correspondences
            stage.advance(
                loss=f"{figures.loss:+.4f}", intra=f"{intra:.2f}", inter=f"{inter:.2f}", negative=f"{negative:.2f}"
            )
            if figures.collapsed and not collapsed:
                collapsed = True
                progress.warn(
                    f"The codes are collapsing at step {figures.step}: unrelated photographs correspond with "
                    f"{negative:.2f}, {figures.rank:.1f} effective dimensions. Classes will be poor; use more varied "
                    "photographs, fewer --steps or another --backbone."
                )
            if fit.step % _SAVE_EVERY == 0:
                save_state(fit, settings, source, run)
    save_state(fit, settings, source, run)
    if (best := best_step(seen)) is not None and not collapsed:
        progress.warn(
            f"Codes were most compact at step {best} ({seen[best]:.3f}) and have come looser since "
            f"({seen[max(seen)]:.3f}): this looks over-trained. Try fewer --steps."
        )
    return last


def _with_linear_probe(checkpoint: Checkpoint, features: Features, folders: Folders, progress: Progress) -> Checkpoint:
    """Add a linear probe, or say why there is none."""
    generator = torch.Generator().manual_seed(checkpoint.settings.seed)
    labelled = read_labels(features.paths, folders, generator, progress, features.shares)
    if labelled is None:
        progress.warn(f"No pixel of the labels in {shown(folders.labels or '')} has a class: no linear probe.")
        return checkpoint
    codes = codes_at(features, checkpoint.head, labelled)
    weight, bias, right = fit_linear_probe(codes, labelled, generator)
    progress.note(f"Linear probe: {labelled.count} classes, right on {right:.1%} of the labelled training points.")
    facts = {**checkpoint.facts, "linear_classes": labelled.count, "linear_accuracy": round(100 * right, 4)}
    names = folders.table.names if folders.table else ()
    colours = tuple(folders.table.colours) if folders.table else ()
    return replace(checkpoint, linear=(weight, bias), linear_names=names, linear_palette=colours, facts=facts)


def _as_json(figures: StepFigures) -> dict[str, object]:
    def named(values: tuple[float, ...]) -> dict[str, float]:
        return {term: round(value, 6) for term, value in zip(TERMS, values, strict=True)}

    return {
        "step": figures.step,
        "loss": round(figures.loss, 6),
        "terms": named(figures.terms),
        "correspondences": named(figures.correspondences),
        "b": named(figures.b),
        "rank": round(figures.rank, 3),
        **({} if figures.probe is None else {"probe": round(figures.probe, 6)}),
    }

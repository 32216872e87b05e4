"""From photographs without labels to a checkpoint: features, neighbours, head, clusters, and a linear probe."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from signal import SIGTERM

import torch

from stego_cli.datasets.layout import Folders
from stego_cli.errors import Stopped, UsageError, setting
from stego_cli.machine import cores
from stego_cli.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from stego_cli.model.head import without
from stego_cli.model.vit import FrozenViT
from stego_cli.progress import Progress, Quiet
from stego_cli.settings import TrainSettings
from stego_cli.stop import EXIT_CODES, Stop
from stego_cli.text import shown
from stego_cli.training.calibration import whitening
from stego_cli.training.cluster_codes import cluster_codes
from stego_cli.training.compactness import SAMPLE
from stego_cli.training.context import RunContext
from stego_cli.training.device import torch_device
from stego_cli.training.extraction import prepare_features
from stego_cli.training.features import Features
from stego_cli.training.fit import Fit
from stego_cli.training.linear_probe import add_linear_probe
from stego_cli.training.loop import train_head
from stego_cli.training.monitor.tensorboard_log import require_tensorboard
from stego_cli.training.monitor.watchers import open_watch
from stego_cli.training.neighbours import nearest_neighbours
from stego_cli.training.positions import position_directions
from stego_cli.training.ranks import join, leave
from stego_cli.training.resolve import resolve_backbone, resolve_settings
from stego_cli.training.resume import RESUME_FILE, ResumeState, fingerprint
from stego_cli.training.run_folder import RunOptions, check_run_folder, clear_run_folder, hold_run_folder

_WHITENING_SAMPLE = 60_000  # patches
_NEW_RUN = RunOptions()


@dataclass(frozen=True)
class TrainedRun:
    """The result of a training.

    Attributes:
        checkpoint: as it is in the run folder.
        failed: photographs that could not be decoded: path and reason.
    """

    checkpoint: Checkpoint
    failed: list[tuple[Path, str]]


def train(
    paths: list[Path],
    folder: Path,
    settings: TrainSettings,
    progress: Progress,
    stop: Stop,
    labels: Folders | None = None,
    options: RunOptions = _NEW_RUN,
) -> TrainedRun:
    """Train a head and a cluster probe on photographs, and save them in a run folder.

    Args:
        paths: the photographs, in an order that does not change between runs.
        folder: the run folder; made if missing.
        settings: block and number of classes may be open; the checkpoint has them resolved.
        progress: receives stages, notes, warnings and the metrics of each step.
        stop: on a signal the run ends between two steps, with a whole checkpoint and a state to resume from.
        labels: where labels are, if there are any; only the linear probe is trained on them.
        options: how the run folder is used, and photographs are read.

    Raises:
        UsageError: the folder holds a run that may not be replaced, settings do not fit, or TensorBoard is missing.
        NoInputError: no photograph can be decoded.
        WeightsError: the backbone's weights cannot be fetched.
        OutputError: the folder cannot be written, or another run is writing to it.
        Stopped: a signal arrived.
    """
    device = torch_device(settings.device)
    ranks = join(device)
    context = RunContext(device, folder, progress if ranks.first else Quiet(), stop, ranks, options.reading)
    context = replace(context, engine=options.engine, ray_address=options.ray_address, asked=settings.device)
    if options.tensorboard:
        require_tensorboard()
    if labels is not None and not (labels.labels and labels.labels.is_dir()):
        raise UsageError(f"{shown(labels.labels or '')} is not a folder.", field="labels")
    check_run_folder(folder, options)
    with hold_run_folder(folder, ranks):
        try:
            return _train(paths, settings, labels, options, context)
        finally:
            leave()


def _train(
    paths: list[Path], settings: TrainSettings, labels: Folders | None, options: RunOptions, context: RunContext
) -> TrainedRun:
    device, folder, progress, ranks = context.device, context.folder, context.progress, context.ranks
    torch.set_num_threads(max(1, cores() // ranks.count) if device.type == "cpu" else cores())
    with context.stop.at_once():  # fetching and loading it keeps nothing of the run
        backbone = resolve_backbone(paths, settings, context)
    progress.note(f"Backbone {backbone.vit.row.name}, block {backbone.vit.block}, on {device}.")
    features = prepare_features(backbone.vit, paths, settings, context)
    settings = resolve_settings(settings, backbone.vit.block, len(features), progress)
    fit = fit_on(features, settings, backbone.vit, context)
    state = ResumeState(folder, settings, fingerprint(features.paths, backbone.weights_sha256))
    if options.resume:
        state.load(fit)
        progress.note(f"Resuming after step {fit.step} of {settings.steps}.")
    elif ranks.first:
        clear_run_folder(folder)
    ranks.wait()
    if not ranks.first:
        for _ in fit.run(lambda: context.stop.requested is not None):
            pass
        ranks.wait()  # until the first process has written the checkpoint
        return TrainedRun(load_checkpoint(folder), features.failed)
    watch = open_watch(fit, features, folder, options.tensorboard, progress)
    sample = features.random_tokens(SAMPLE, torch.Generator().manual_seed(settings.seed))
    last = train_head(fit, sample, state, watch, context)
    checkpoint = cluster_codes(fit, features, backbone, last, progress)
    reading, ground = options.reading, options.res_ground
    read_as = replace(checkpoint.provenance, bands=reading.bands, stretch=reading.ranges, res_ground=ground)
    checkpoint = replace(checkpoint, provenance=read_as)
    save_checkpoint(checkpoint, folder)  # before labels are read: broken ones must not cost the checkpoint
    if labels is not None:
        checkpoint = add_linear_probe(checkpoint, features, labels, progress)
        save_checkpoint(checkpoint, folder)
    watch.finish(checkpoint)
    ranks.wait()
    if fit.step < settings.steps:
        raise Stopped(
            context.stop.requested or EXIT_CODES[SIGTERM],  # the signal may have reached only another process
            f"Stopped after step {fit.step} of {settings.steps}; {shown(folder)} holds a whole checkpoint of it.",
            f"The same again with {setting('resume', True)} does the remaining steps.",
        )
    (folder / RESUME_FILE).unlink(missing_ok=True)
    return TrainedRun(checkpoint, features.failed)


def fit_on(features: Features, settings: TrainSettings, vit: FrozenViT, context: RunContext) -> Fit:
    """Return a training on features that has done no step.

    Args:
        features: of the photographs.
        settings: with batch and neighbours that fit them.
        vit: the backbone that computed the features.
        context: its device and processes are used.
    """
    space = removed = None
    if settings.positions:
        ((grid, _),) = Counter(map(tuple, features.grids.tolist())).most_common(1)
        removed = position_directions(vit, grid, settings.positions, context.device)
    if settings.whiten:
        generator = torch.Generator().manual_seed(settings.seed)
        sample = features.random_tokens(_WHITENING_SAMPLE, generator)
        space = whitening(sample if removed is None else without(sample, removed), settings.whiten)
    near = nearest_neighbours(features.pooled, settings.neighbours, features.photos, context.device)
    return Fit(features, near, space, settings, context.device, context.ranks, removed)

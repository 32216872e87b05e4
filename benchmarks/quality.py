"""What classes found without labels are worth, over several kinds of photographs at once.

    python benchmarks/quality.py DATA... --features FOLDER [--seeds 3] [--ways default raw whitened paper]
    python benchmarks/quality.py DATA... --features FOLDER --set positions=0 finer=1
    python benchmarks/quality.py DATA --features FOLDER --only 1:0.6

Each DATA has imgs/{train,val} and labels/{train,val}; K is the number of its labelled classes. Three figures each, mIoU
/ accuracy in percent, at patch level without CRF, the mean over seeds:

- discover: classes found in all photographs and scored on them, matched one to one, as `segment` without a model;
- carry over: found in train and scored on val, matched one to one on val;
- named: 2 K clusters found in train, named and moved by the labels of 5 photographs of train (five draws), scored on
  val.

The last rows are the mean over the sets. The ways: the defaults; cosine k-means on the backbone's features; the same on
32 whitened components of them; and the loss of the paper with the b published for CocoStuff27 (ViT-S) on raw features,
300 steps (docs/log/training.md has its whole recipe). `--set` changes settings of the way "default". `--only
CLASS:SHARE` takes the photographs of which a class covers at least that share, and the classes with a hundredth of
their pixels. No other label is read before the classes are found. Features are computed once and kept in FOLDER.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from stego_cli.gallery.fitting import LabelledCells, pixels_of_cells
from stego_cli.gallery.naming import votes_of
from stego_cli.hierarchy import hierarchy_of
from stego_cli.images.ids import read_ids
from stego_cli.model.backbones import backbone
from stego_cli.model.probes import ClusterProbe
from stego_cli.model.smoothing import smoothed
from stego_cli.model.vit import FrozenViT, build
from stego_cli.model.weights import pull
from stego_cli.progress import Quiet
from stego_cli.reading import Reading
from stego_cli.scoring.confusion import make_grid
from stego_cli.scoring.matching import assign, matched_confusion
from stego_cli.scoring.metrics import accuracy, class_iou, mean_iou
from stego_cli.settings import TrainSettings
from stego_cli.stop import Stop
from stego_cli.training.cached import compute_features
from stego_cli.training.calibration import whitening
from stego_cli.training.context import RunContext
from stego_cli.training.features import FeatureCache
from stego_cli.training.finished_codes import Patches
from stego_cli.training.kmeans import cosine_kmeans
from stego_cli.training.mixture import joined_classes, moved_to
from stego_cli.training.presets import PRESETS
from stego_cli.training.resolve import resolve_settings
from stego_cli.training.train import fit_on
from stego_cli.training.views import cut_of, survey

Counts = NDArray[np.int64]
Score = tuple[float, float]  # mIoU and accuracy, percent
PAPER: dict[str, Any] = {"shifts": PRESETS["paper-cocostuff27-vits8"]["shifts"], "batch": 16, "steps": 300}
PAPER |= {"whiten": 0, "positions": 0, "finer": 1}
_SAMPLE, _DRAWS, _LABELLED = 40_000, 5, 5


@dataclass(frozen=True)
class Panel:
    """One set of photographs: the features of all, which are in train, and labelled pixels of each patch (T, K)."""

    cache: FeatureCache
    train: Tensor
    labels: Tensor

    @property
    def classes(self) -> int:
        """The number of labelled classes."""
        return self.labels.shape[1]

    def rows(self, views: Tensor) -> Tensor:
        """Return the rows of the patches of some photographs, int64 (n,)."""
        sizes = self.cache.grids.prod(1)
        starts = zip(self.cache.starts[views].tolist(), sizes[views].tolist(), strict=True)
        return torch.cat([torch.arange(start, start + size) for start, size in starts])

    def only(self, ground: int, share: float) -> Panel:
        """Return the photographs of which a class covers a share, and the classes with 1 % of the pixels there."""
        pixels = torch.stack([self.labels[self.rows(view[None])].sum(0) for view in torch.arange(len(self.cache))])
        views = (pixels[:, ground] >= share * pixels.sum(1)).nonzero().flatten()
        rows, cache = self.rows(views), self.cache.only(views)
        labels = self.labels[rows]
        classes = labels.sum(0) >= 0.01 * labels.sum()
        sizes = cache.grids.prod(1)
        cache = replace(cache, tokens=cache.tokens[rows], starts=sizes.cumsum(0) - sizes)
        return Panel(cache, self.train[views], labels[:, classes])


def panel_of(data: Path, folder: Path, settings: TrainSettings, vit: FrozenViT) -> Panel:
    """Return a set with its features, which are computed if FOLDER does not have them."""
    kept = folder / f"{data.name}-{settings.res}-{vit.block}.pt"
    if not kept.is_file():
        paths = sorted((data / "imgs").glob("*/*"))
        context = RunContext(torch.device("cpu"), folder, Quiet(), Stop())
        torch.save(
            compute_features(vit, survey(paths, cut_of(settings, vit.row.patch, Reading())), 2**40, context), kept
        )
    cache: FeatureCache = torch.load(kept, weights_only=False)
    ids = [read_ids((data / "labels" / path.parent.name / path.name).with_suffix(".png")) for path in cache.paths]
    classes = 1 + max(int(each[each != 255].max(initial=0)) for each in ids)
    every = make_grid(classes, None, None)
    labels = [pixels_of_cells(each, every, grid) for each, grid in zip(ids, cache.grids.tolist(), strict=True)]
    train = torch.tensor([path.parent.name == "train" for path in cache.paths])
    return Panel(cache, train, torch.from_numpy(np.concatenate(labels)))


Codes = Callable[[Tensor], Tensor]


def found(way: str, cache: FeatureCache, settings: TrainSettings, vit: FrozenViT) -> tuple[Codes, Tensor | None]:
    """Return the map from features to codes that a way finds, and centroids if it finds them at the same time."""
    generator = torch.Generator().manual_seed(settings.seed)
    if way == "raw":
        return lambda features: features, None
    if way == "whitened":
        return whitening(cache.random_tokens(_SAMPLE, generator), 32), None
    settings = resolve_settings(settings, vit.block, len(cache), Quiet())
    fit = fit_on(cache, settings, vit, RunContext(torch.device("cpu"), Path(), Quiet(), Stop()))
    for _ in fit.run(lambda: False):
        pass
    head = fit.head.eval()
    return lambda features: head(features).detach(), None if fit.centroids is None else fit.centroids.detach()


def codes_of(head: Codes, cache: FeatureCache, smoothing: float) -> tuple[Tensor, Tensor]:
    """Return the codes of all patches, float32 (T, D): of the patches alone, and smoothed ones."""
    grids = [head(cache.grid(view)) for view in range(len(cache))]
    means = [smoothed(grid[None], smoothing)[0] for grid in grids]
    alone, mean = (torch.cat([grid.flatten(0, 1) for grid in each]) for each in (grids, means))
    return alone, mean


def counted(clusters: Tensor, labels: Tensor, count: int) -> Counts:
    """Return labelled pixels by class and cluster."""
    counts: Counts = torch.zeros(count, labels.shape[1], dtype=torch.int64).index_add_(0, clusters, labels).T.numpy()
    return counts


def scored(counts: Counts, of_cluster: NDArray[np.int64]) -> Score:
    """Return mIoU and accuracy of clusters that are these classes."""
    confusion, unmatched = matched_confusion(counts, of_cluster)
    return mean_iou(class_iou(confusion, unmatched)), accuracy(confusion, unmatched)


def named(panel: Panel, codes: Tensor, points: Patches, generator: torch.Generator) -> Score:
    """Return the score on val of 2 K clusters named by a few labelled photographs, the mean of some draws."""
    count = 2 * panel.classes
    probe = ClusterProbe(cosine_kmeans(points.codes, count, 4, generator), TrainSettings().temperature)
    probe = moved_to(probe, points.codes, points.smoothed)
    hierarchy = hierarchy_of(probe.centroids.numpy(), probe.shares(points.smoothed).tolist())
    clusters = probe.nearest(codes)
    val, candidates = panel.rows((~panel.train).nonzero().flatten()), panel.train.nonzero().flatten()
    of_val, scores = codes[val, :, None, None], []
    for _ in range(_DRAWS):
        rows = panel.rows(candidates[torch.randperm(len(candidates), generator=generator)[:_LABELLED]])
        votes = votes_of(counted(clusters[rows], panel.labels[rows], count), hierarchy)
        labelled_rows = rows[panel.labels[rows].any(1)]
        labels = panel.labels[labelled_rows].numpy().astype(np.int64)
        cells = LabelledCells([codes[labelled_rows].numpy()], [labels])
        moved = cells.fitted_probe(probe, [vote.label for vote in votes])
        # As in a model: a join has the sum of the probabilities. Every cluster gets a class here.
        joins = F.one_hot(torch.tensor([vote.label for vote in votes]), panel.classes).float()
        test = counted((moved(of_val).flatten(1).exp() @ joins).argmax(1), panel.labels[val], panel.classes)
        scores.append(scored(test, np.arange(panel.classes)))
    return tuple(np.mean(scores, 0))


def measured(way: str, panel: Panel, settings: TrainSettings, vit: FrozenViT) -> list[Score]:
    """Return the scores of "discover", "carry over" and "named" for one seed."""
    everything, train = torch.arange(len(panel.cache)), panel.train.nonzero().flatten()
    val, scores = (~panel.train).nonzero().flatten(), []
    for source, target in ((everything, everything), (train, val)):
        head, centroids = found(way, panel.cache.only(source), settings, vit)
        smoothing = settings.smoothing if way == "default" else 0.0
        alone, codes = codes_of(head, panel.cache, smoothing)
        generator = torch.Generator().manual_seed(settings.seed)
        rows = panel.rows(source)
        drawn = rows[torch.randperm(len(rows), generator=generator)[:_SAMPLE]]
        points = Patches(*(F.normalize(each[drawn].float(), dim=1) for each in (panel.cache.tokens, alone, codes)))
        if centroids is None:
            finer = settings.finer if way == "default" else 1
            cluster = joined_classes(
                points.codes, points.features, panel.classes, finer, settings.restarts, settings.temperature, generator
            )
            cluster = moved_to(cluster, points.codes, points.smoothed)
        else:
            cluster = ClusterProbe(centroids)
        rows = panel.rows(target)
        counts = counted(cluster.nearest(codes[rows]), panel.labels[rows], panel.classes)
        scores.append(scored(counts, assign(counts, "hungarian")))
    return [*scores, named(panel, codes, points, generator)]


def changed(settings: TrainSettings, words: list[str]) -> TrainSettings:
    """Return settings with values given as NAME=NUMBER."""
    kinds = {field.name: type(getattr(settings, field.name)) for field in fields(settings)}
    return replace(settings, **{name: kinds[name](value) for name, value in (word.split("=") for word in words)})


def main() -> None:
    """Print a row for each way and set, and the means over sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--features", type=Path, required=True, help="folder that keeps the features")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ways", nargs="+", default=["default", "raw", "whitened", "paper"])
    parser.add_argument("--set", nargs="+", default=[], dest="changes", metavar="NAME=NUMBER")
    parser.add_argument("--only", metavar="CLASS:SHARE", help="photographs of which this class covers this share")
    options = parser.parse_args()
    options.features.mkdir(parents=True, exist_ok=True)
    settings = changed(TrainSettings(), options.changes)
    row = backbone(settings.backbone)
    assert not isinstance(settings.block, str)  # "auto" is for photographs, not for kept features
    vit = build(row, pull(row, Quiet()), settings.block)
    sums: dict[str, list[NDArray[np.float64]]] = {}
    for data in options.data:
        panel = panel_of(data, options.features, settings, vit)
        if options.only:
            ground, share = options.only.split(":")
            panel = panel.only(int(ground), float(share))
        for way in options.ways:
            seeds = []
            for seed in range(options.seeds):
                given = replace(settings, classes=panel.classes, seed=seed)
                given = replace(given, **PAPER) if way == "paper" else given
                seeds.append(measured(way, panel, given, vit))
            sums.setdefault(way, []).append(np.array(seeds).mean(0))
            show(f"{data.name} ({panel.classes})", way, np.array(seeds).mean(0), np.ptp(seeds, axis=0))
    for way, means in sums.items():
        show("mean", way, np.mean(means, 0))


def show(name: str, way: str, scores: NDArray[np.float64], ranges: NDArray[np.float64] | None = None) -> None:
    """Print a row; in brackets the range over the seeds."""
    texts = []
    for index, question in enumerate(("discover", "carry over", "named")):
        spread = "" if ranges is None else f" ({ranges[index][0]:.1f}/{ranges[index][1]:.1f})"
        texts.append(f"{question} {scores[index][0]:.1f}/{scores[index][1]:.1f}{spread}")
    print(f"{name:14s} {way:9s} " + "   ".join(texts), flush=True)


if __name__ == "__main__":
    main()

"""How well a few labelled photographs name the clusters of a model: by clusters per class, and by rule.

    python benchmarks/naming.py CAMVID --classes 11 --scratch FOLDER
    python benchmarks/naming.py CAMVID --classes 11 --scratch FOLDER --times 4 --belief 0.001 0.01 --lift 0 0.25 0.5

DATA has imgs/{train,val} and labels/{train,val}. A head is trained on imgs/train (once: the run, and the codes of all
photographs, are kept in FOLDER), clusters are found on its codes, and 5 photographs drawn from the train split, whose
labels alone are looked at, name them and move them ("not moved": only name them). As in a model, a class has the sum
of its clusters' probabilities. Scored on val without CRF, at half the work size, by pixel: mIoU / accuracy in percent,
mean and standard deviation over draws.
"Suggested" takes the photographs that `stego classes suggest` names among three
quarters of the train split, drawn anew each time; "all" the labels of all training photographs; "one to one" is the
best matching of as many clusters as classes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from stego_cli.classes import VOID
from stego_cli.gallery.fitting import LabelledCells
from stego_cli.gallery.naming import BELIEF, LIFT, Vote, votes_of
from stego_cli.gallery.worth_labelling import worth_labelling
from stego_cli.hierarchy import Hierarchy, hierarchy_of
from stego_cli.images.decode import decode
from stego_cli.images.discover import find_photos
from stego_cli.images.ids import read_ids, resize_ids
from stego_cli.model.checkpoint import load_checkpoint, segmenter
from stego_cli.model.probes import ClusterProbe
from stego_cli.progress import Quiet
from stego_cli.scoring.confusion import make_grid
from stego_cli.scoring.matching import assign, matched_confusion
from stego_cli.scoring.metrics import accuracy, class_iou, mean_iou
from stego_cli.settings import TrainSettings
from stego_cli.training.kmeans import cosine_kmeans

Counts = NDArray[np.int64]  # (classes, clusters), or (photographs, classes, clusters)


def codes_of(data: Path, classes: int, scratch: Path, seed: int) -> dict[str, list[tuple[Tensor, Counts]]]:
    """Return the codes (D, h, w) and labels (H, W) of all photographs by split, from a run that is trained once."""
    kept, run = scratch / f"codes-{data.name}-{seed}.pt", scratch / f"run-{data.name}-{seed}"
    if kept.is_file():
        found: dict[str, list[tuple[Tensor, Counts]]] = torch.load(kept, weights_only=False)
        return found
    if not run.is_dir():
        words = ["train", data / "imgs" / "train", "--out", run, "--classes", classes, "--seed", seed]
        subprocess.run([sys.executable, "-m", "stego_cli", *map(str, words)], check=True)
    checkpoint = load_checkpoint(run)
    model, patch = segmenter(checkpoint, False, Quiet()), checkpoint.backbone.patch
    found = {}
    for split in ("train", "val"):
        photos = find_photos(data / "imgs" / split)
        for photo in photos.photos:
            pixels = decode(photos.root / photo.path, checkpoint.res, patch).pixels
            with torch.inference_mode():
                code = model.code(torch.from_numpy(pixels.copy())[None])[0]
            ids = read_ids((data / "labels" / split / photo.path).with_suffix(".png"))
            labels = resize_ids(ids, *pixels.shape[:2])
            found.setdefault(split, []).append((code.half(), labels))
    torch.save(found, kept)
    return found


def clusters_of(codes: list[tuple[Tensor, Counts]], clusters: int, seed: int) -> tuple[Tensor, Hierarchy]:
    """Return centroids (K, D) found on the codes of the train split, as training finds them, and their hierarchy."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.cat([code.flatten(1).T for code, _ in codes])
    points = F.normalize(points[torch.randint(len(points), (40_000,), generator=generator)].float(), dim=1)
    centroids = cosine_kmeans(points, clusters, 4, generator)
    return centroids, hierarchy_of(centroids.numpy(), ClusterProbe(centroids).shares(points).tolist())


def counts_of(codes: list[tuple[Tensor, Counts]], centroids: Tensor, classes: int) -> Counts:
    """Return labelled pixels by photograph, class and cluster."""
    counts = np.zeros((len(codes), classes, len(centroids)), np.int64)
    for index, (code, labels) in enumerate(codes):
        whole = F.interpolate(code[None].float(), labels.shape, mode="bilinear")[0]
        nearest = torch.einsum("kd,dhw->khw", centroids, whole).argmax(0).numpy()  # the length changes no maximum
        inside = labels < classes
        cells = labels[inside].astype(np.int64) * len(centroids) + nearest[inside]
        counts[index] = np.bincount(cells, minlength=counts[index].size).reshape(counts[index].shape)
    return counts


def scored(counts: Counts, of_cluster: NDArray[np.int64]) -> tuple[float, float]:
    """Return mIoU and accuracy in percent of clusters that are these classes."""
    confusion, unmatched = matched_confusion(counts, of_cluster)
    return mean_iou(class_iou(confusion, unmatched)), accuracy(confusion, unmatched)


def probabilities_of(codes: list[tuple[Tensor, Counts]], probe: ClusterProbe) -> list[tuple[Tensor, Counts]]:
    """Return the probabilities of clusters, float16 (K, n), and the labels, (n,), of every second row and column."""
    found = []
    for code, labels in codes:
        whole = F.interpolate(code[None].float(), labels.shape, mode="bilinear")[:, :, ::2, ::2]
        found.append((probe(whole)[0].exp().half().flatten(1), labels[::2, ::2].ravel()))
    return found


def joined(probabilities: list[tuple[Tensor, Counts]], of_cluster: NDArray[np.int64], classes: int) -> Counts:
    """Return labelled pixels by class and predicted class, where each cluster is of a class."""
    counts, joins = np.zeros(classes * classes, np.int64), F.one_hot(torch.from_numpy(of_cluster), classes).T.float()
    for each, labels in probabilities:
        predicted, inside = (joins @ each.float()).argmax(0).numpy(), labels < classes
        counts += np.bincount(labels[inside].astype(np.int64) * classes + predicted[inside], minlength=len(counts))
    return counts.reshape(classes, classes)


def moved(codes: list[tuple[Tensor, Counts]], probe: ClusterProbe, votes: Sequence[Vote], classes: int) -> ClusterProbe:
    """Return the clusters after labelled photographs moved them."""
    cells, grid = LabelledCells(), make_grid(classes, VOID, None)
    for code, labels in codes:
        cells.add(code.permute(1, 2, 0).float().numpy(), labels, grid)
    return cells.fitted_probe(probe, [vote.label for vote in votes])


def measured(codes: dict[str, list[tuple[Tensor, Counts]]], times: float, options: argparse.Namespace) -> None:
    """Print a block of rows for one number of clusters."""
    centroids, hierarchy = clusters_of(codes["train"], round(times * options.classes), options.seed)
    train, classes = counts_of(codes["train"], centroids, options.classes), options.classes
    probe = ClusterProbe(centroids, TrainSettings().temperature)
    val = probabilities_of(codes["val"], probe)
    test = counts_of(codes["val"], centroids, classes).sum(0)
    rows: dict[str, list[tuple[float, float]]] = {}

    def score(name: str, chosen: Sequence[int], belief: float = BELIEF, lift: float = LIFT, fit: bool = True) -> None:
        votes = votes_of(train[chosen].sum(0), hierarchy, belief, lift)
        of_cluster = np.array([vote.label for vote in votes])
        for moves in (False, True) if fit else (False,):
            found = val
            if moves:
                found = probabilities_of(
                    codes["val"], moved([codes["train"][index] for index in chosen], probe, votes, classes)
                )
            result = scored(joined(found, of_cluster, classes), np.arange(classes))
            rows.setdefault(name + ("" if moves else ", not moved"), []).append(result)

    if times == 1:
        rows["one to one"] = [scored(test, assign(test, "hungarian"))]
    score("all", range(len(train)))
    chance, unseen = np.random.default_rng(options.seed), []
    for _ in range(options.draws):
        drawn = chance.choice(len(train), options.labelled, replace=False).tolist()
        unseen.append(100 * test[:, train[drawn].sum((0, 1)) == 0].sum() / test.sum())
        for belief in options.belief:
            for lift in options.lift:
                used = (belief, lift) == (BELIEF, LIFT)
                score(f"{options.labelled} drawn, belief {belief:g}, lift {lift:g}", drawn, belief, lift, used)
        some = chance.permutation(len(train))[: max(options.labelled, len(train) * 3 // 4)]
        best = worth_labelling(train[some].sum(1), options.labelled)
        score(f"{options.labelled} suggested", some[best].tolist())
    print(f"{len(centroids)} clusters; {np.mean(unseen):.1f} % of val in clusters that no label shows")
    for name, scores in rows.items():
        (miou, right), spread = np.mean(scores, 0), np.std(scores, 0)
        print(f"  {name}: {miou:.1f} / {right:.1f}  (sd {spread[0]:.1f} / {spread[1]:.1f})", flush=True)


def main() -> None:
    """Print a block for each number of clusters."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--classes", type=int, required=True)
    parser.add_argument("--scratch", type=Path, required=True, help="folder for the run and the codes")
    parser.add_argument("--times", type=float, nargs="+", default=[1, 2, 3, 4, 6, 8], help="clusters for each class")
    parser.add_argument("--labelled", type=int, default=5, help="labelled photographs in a draw")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--belief", type=float, nargs="+", default=[BELIEF])
    parser.add_argument("--lift", type=float, nargs="+", default=[LIFT])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.scratch.mkdir(parents=True, exist_ok=True)
    codes = codes_of(options.data, options.classes, options.scratch, options.seed)
    for times in options.times:
        measured(codes, times, options)


if __name__ == "__main__":
    main()

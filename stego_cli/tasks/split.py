"""Splits of classes, in what has a model: a model file, a run, or masks whose model is kept with them.

The new centroids come from k-means on the codes that the class has in photographs; the same photographs and the same
seed give the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from stego_cli.errors import UsageError, setting
from stego_cli.gallery.remap import Changed, split_masks
from stego_cli.progress import Progress
from stego_cli.reading import Reading
from stego_cli.stop import Stop
from stego_cli.text import shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from stego_cli.gallery.survey import Floats

_RESTARTS = 8  # of k-means
_FLIP = False  # a run's codes are taken without the mirrored photograph


@dataclass(frozen=True)
class SplitSource:
    """What the codes are taken from.

    Attributes:
        photos: a folder of photographs; None: those that the masks were made from.
        seed: of k-means.
    """

    photos: Path | None = None
    seed: int = 0


OF_MASKS = SplitSource()


def split_in_model(
    content: bytes, pair: tuple[int, int], source: SplitSource, name: str, progress: Progress, stop: Stop
) -> bytes:
    """Return a model file with a class split; `pair` is the class and the number of parts.

    Raises:
        UsageError: there are no photographs, or too few codes of the class in them.
        ModelError: the model cannot be split.
        Stopped: a signal came.
    """
    work = _Work(pair, _photographs(source), Reading(), source.seed)
    return _split_content(content, work, name, progress, stop)


def split_in_masks(masks: Path, pair: tuple[int, int], source: SplitSource, progress: Progress, stop: Stop) -> Changed:
    """Split a class in masks and in the model that is kept with them.

    Raises:
        UsageError: their model is somewhere else, or there are too few codes of the class.
        NoInputError: their photographs are not there.
        ModelError: the model cannot be split.
        OutputError: a mask cannot be written.
        Stopped: a signal came; `stego classes apply` does the rest.
    """
    from stego_cli.gallery.mask_tree import open_masks
    from stego_cli.gallery.remap_split import model_of_masks, recipe_of

    tree, number = open_masks(masks), pair[0]
    file = model_of_masks(masks)
    if tree.photos is None:
        raise UsageError(f"The photographs of {shown(masks)} are not there; a split needs them.", "Put them back.")
    value = next(entry.value for entry in tree.edits.legend if entry.number == number)
    with_it = [tree.photos / entry.path for entry in tree.entries if value in (entry.pixels or {})]
    work = _Work(pair, with_it, recipe_of(masks, 0).reading, source.seed)
    content = _split_content(file.read_bytes(), work, shown(file), progress, stop)
    return split_masks(masks, number, content, progress, stop)


def split_in_run(run: Path, pair: tuple[int, int], source: SplitSource, progress: Progress, stop: Stop) -> None:
    """Split a class of a run: its checkpoint gets more centroids.

    Raises:
        UsageError: there are no photographs, or too few codes of the class in them.
        ModelError: the checkpoint is damaged.
        OutputError: it cannot be written.
        Stopped: a signal came.
    """
    import torch

    from stego_cli.gallery.split import sample_codes, split_shares
    from stego_cli.model.checkpoint import load_checkpoint, save_checkpoint, segmenter

    photographs, (number, into) = _photographs(source), pair
    checkpoint = load_checkpoint(run)
    model = segmenter(checkpoint, _FLIP, progress)

    @torch.no_grad()
    def codes_of(image: NDArray[np.uint8]) -> Floats:
        code = model.code(torch.from_numpy(image)).float().permute(0, 2, 3, 1).flatten(0, 2)
        result: Floats = code[checkpoint.cluster.nearest(code) == number].numpy()
        return result

    work = (checkpoint.res, checkpoint.backbone.patch, Reading())
    codes = sample_codes(codes_of, photographs, work, progress, stop)
    pieces, parts = _parts(codes, number, into, source.seed)
    cluster = checkpoint.cluster.split(number, torch.from_numpy(pieces), torch.from_numpy(parts))
    shares = tuple(split_shares(checkpoint.shares, number, parts)) if checkpoint.shares else ()
    save_checkpoint(replace(checkpoint, cluster=cluster, shares=shares, found=None), run)


@dataclass(frozen=True)
class _Work:
    """What a split of a model file works with: class and parts, photographs, how they are read, seed."""

    pair: tuple[int, int]
    photographs: Sequence[Path]
    reading: Reading
    seed: int


def _split_content(content: bytes, work: _Work, name: str, progress: Progress, stop: Stop) -> bytes:
    from stego_cli.gallery.centroids import Codes
    from stego_cli.gallery.model_edit import about_of, as_found
    from stego_cli.gallery.split import sample_codes, split_model

    number, into = work.pair
    plain = as_found(content, name)
    about = about_of(plain, name)
    codes_of = partial(Codes(plain.SerializeToString(), about["classes"], name).of, number=number)
    how = (about["res"], about["patch"], work.reading)
    codes = sample_codes(codes_of, work.photographs, how, progress, stop)
    pieces, parts = _parts(codes, number, into, work.seed)
    return split_model(content, number, pieces, parts, name)


def _parts(codes: Floats, number: int, into: int, seed: int) -> tuple[Floats, Floats]:
    """Return the centroids (into, D) of a class's codes (n, D), largest part first, and the share (into,) of each.

    Raises:
        UsageError: the codes make fewer parts.
    """
    import numpy as np
    import torch

    from stego_cli.gallery.split import require_parts
    from stego_cli.model.probes import ClusterProbe
    from stego_cli.training.kmeans import cosine_kmeans

    if not len(codes):
        require_parts(number, np.zeros(into, np.float32), into)
    points = torch.from_numpy(codes)
    centroids = cosine_kmeans(points, into, _RESTARTS, torch.Generator().manual_seed(seed))
    parts = ClusterProbe(centroids).shares(points).numpy().astype(np.float32)
    require_parts(number, parts, into)
    return centroids.numpy(), parts


def _photographs(source: SplitSource) -> list[Path]:
    """Return the photographs that are given.

    Raises:
        UsageError: there are none.
    """
    from stego_cli.datasets.layout import photographs_of
    from stego_cli.images.discover import find_photos
    from stego_cli.reading import Walk

    if source.photos is None:
        raise UsageError(
            "A split needs photographs, whose codes of the class it divides.", f"Give them as {setting('photos')}."
        )
    folder, _ = photographs_of(source.photos)
    found = find_photos(folder, None, Walk())
    return [found.root / photo.path for photo in found.photos]

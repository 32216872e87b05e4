"""One class becomes several: its centroid in a model is replaced by centroids of what it is made of.

The codes of cells that a model gives the class are taken from photographs; k-means on them gives the new centroids.
The first, of the largest part, takes the place of the old one, the others come behind the last. Between all other
classes nothing changes: the differences of their log-probabilities are what they were.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stego_cli.class_edits import ClassEdits, default_name
from stego_cli.class_operations import split
from stego_cli.classes_toml import write_classes_file
from stego_cli.errors import ModelError, PhotoError, UsageError
from stego_cli.gallery.centroids import centroids_of_model, with_pieces
from stego_cli.gallery.model_edit import about_of, as_found, classes_of_model, edit_model, set_about, set_classes
from stego_cli.gallery.survey import Floats
from stego_cli.hierarchy import hierarchy_of
from stego_cli.images.decode import decode
from stego_cli.images.streams import map_ahead
from stego_cli.inference.contract import FOUND_CLUSTERS
from stego_cli.inference.session import Session
from stego_cli.machine import cores
from stego_cli.palette import palette
from stego_cli.processes import thread_pool
from stego_cli.progress import Progress
from stego_cli.reading import Reading
from stego_cli.stop import Stop
from stego_cli.text import shown

_MOST_PHOTOGRAPHS = 300  # more change the centroids little
_MOST_CODES = 100_000
_TOLERANCE = 1e-3  # between differences of log-probabilities before and after

CodesOf = Callable[[NDArray[np.uint8]], Floats]  # uint8 (1, H, W, 3) to the class's codes, float32 (n, D)


def sample_codes(
    codes_of: CodesOf, photographs: Sequence[Path], work: tuple[int, int, Reading], progress: Progress, stop: Stop
) -> Floats:
    """Return codes (n, D), float32, of a class's cells in photographs, taken evenly from all that are given.

    Args:
        codes_of: of one photograph; threads may call it at the same time.
        photographs: files; of many, some are taken.
        work: shorter side in pixels, patch, and how pictures are read.
        progress: told of photographs that cannot be read.
        stop: asked between two photographs.

    Raises:
        Stopped: a signal came.
    """
    res, patch, reading = work
    places = np.linspace(0, len(photographs) - 1, min(len(photographs), _MOST_PHOTOGRAPHS)).round().astype(int)
    chosen = [photographs[place] for place in dict.fromkeys(places.tolist())]

    def codes(file: Path) -> Floats | str:
        try:
            return codes_of(decode(file, res, patch, reading).pixels[None])
        except PhotoError as error:
            return error.message
        except Exception as error:  # ONNX Runtime's errors share no base class but this
            return str(error).splitlines()[0]

    found: list[Floats] = []
    with progress.stage("Reading codes", len(chosen), unit="photographs") as stage, thread_pool(cores()) as pool:
        results = map_ahead(pool, codes, chosen, 2 * cores(), lambda: stop.requested is not None)
        for file, each in zip(chosen, results, strict=False):
            stage.advance()
            if isinstance(each, str):
                progress.warn(f"{shown(file)}: {each}")
            elif len(each):
                found.append(each)
    stop.check()
    if not found:
        return np.zeros((0, 1), np.float32)
    every = np.concatenate(found)
    kept: Floats = every[np.linspace(0, len(every) - 1, min(len(every), _MOST_CODES)).round().astype(int)]
    return kept


def require_parts(number: int, parts: Floats, into: int) -> None:
    """Refuse a split whose parts are not there.

    Args:
        number: of the class.
        parts: (n,) share of the class's codes in each part, largest first.
        into: the number of parts asked for.

    Raises:
        UsageError: there are fewer.
    """
    there = int((parts > 0).sum())
    if there < into:
        raise UsageError(
            f"Class {number} cannot be split into {into}: its codes in these photographs make {there}.",
            "Give more photographs, or a smaller number.",
        )


def split_shares(shares: Sequence[float], number: int, parts: Floats) -> list[float]:
    """Return the share of each class after a split; parts, (n,), is what each takes of the class that was split."""
    first, *others = (shares[number] * float(part) for part in parts)
    return [*shares[:number], first, *shares[number + 1 :], *others]


def split_model(content: bytes, number: int, pieces: Floats, parts: Floats, name: str) -> bytes:
    """Return the model file with one class replaced by several; other edits stay as they are.

    Args:
        content: of the model file.
        number: of the class.
        pieces: (n, D), the new centroids, the one of the largest part first.
        parts: (n,) share of the class in each.
        name: of the model file, for messages.

    Raises:
        UsageError: there is no such class, or it is a join.
        ModelError: it is not a model file of this tool, its centroids are not found, or the result is wrong.
    """
    edits = classes_of_model(content, name)
    after = split(edits, number, len(pieces))
    before = as_found(content, name)
    model = as_found(content, name)
    with_pieces(model, edits.count, number, (pieces, parts), name)
    set_classes(model, after.count)
    about = about_of(before, name)
    about.pop(FOUND_CLUSTERS, None)  # the parts were found among the centroids as they are now
    about["classes"] = after.count
    about["class_names"] += [default_name(each) for each in range(edits.count, after.count)]
    about["palette"] += palette(after.count)[edits.count :]
    about["mask_values"] = list(range(after.count))
    about["classes_file"] = write_classes_file(ClassEdits(edits.found, splits=after.splits))
    if about.get("shares"):
        about["shares"] = split_shares(about["shares"], number, parts)
    if about.get("hierarchy"):
        about["hierarchy"] = ()
        set_about(model, about)
        centroids = centroids_of_model(model.SerializeToString(), after.count)
        assert centroids is not None  # they were just put there
        about["hierarchy"] = hierarchy_of(centroids, about.get("shares", ()))
    set_about(model, about)
    result: bytes = model.SerializeToString()
    _prove(before.SerializeToString(), result, number, name)
    return edit_model(result, after, name)


def _prove(before: bytes, after: bytes, number: int, name: str) -> None:
    """Run both models: the other classes must stand to each other as they did, and all must add up to 1.

    Raises:
        ModelError: they do not.
    """
    old, new = (Session.from_bytes(content, "cpu", name) for content in (before, after))
    side = 4 * old.info.patch
    image = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    was, now = old.log_probs(image)[0], new.log_probs(image)[0]  # (K, H, W)
    others = [each for each in range(len(was)) if each != number]
    shift = now[others] - was[others]
    total = np.exp(now.astype(np.float64)).sum(0)
    if (
        not np.isfinite(now).all()
        or np.abs(total - 1).max() > _TOLERANCE
        or (others and (shift.max(0) - shift.min(0)).max() > _TOLERANCE)
    ):
        raise ModelError(f"{name} does not compute the parts of class {number}; nothing was written.")

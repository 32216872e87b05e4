"""Labels steadied over time: each pixel gets the label that most of the frames around have there.

A frame's vote counts by how sure its label is and by how alike the pixel's colours are in both frames. Where something
moves the colours differ, so that what was there before does not vote; where nothing moves, a label that flickers is
outvoted. (The same idea as the appearance kernel of a dense CRF, along time instead of space.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stego_cli.sources.source import PartMask

REACH = 3  # frames before and after that vote
_ALIKE = 20.0  # steps of 8 bits: deviation of a colour's difference that still counts as the same
_COARSE = 4  # colours are compared at this fraction of the size, where noise is averaged out
_FADE = 2.0  # frames: deviation of a vote's weight over time


class Shown(Protocol):
    """A frame: its picture, RGB, and its labels."""

    @property
    def image(self) -> Image.Image:
        """RGB."""

    @property
    def part(self) -> PartMask:
        """The labels, of the size of the picture."""


F = TypeVar("F", bound=Shown)


@dataclass(frozen=True)
class _Vote(Generic[F]):
    frame: F
    colours: NDArray[np.float32]  # (h, w, 3)


def steadied(frames: Iterator[F]) -> Iterator[tuple[F, NDArray[np.uint8]]]:
    """Yield each frame with its steadied labels, uint8 (H, W), at most REACH frames behind; all of one size."""
    near: deque[_Vote[F]] = deque()
    at = 0  # of the frame whose turn it is, in `near`
    for frame in frames:
        small = frame.image.resize([max(1, side // _COARSE) for side in frame.image.size], Image.Resampling.BOX)
        near.append(_Vote(frame, np.asarray(small, np.float32)))
        if len(near) > at + REACH:
            yield near[at].frame, _elected(list(near), at)
            at += 1
            if at > REACH:
                near.popleft()
                at -= 1
    while at < len(near):
        yield near[at].frame, _elected(list(near), at)
        at += 1


def _elected(votes: Sequence[_Vote[F]], at: int) -> NDArray[np.uint8]:
    """Return the labels of the frame `at`, elected by those around."""
    first = max(0, at - REACH)
    around = votes[first : at + REACH + 1]
    labels = np.stack([vote.frame.part.labels for vote in around])
    weights = np.stack([_weight(vote, votes[at], first + index - at) for index, vote in enumerate(around)])
    own = labels[at - first]
    chosen: NDArray[np.uint8] = own.copy()
    most = (weights * (labels == own)).sum(0)
    for candidate in labels:
        votes_for = (weights * (labels == candidate)).sum(0)
        better = votes_for > most
        chosen[better], most[better] = candidate[better], votes_for[better]
    return chosen


def _weight(vote: _Vote[F], centre: _Vote[F], distance: int) -> NDArray[np.float32]:
    """Return the weight of a frame's labels, float32 (H, W)."""
    differences = ((vote.colours - centre.colours) ** 2).mean(2)
    alike = np.exp(-differences / (2 * _ALIKE**2), dtype=np.float32)
    size = vote.frame.part.labels.shape[::-1]
    wide = np.asarray(Image.fromarray(alike).resize(size, Image.Resampling.BILINEAR))
    fade = np.float32(np.exp(-(distance**2) / (2 * _FADE**2)))
    return wide * fade * vote.frame.part.surety.astype(np.float32)

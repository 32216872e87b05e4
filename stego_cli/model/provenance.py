"""How a checkpoint was made: the part of config.json that neither loading nor exporting a model needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NotRequired, TypedDict

from stego_cli.reading import BandChoice, Ranges


class MetricsLine(TypedDict):
    """A line of metrics.jsonl: the measurements of one step, by term where there are three."""

    step: int
    loss: float
    terms: dict[str, float]
    correspondences: dict[str, float]
    b: dict[str, float]
    rank: float
    probe: NotRequired[float]  # if the cluster probe is trained together with the head
    compactness: NotRequired[float]  # every 50 steps


class ClassCandidate(TypedDict):
    """A number of classes that was considered, its stability (0 to 1) and the mean cosine to the centroids."""

    classes: int
    stability: float
    cosine: float


class BlockCandidate(TypedDict):
    """A 0-based block that was considered, and the dimensions that its features use."""

    block: int
    dimensions: float


class ImportedFrom(TypedDict):
    """The original checkpoint that a run was imported from: file name, hash, and the plain values of its settings."""

    file: str
    sha256: str
    configuration: dict[str, Any]


@dataclass(frozen=True)
class Provenance:
    """How a checkpoint was made. None, or an empty tuple, stands for a key that config.json does not have.

    Attributes:
        stego_version: that trained it.
        photographs: number of photographs it was trained on.
        photographs_failed: number of photographs that could not be decoded.
        steps_done: updates of the head; fewer than the settings' `steps` if the run was stopped.
        last: the metrics of the last step; None if no step was done. A trained checkpoint always has the key.
        class_curve: the numbers of classes considered, if the number was not given.
        blocks: the blocks considered, if the block was not given.
        linear_classes: number of classes of the linear probe.
        linear_accuracy: percent of the labelled training points that the linear probe classifies correctly.
        bands: of the photographs, numbers from 1 or names; empty: the first ones.
        stretch: the range of each kind of numbers of more than 8 bits in the photographs.
        res_ground: size of a pixel on the ground in rasters, in their units; None: their own, or there were none.
        imported: where an imported checkpoint comes from.
        others: keys that this version does not use, kept as they are.
    """

    stego_version: str | None = None
    photographs: int | None = None
    photographs_failed: int | None = None
    steps_done: int | None = None
    last: MetricsLine | None = None
    class_curve: tuple[ClassCandidate, ...] = ()
    blocks: tuple[BlockCandidate, ...] = ()
    linear_classes: int | None = None
    linear_accuracy: float | None = None
    bands: BandChoice = ()
    stretch: Ranges = ()
    res_ground: float | None = None
    imported: ImportedFrom | None = None
    others: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Provenance:
        """Return the provenance in those keys of config.json that the rest of a checkpoint does not use."""
        known = {name: config[name] for name in cls.__dataclass_fields__ if name in config and name != "others"}
        for name in ("class_curve", "blocks"):
            known[name] = tuple(known.get(name, ()))
        known["bands"] = tuple(known.get("bands", ()))
        known["stretch"] = tuple((kind, low, high) for kind, low, high in known.get("stretch", ()))
        return cls(**known, others={name: value for name, value in config.items() if name not in known})

    def as_config(self) -> dict[str, Any]:
        """Return the keys and values for config.json."""
        trained = {"last"} if self.steps_done is not None else set()
        values = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "others"}
        known = {name: value for name, value in values.items() if value not in (None, ()) or name in trained}
        return {**known, **self.others}

"""The backbone over many views, on the machines of a cluster: what `stream.stream` does on this one."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from safetensors.torch import load_file, save_file

from stego_cli.engines.table import engine
from stego_cli.engines.worker import Work
from stego_cli.errors import OutputError, UsageError, setting
from stego_cli.images.journal import Entry
from stego_cli.inference.outputs import Outcome
from stego_cli.model.backbones import Backbone
from stego_cli.model.vit import FrozenViT, build
from stego_cli.progress import Progress, Quiet
from stego_cli.stop import NEVER
from stego_cli.training.context import RunContext
from stego_cli.training.device import torch_device
from stego_cli.training.stream import Computed, stream
from stego_cli.training.views import Cut, View

_PIECE = 64  # photographs whose features are sent at once: some 40 MB


@dataclass(frozen=True)
class ViewsOfPhotograph:
    """What a worker gets of a photograph: `path`, its number as text; the numbers of its views, and the views."""

    path: str
    numbers: list[int]
    views: list[View]


@dataclass(frozen=True)
class FeaturesOfPhotograph(Outcome):
    """What a worker makes of it."""

    computed: list[Computed] = field(default_factory=list)


@dataclass(frozen=True)
class Machines:
    """What an engine asks of the settings: `device` of a worker, and `ray_address` of the cluster."""

    device: str
    ray_address: str | None
    workers: int | None = None
    processes: int = 1


@dataclass(frozen=True)
class FeatureTask:
    """The backbone, whose weights are sent as the model, and how photographs become views."""

    row: Backbone
    block: int
    token: str
    cut: Cut

    def begin(self, model: Path, device: str, progress: Progress) -> FeatureWorker:
        """Return a worker on another machine."""
        vit = build(self.row, None, self.block, self.token)
        vit.load_state_dict(load_file(model))
        context = RunContext(torch_device(device), Path(tempfile.gettempdir()), Quiet(), NEVER)
        return FeatureWorker(vit.to(context.device), self.cut, context)

    def failed(self, item: ViewsOfPhotograph, reason: str) -> FeaturesOfPhotograph:
        """Return the outcome of a photograph at which workers died."""
        computed = [Computed(number, reason=reason) for number in item.numbers]
        return FeaturesOfPhotograph(Entry(item.path, "failed", error=reason), {}, computed)


class FeatureWorker:
    """Computes features of views with a backbone on a device."""

    def __init__(self, vit: FrozenViT, cut: Cut, context: RunContext) -> None:
        self._vit, self._cut, self._context = vit, cut, context

    def do(self, items: Iterable[ViewsOfPhotograph], stopped: Callable[[], bool]) -> Iterator[FeaturesOfPhotograph]:
        """Yield the features of every photograph."""
        pieces = list(itertools.takewhile(lambda item: not stopped(), items))
        views = [view for item in pieces for view in item.views]
        numbers = [number for item in pieces for number in item.numbers]
        groups = stream(self._vit, views, list(range(len(views))), self._cut, self._context)
        made = {done.index: replace(done, index=numbers[done.index]) for group in groups for done in group}
        of = iter(range(len(views)))
        for item in pieces:
            computed = [made[next(of)] for _ in item.numbers]
            reason = next((done.reason for done in computed if done.features is None), "")
            entry = Entry(item.path, "failed" if reason else "done", error=reason or None)
            yield FeaturesOfPhotograph(entry, {}, computed)


def stream_elsewhere(backbone: FrozenViT, views: list[View], cut: Cut, context: RunContext) -> Iterator[list[Computed]]:
    """Yield the features of all views, those of one photograph together, in no particular order.

    Args:
        backbone: its weights are sent to the workers.
        views: all views; their files are where all machines see them.
        cut: how photographs become views.
        context: its engine does the work; its `stop` is checked.

    Raises:
        UsageError: the engine cannot be used.
        Stopped: a signal arrived.
    """
    if context.ranks.count > 1:
        raise UsageError(f"{setting('engine', context.engine)} and torchrun both divide the work.", "Use one of them.")
    task = FeatureTask(backbone.row, backbone.block, backbone.token, cut)
    here = FeatureWorker(backbone, cut, context)
    machines = Machines(context.asked, context.ray_address)
    with tempfile.TemporaryDirectory(prefix="stego-") as folder:
        weights = Path(folder, "backbone.safetensors")
        try:
            save_file({name: tensor.contiguous() for name, tensor in backbone.state_dict().items()}, weights)
        except OSError as error:
            raise OutputError(f"The backbone's weights cannot be written to {folder}: {error}.") from error
        work = Work(here, task, weights, (str(context.device),), machines, context.progress, _PIECE)
        outcomes = engine(context.engine).masks(work, _photographs(views), lambda: context.stop.requested is not None)
        for outcome in outcomes:
            assert isinstance(outcome, FeaturesOfPhotograph)
            yield outcome.computed
    context.stop.check()


def _photographs(views: list[View]) -> Iterator[ViewsOfPhotograph]:
    numbers = range(len(views))
    for photo, those in itertools.groupby(numbers, lambda number: views[number].photo):
        mine = list(those)
        yield ViewsOfPhotograph(
            str(photo), mine, [replace(views[number], path=views[number].path.absolute()) for number in mine]
        )

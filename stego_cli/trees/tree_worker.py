"""A worker for trees at addresses: it fetches photographs ahead, segments them, and puts masks and journal."""

from __future__ import annotations

import hashlib
import itertools
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from stego_cli.errors import StegoError
from stego_cli.images.atomic import sha256
from stego_cli.images.discover import Photo
from stego_cli.images.journal import Entry
from stego_cli.images.streams import as_finished, map_ahead
from stego_cli.inference.loaded import LoadedModel, load_model
from stego_cli.inference.outputs import MASK, Outcome, OutputPlan, place
from stego_cli.inference.pipeline import Pipeline
from stego_cli.processes import thread_pool
from stego_cli.progress import Progress
from stego_cli.reading import Reading
from stego_cli.settings import SegmentSettings
from stego_cli.sources.table import SUFFIXES as OF_PARTS
from stego_cli.sources.table import kind_of
from stego_cli.trees.record import put_begun, put_journal
from stego_cli.trees.tree import Listed, Tree

_TRANSFERS = 16  # files that are fetched, and that are put, at the same time
_BLOCK = 256  # photographs of a part of the journal
_LONGEST = 60.0  # seconds until what is done is written down
_IN_PARTS = "it is segmented in parts, which works in a folder of a disk alone"

Stopped = Callable[[], bool]


@dataclass(frozen=True)
class Remote:
    """A photograph in a tree.

    Attributes:
        listed: as the tree lists it.
        mask: the place of its mask in the output tree.
    """

    listed: Listed
    mask: str

    @property
    def path(self) -> str:
        """Relative to the tree."""
        return self.listed.path


@dataclass(frozen=True)
class TreeTask:
    """Masks of photographs in a tree; each machine reads and writes the trees by itself.

    Attributes:
        photos: address of the input tree; `out`: of the output tree.
        settings: of the run.
        reading: as it was decided for all photographs.
        plan: how labels are written; its folders are those of a worker.
    """

    photos: str
    out: str
    settings: SegmentSettings
    reading: Reading
    plan: OutputPlan

    def begin(self, model: Path, device: str, progress: Progress) -> TreeWorker:
        """Return a worker on another machine."""
        loaded = load_model(model, replace(self.settings, device=device), self.reading, progress)
        return TreeWorker(self, loaded, progress)

    def failed(self, item: Remote, reason: str) -> Outcome:
        """Return the outcome of a photograph at which workers died."""
        return Outcome(Entry(item.path, "failed", item.listed.size, item.listed.mtime, error=reason), {})


@dataclass(frozen=True)
class _Local:
    """A photograph that was fetched: `photo` as the pipeline gets it, and the hash of its content.

    With `failed` it was not fetched.
    """

    item: Remote
    photo: Photo
    content: str = ""
    failed: str = ""


class TreeWorker:
    """Does photographs of a tree with a model that is loaded.

    Args:
        task: what is done.
        model: loaded.
        progress: gets notes.
    """

    def __init__(self, task: TreeTask, model: LoadedModel, progress: Progress) -> None:
        self._task, self._model, self._progress = task, model, progress
        self._photos, self._out = Tree(task.photos, "photos"), Tree(task.out, "out")
        self._numbers = itertools.count()

    def do(self, items: Iterable[Remote], stopped: Stopped) -> Iterator[Outcome]:
        """Yield the outcome of every photograph; those that were fetched and not begun when it stopped have none."""
        with tempfile.TemporaryDirectory(prefix="stego-") as folder:
            yield from _Passage(self, Path(folder), stopped).outcomes(items)


class _Passage:
    """One call of `TreeWorker.do`, with a folder for the files that are on this machine."""

    def __init__(self, worker: TreeWorker, folder: Path, stopped: Stopped) -> None:
        task, model = worker._task, worker._model
        self._photos, self._out, self._numbers = worker._photos, worker._out, worker._numbers
        self._folder, self._stopped, self._also = folder, stopped, task.plan.also
        plan = replace(task.plan, root=folder, out=folder, scratch=folder, refiner=model.recipe.refiner)
        self._pipeline = Pipeline(model, plan, worker._progress)
        self._fetched: dict[str, _Local] = {}  # by path: what is on its way through the pipeline
        self._unfetched: list[Outcome] = []
        self._journal = _Parts(self._out)
        self._lock = threading.Lock()

    def outcomes(self, items: Iterable[Remote]) -> Iterator[Outcome]:
        with thread_pool(_TRANSFERS) as getters, thread_pool(_TRANSFERS) as putters:
            made = self._pipeline.masks(self._fetch_ahead(getters, items), self._stopped)
            for outcome in as_finished(putters, self._deliver, self._with_unfetched(made), 2 * _TRANSFERS):
                self._journal.add(outcome.entry)
                yield outcome
            self._journal.write()

    def _with_unfetched(self, made: Iterator[Outcome]) -> Iterator[Outcome]:
        for outcome in made:
            yield outcome
            yield from self._take_unfetched()
        yield from self._take_unfetched()

    def _take_unfetched(self) -> list[Outcome]:
        with self._lock:
            taken, self._unfetched = self._unfetched, []
        return taken

    def _fetch_ahead(self, pool: ThreadPoolExecutor, items: Iterable[Remote]) -> Iterator[Photo]:
        for local in map_ahead(pool, self._fetch, self._journal.begun(items), 2 * _TRANSFERS, self._stopped):
            with self._lock:
                if local.failed:
                    failed = Entry(local.item.path, "failed", local.item.listed.size, local.item.listed.mtime)
                    self._unfetched.append(Outcome(replace(failed, error=local.failed), {}))
                    continue
                self._fetched[local.item.path] = local
            yield local.photo

    def _fetch(self, item: Remote) -> _Local:
        """Copy a photograph to this machine, under a name that cannot lead out of the folder."""
        suffix, number = PurePosixPath(item.path).suffix, next(self._numbers)
        photo = Photo(item.path, f"{number}.mask.png", f"{number}{suffix}")
        file = self._folder / photo.file
        try:
            self._photos.fetch(item.path, file)
            if suffix.lower() in OF_PARTS and kind_of(file) is not None:
                file.unlink()
                return _Local(item, photo, failed=_IN_PARTS)
            return _Local(item, photo, sha256(file))
        except Exception as error:  # the clients of stores have errors without a common base
            return _Local(item, photo, failed=f"it cannot be fetched: {_line(error)}")

    def _deliver(self, outcome: Outcome) -> Outcome:
        """Put what was made of a photograph into the output tree, the mask last."""
        with self._lock:
            local = self._fetched.pop(outcome.entry.path, None)
        if local is None:
            return outcome  # it was not fetched
        listed = local.item.listed
        entry = replace(outcome.entry, size=listed.size, mtime=listed.mtime)
        try:
            if entry.status == "done":
                started = time.perf_counter()
                entry = self._put(entry, local)
                outcome.seconds["write"] += time.perf_counter() - started
        except StegoError:
            raise
        except Exception as error:
            reason = f"its mask cannot be put: {_line(error)}"
            entry = Entry(entry.path, "failed", listed.size, listed.mtime, error=reason)
        finally:
            for name in (None, *self._also, MASK):
                (self._folder / (local.photo.file if name is None else place(local.photo.mask, name))).unlink(
                    missing_ok=True
                )
        return Outcome(entry, outcome.seconds)

    def _put(self, entry: Entry, local: _Local) -> Entry:
        content = b""
        for name in (*self._also, MASK):
            content = (self._folder / place(local.photo.mask, name)).read_bytes()
            self._out.put(place(local.item.mask, name), content)
        return replace(
            entry,
            mask=local.item.mask,
            content=local.content,
            mask_size=len(content),
            mask_md5=hashlib.md5(content, usedforsecurity=False).hexdigest(),
        )


class _Parts:
    """Parts of the journal of one passage, and the masks that were begun before their part is written."""

    def __init__(self, out: Tree) -> None:
        self._out = out
        self._entries: list[Entry] = []
        self._since = time.monotonic()
        self._left: dict[str, set[str]] = {}  # by path of a record of begun masks: photographs without an entry
        self._record_of: dict[str, str] = {}  # by photograph

    def begun(self, items: Iterable[Remote]) -> Iterator[Remote]:
        """Yield items, each after its mask is written down as begun.

        Raises:
            OutputError: nothing can be written.
        """
        stream = iter(items)
        while block := list(itertools.islice(stream, _BLOCK)):
            record = put_begun(self._out, [item.mask for item in block])
            self._left[record] = {item.path for item in block}
            self._record_of.update(dict.fromkeys(self._left[record], record))
            yield from block

    def add(self, entry: Entry) -> None:
        """Write down an entry, with others or after a while."""
        self._entries.append(entry)
        if len(self._entries) >= _BLOCK or time.monotonic() - self._since > _LONGEST:
            self.write()

    def write(self) -> None:
        """Write down what there is.

        Raises:
            OutputError: nothing can be written.
        """
        entries, self._entries, self._since = self._entries, [], time.monotonic()
        if entries:
            put_journal(self._out, entries)
        for entry in entries:
            record = self._record_of.pop(entry.path)
            left = self._left[record]
            left.discard(entry.path)
            if not left:
                del self._left[record]
                self._out.remove(record)


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]

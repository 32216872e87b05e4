"""What a page edits: the classes file, saved whole or not at all, and the masks that it is applied to."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from stego_cli.class_edits import ClassEdit, ClassEdits
from stego_cli.classes_toml import parse_classes_file, parse_colour, write_classes_file
from stego_cli.errors import StegoError, UsageError
from stego_cli.gallery.build import edits_as_json, write_classes_data
from stego_cli.images.atomic import write_bytes
from stego_cli.progress import Progress, Quiet, Stage
from stego_cli.text import shown

_GLANCE = 0.1  # seconds between two looks at whether it has ended


class EditedMasks(Protocol):
    """The masks that a page's edits are about."""

    def edits(self) -> ClassEdits:
        """Return the edits that the masks have."""

    def check(self, edits: ClassEdits) -> None:
        """Refuse edits that the masks cannot follow.

        Raises:
            UsageError: they cannot.
        """

    def apply(self, progress: Progress) -> str:
        """Change the masks by the classes file, and the gallery with them; return in a line what was done.

        Raises:
            StegoError: it did not go, or not to the end.
        """


@dataclass
class _Applying:
    """How far the masks are changed; the last of it stays until it begins again."""

    running: bool = False
    stage: str = ""
    done: int = 0
    total: int | None = None
    said: str = ""
    error: str = ""


class _Reported(Quiet):
    """A `Progress`, and its own stage, that a page can ask for."""

    def __init__(self, state: _Applying) -> None:
        self._state = state

    @contextmanager
    def stage(self, title: str, total: int | None, unit: str = "") -> Iterator[Stage]:
        """Count for the page."""
        self._state.stage, self._state.done, self._state.total = title, 0, total
        yield self

    def advance(self, steps: int = 1, **figures: object) -> None:
        """Count `steps` as done."""
        self._state.done += steps


class ClassesStore:
    """The classes file that a page edits; threads may use it at the same time.

    Args:
        file: the classes file; it need not exist.
        gallery: the folder of the page, whose own copy follows.
        edits: what the file holds, or what there is without it.
        masks: of which the edits are.
        saved: told of the edits after each save.
    """

    def __init__(
        self, file: Path, gallery: Path, edits: ClassEdits, masks: EditedMasks, saved: Callable[[ClassEdits], None]
    ) -> None:
        self._file, self._gallery, self._edits = file, gallery, edits
        self._masks, self._saved = masks, saved
        self._lock = threading.Lock()
        self._applying = _Applying()
        self._digest = self._on_disk()

    def read(self) -> dict[str, Any]:
        """Return the edits and the digest that a save has to name."""
        with self._lock:
            return {
                "edits": edits_as_json(self._edits),
                "applied": edits_as_json(self._masks.edits()),
                "digest": self._digest,
                "file": shown(self._file.absolute()),
            }

    @property
    def waiting(self) -> bool:
        """Whether there are edits that the masks do not have yet."""
        with self._lock:
            return self._edits != self._masks.edits()

    def save(self, content: object) -> dict[str, Any]:
        """Save edits that a page sends, {"edits", "digest"}; return what `read` does.

        Raises:
            UsageError: they are wrong, or the file was changed by something else since the page was loaded.
            OutputError: it cannot be written.
        """
        if not isinstance(content, dict) or not isinstance(content.get("digest"), str):
            raise UsageError("The request is not of this page.")
        edits = parse_edits(content.get("edits"))
        with self._lock:
            if edits.found != self._edits.found:
                raise UsageError(f"There are {self._edits.found} classes, not {edits.found}.")
            if self._applying.running:
                raise UsageError("The edits are being applied.", "Wait for that.")
            self._masks.check(edits)
            if content["digest"] != self._digest or self._on_disk() != self._digest:
                raise UsageError(f"{shown(self._file)} was changed elsewhere.", "Load the page again.")
            write_bytes(self._file, write_classes_file(edits).encode())
            self._edits, self._digest = edits, self._on_disk()
            write_classes_data(self._gallery, edits, self._masks.edits())
            self._saved(edits)
        return self.read()

    def apply(self, content: object) -> dict[str, Any]:
        """Begin to change the masks by the file, as a page asks with {"digest"}; return what `applying` does.

        Raises:
            UsageError: it is not the file that the page knows, or it is being applied already.
        """
        if not isinstance(content, dict) or not isinstance(content.get("digest"), str):
            raise UsageError("The request is not of this page.")
        with self._lock:
            if self._applying.running:
                raise UsageError("The edits are being applied already.")
            if not self._file.exists():
                raise UsageError("There are no edits to apply.")
            if content["digest"] != self._digest or self._on_disk() != self._digest:
                raise UsageError(f"{shown(self._file)} was changed elsewhere.", "Load the page again.")
            self._applying = _Applying(running=True)
            threading.Thread(target=self._apply, args=(self._applying,)).start()
        return self.applying()

    def applying(self) -> dict[str, Any]:
        """Return how far it is: {"running", "stage", "done", "total", "said", "error"}."""
        return asdict(self._applying)

    def wait(self) -> None:
        """Return when nothing is being applied."""
        while self._applying.running:
            time.sleep(_GLANCE)

    def _apply(self, state: _Applying) -> None:
        try:
            state.said = self._masks.apply(_Reported(state))
            with self._lock:
                self._edits = self._masks.edits()
        except StegoError as error:
            state.error = " ".join(error.told()).strip()
        except Exception as error:
            state.error = f"{type(error).__name__}: {error}"
            raise
        finally:
            state.running = False

    def _on_disk(self) -> str:
        try:
            return hashlib.sha256(self._file.read_bytes()).hexdigest()
        except OSError:
            return "none"


def parse_edits(content: object) -> ClassEdits:
    """Return the edits that `edits_as_json` made JSON of.

    Raises:
        UsageError: they are no edits, or contradict themselves.
    """
    try:
        if not isinstance(content, dict) or set(content) - {"split"} != {"found", "drop", "class"}:
            raise ValueError("found, drop and class are needed")
        classes = {}
        for number, fields in content["class"].items():
            if not set(fields) <= {"name", "colour", "joins", "value"}:
                raise ValueError("a class has a name, a colour, joins and a value")
            colour = parse_colour(fields["colour"]) if "colour" in fields else None
            if "colour" in fields and colour is None:
                raise ValueError("a colour is #rrggbb")
            name, value = fields.get("name"), fields.get("value")
            if not isinstance(name, str | None) or not isinstance(value, int | None) or isinstance(value, bool):
                raise ValueError("a name is text and a value a number")
            classes[int(number)] = ClassEdit(name, colour, _numbers(fields.get("joins", [])), value)
        (found,) = _numbers([content["found"]])
        pairs = [_numbers(pair) for pair in content.get("split", [])]
        edits = ClassEdits(found, classes, _numbers(content["drop"]), tuple((number, into) for number, into in pairs))
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"The request holds no edits of classes: {error}.") from error
    return parse_classes_file(write_classes_file(edits), "The request")  # what is saved can be read again


def _numbers(content: object) -> tuple[int, ...]:
    if not isinstance(content, list) or any(type(each) is not int for each in content):
        raise ValueError("numbers of classes are needed")
    return tuple(content)

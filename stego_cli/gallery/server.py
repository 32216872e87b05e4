"""Serves a gallery on this machine alone, and saves the edits that its page sends.

The address has a token; a request without it, for another host, from another page, or for a file outside the gallery
is answered with 403 and changes nothing. Edits are checked like a classes file and saved whole or not at all.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from stego_cli.class_edits import ClassEdit, ClassEdits
from stego_cli.classes_toml import parse_classes_file, parse_colour, write_classes_file
from stego_cli.errors import OutputError, StegoError, UsageError, setting
from stego_cli.gallery.build import PAGE, edits_as_json, write_classes_data
from stego_cli.images.atomic import write_bytes
from stego_cli.text import shown
from stego_cli.version import __version__

_HOST = "127.0.0.1"
_LARGEST = 1_000_000  # bytes of a request's body
_API = "api/classes"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".jpg": "image/jpeg",
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class ClassesStore:
    """The classes file that a page edits; threads may use it at the same time.

    Args:
        file: the classes file; it need not exist.
        gallery: the folder of the page, whose own copy follows.
        edits: what the file holds, or what there is without it.
        check: raises UsageError for edits that the masks cannot follow.
        saved: told of the edits after each save.
    """

    def __init__(
        self,
        file: Path,
        gallery: Path,
        edits: ClassEdits,
        check: Callable[[ClassEdits], object],
        saved: Callable[[ClassEdits], None],
    ) -> None:
        self._file, self._gallery, self._edits = file, gallery, edits
        self._check, self._saved = check, saved
        self._lock = threading.Lock()
        self._digest = self._on_disk()

    def read(self) -> dict[str, Any]:
        """Return the edits and the digest that a save has to name."""
        with self._lock:
            return {"edits": edits_as_json(self._edits), "digest": self._digest, "file": shown(self._file)}

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
            self._check(edits)
            if content["digest"] != self._digest or self._on_disk() != self._digest:
                raise UsageError(f"{shown(self._file)} was changed elsewhere.", "Load the page again.")
            write_bytes(self._file, write_classes_file(edits).encode())
            self._edits, self._digest = edits, self._on_disk()
            write_classes_data(self._gallery, edits)
            self._saved(edits)
        return self.read()

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


class GalleryServer(ThreadingHTTPServer):
    """A server of one gallery, on 127.0.0.1 alone.

    Args:
        gallery: the folder.
        store: of the edits.
        port: 0 for any that is free.

    Attributes:
        address: that a browser is to open; it has the token.

    Raises (when built):
        UsageError: the port is taken, or may not be used.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, gallery: Path, store: ClassesStore, port: int = 0) -> None:
        self.gallery, self.store = gallery.resolve(), store
        self.token = secrets.token_urlsafe(24)
        try:
            super().__init__((_HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(
                f"Port {port} of {_HOST} cannot be used: {reason}.", f"Give another {setting('port')}."
            ) from error
        self.hosts = {f"{name}:{self.server_port}" for name in (_HOST, "localhost")}
        self.address = f"http://{_HOST}:{self.server_port}/{self.token}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a browser that goes away in the middle of an answer is no error."""


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    server: GalleryServer
    server_version = f"stego/{__version__}"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        """Answer with a file of the gallery, or with the edits."""
        path = self._path()
        if path is None:
            self._refuse()
        elif path == _API:
            self._json(HTTPStatus.OK, self.server.store.read())
        else:
            self._file(path or PAGE)

    def do_HEAD(self) -> None:
        """Answer like GET, without the content."""
        self.do_GET()

    def do_PUT(self) -> None:
        """Save edits."""
        content = self._body()
        if self._path() != _API or self.headers.get_content_type() != "application/json" or content is None:
            self._refuse()
            return
        try:
            self._json(HTTPStatus.OK, self.server.store.save(json.loads(content)))
        except OutputError as error:
            self._json(HTTPStatus.INSUFFICIENT_STORAGE, {"error": error.message})
        except StegoError as error:
            self._json(HTTPStatus.CONFLICT, {"error": " ".join(error.told()).strip()})
        except (ValueError, RecursionError):
            self._json(HTTPStatus.BAD_REQUEST, {"error": "The request is not JSON."})

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):  # every other method
            return self._refuse
        raise AttributeError(name)

    def _path(self) -> str | None:
        """Return the path below the token, or None if the request is not from this page."""
        if self.headers.get("Host") not in self.server.hosts:  # a name that somebody made lead to 127.0.0.1
            return None
        origin = self.headers.get("Origin")
        if origin is not None and origin not in {f"http://{host}" for host in self.server.hosts}:
            return None
        if self.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            return None
        token, slash, path = urlsplit(self.path).path.removeprefix("/").partition("/")
        if not slash or not hmac.compare_digest(token.encode(), self.server.token.encode()):
            return None
        return unquote(path)

    def _body(self) -> bytes | None:
        """Return the request's body, or None if it has none of a stated and reasonable length."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _LARGEST:
            self.close_connection = True
            return None
        return self.rfile.read(int(length))

    def _file(self, path: str) -> None:
        gallery = self.server.gallery
        try:
            file = (gallery / path).resolve()
            hidden = any(part.startswith(".") for part in file.relative_to(gallery).parts)
            content = None if hidden or file.suffix not in _TYPES else file.read_bytes()
        except (OSError, ValueError):  # outside, missing, or no path at all
            content = None
        if content is None:
            self._refuse()
        else:
            self._send(HTTPStatus.OK, content, _TYPES[file.suffix])

    def _refuse(self) -> None:
        self.close_connection = True  # a body that was not read would be taken for the next request
        self._send(HTTPStatus.FORBIDDEN, b"Forbidden\n", "text/plain; charset=utf-8")

    def _json(self, status: HTTPStatus, content: object) -> None:
        self._send(status, json.dumps(content).encode(), "application/json")

    def _send(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name in http.server)
        """Say nothing: the address has the token."""

"""Serves a gallery on this machine alone, and saves the edits that its page sends.

The address has a token; a request without it, for another host, from another page, or for a file outside the gallery
is answered with 403 and changes nothing. Edits are checked like a classes file and saved whole or not at all.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from stego_cli.errors import OutputError, StegoError, UsageError, setting
from stego_cli.gallery.build import PAGE
from stego_cli.gallery.edits_store import ClassesStore
from stego_cli.version import __version__

_HOST = "127.0.0.1"
_LARGEST = 1_000_000  # bytes of a request's body
_API = "api/classes"
_APPLY = "api/apply"
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
        elif path == _APPLY:
            self._json(HTTPStatus.OK, self.server.store.applying())
        else:
            self._file(path or PAGE)

    def do_HEAD(self) -> None:
        """Answer like GET, without the content."""
        self.do_GET()

    def do_PUT(self) -> None:
        """Save edits."""
        self._answer(_API, self.server.store.save)

    def do_POST(self) -> None:
        """Apply the edits that were saved."""
        self._answer(_APPLY, self.server.store.apply)

    def _answer(self, path: str, work: Callable[[object], dict[str, Any]]) -> None:
        content = self._body()
        if self._path() != path or self.headers.get_content_type() != "application/json" or content is None:
            self._refuse()
            return
        try:
            self._json(HTTPStatus.OK, work(json.loads(content)))
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

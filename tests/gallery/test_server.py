"""The page's server: who may ask, what is saved, and what is refused with nothing changed."""

from __future__ import annotations

import http.client
import json
import queue
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stego_cli.class_edits import ClassEdits
from stego_cli.class_operations import joined, renamed, transition
from stego_cli.classes_toml import read_classes, write_classes_file
from stego_cli.errors import UsageError
from stego_cli.gallery.build import edits_as_json
from stego_cli.gallery.edits_store import ClassesStore, parse_edits
from stego_cli.gallery.server import GalleryServer
from stego_cli.progress import Progress, Quiet
from stego_cli.stop import Stop
from stego_cli.tasks.classes import applied, edit_classes
from stego_cli.tasks.gallery import GallerySettings, make_gallery, serve_gallery

SIX = ClassEdits(6)


class Masks:
    """Masks in which 0 and 1 were joined; to apply edits to them waits to be told how it ends."""

    def __init__(self) -> None:
        self.now, self.end = joined(SIX, [0, 1]), queue.Queue[object]()

    def edits(self) -> ClassEdits:
        return self.now

    def check(self, edits: ClassEdits) -> None:
        transition(self.now, edits)

    def apply(self, progress: Progress) -> str:
        with progress.stage("Changing masks", 3) as stage:
            stage.advance(2)
            end = self.end.get()
        if isinstance(end, Exception):
            raise end
        self.now = end
        return "Applied."


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GalleryServer]:
    gallery = tmp_path / "gallery"
    (gallery / "data").mkdir(parents=True)
    (gallery / ".stego").mkdir()
    (gallery / "index.html").write_text("<!doctype html>page")
    (gallery / "notes.txt").write_text("not of a known kind")
    (gallery / ".stego" / "secret.js").write_text("hidden")
    (tmp_path / "outside.js").write_text("outside")
    (gallery / "link.js").symlink_to(tmp_path / "outside.js")
    saved: list[ClassEdits] = []
    store = ClassesStore(tmp_path / "classes.toml", gallery, SIX, Masks(), saved.append)
    with GalleryServer(gallery, store) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server: GalleryServer, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    content = body if isinstance(body, str | None) else json.dumps(body)
    kind = {"Content-Type": "application/json"} if method in ("PUT", "POST") else {}
    path = path.replace("TOKEN", server.token)
    connection.request(method, path, content, {**kind, **{k.replace("_", "-"): v for k, v in headers.items()}})
    answer = connection.getresponse()
    result = answer.status, answer.read()
    connection.close()
    return result


def edit(server: GalleryServer, edits: ClassEdits, digest: str = "none") -> dict[str, object]:
    return {"edits": edits_as_json(edits), "digest": digest}


JOINED = renamed(joined(SIX, [0, 1, 2]), {3: "sky"})


def test_the_page_is_served_to_who_has_the_token(server):
    for path in ("/TOKEN/", "/TOKEN/index.html", "/TOKEN/index.html?x=1"):
        assert ask(server, "GET", path) == (200, b"<!doctype html>page")
    assert ask(server, "HEAD", "/TOKEN/") == (200, b"")
    assert server.address.startswith("http://127.0.0.1:")
    assert len(server.token) >= 32


def test_edits_are_saved_at_once_and_the_page_that_needs_no_server_follows(server, tmp_path):
    status, answer = ask(server, "PUT", "/TOKEN/api/classes", edit(server, JOINED))
    assert status == 200
    assert read_classes(tmp_path / "classes.toml") == JOINED
    assert json.loads(answer) == json.loads(ask(server, "GET", "/TOKEN/api/classes")[1])
    data = (tmp_path / "gallery/data/classes.js").read_text()
    kept = json.loads(data.removeprefix('stegoData("classes",').removesuffix(");\n"))
    assert kept == {key: json.loads(answer)[key] for key in ("edits", "applied")}
    assert kept["applied"] == json.loads(json.dumps(edits_as_json(joined(SIX, [0, 1]))))
    again = edit(server, renamed(JOINED, {4: "water"}), json.loads(answer)["digest"])
    assert ask(server, "PUT", "/TOKEN/api/classes", again)[0] == 200
    assert read_classes(tmp_path / "classes.toml").names[4] == "water"


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/", {}),
        ("GET", "/index.html", {}),
        ("GET", "/api/classes", {}),
        ("GET", "/wrong/", {}),
        ("GET", "/TOKEN", {}),
        ("GET", "/TOKENx/", {}),
        ("GET", "/TOKEN/../outside.js", {}),
        ("GET", "/TOKEN/%2e%2e/outside.js", {}),
        ("GET", "/TOKEN/..%2foutside.js", {}),
        ("GET", "/TOKEN//etc/passwd", {}),
        ("GET", "/TOKEN/%00", {}),
        ("GET", "/TOKEN/link.js", {}),
        ("GET", "/TOKEN/notes.txt", {}),
        ("GET", "/TOKEN/.stego/secret.js", {}),
        ("GET", "/TOKEN/missing.js", {}),
        ("GET", "/TOKEN/data", {}),
        ("GET", "/TOKEN/", {"Host": "evil.example"}),
        ("GET", "/TOKEN/", {"Host": "127.0.0.1"}),
        ("GET", "/TOKEN/", {"Origin": "http://evil.example"}),
        ("GET", "/TOKEN/", {"Origin": "null"}),
        ("GET", "/TOKEN/api/classes", {"Sec_Fetch_Site": "cross-site"}),
        ("PUT", "/api/classes", {}),
        ("PUT", "/wrong/api/classes", {}),
        ("PUT", "/TOKEN/index.html", {}),
        ("PUT", "/TOKEN/api/classes", {"Origin": "http://evil.example"}),
        ("PUT", "/TOKEN/api/classes", {"Origin": "http://127.0.0.1:1"}),
        ("PUT", "/TOKEN/api/classes", {"Host": "evil.example"}),
        ("PUT", "/TOKEN/api/classes", {"Content_Type": "text/plain"}),
        ("PUT", "/TOKEN/api/classes", {"Content_Length": "2000000"}),
        ("POST", "/TOKEN/api/classes", {}),
        ("POST", "/api/apply", {}),
        ("POST", "/wrong/api/apply", {}),
        ("POST", "/TOKEN/api/apply", {"Origin": "http://evil.example"}),
        ("POST", "/TOKEN/api/apply", {"Host": "evil.example"}),
        ("POST", "/TOKEN/api/apply", {"Sec_Fetch_Site": "cross-site"}),
        ("POST", "/TOKEN/api/apply", {"Content_Type": "text/plain"}),
        ("PUT", "/TOKEN/api/apply", {}),
        ("GET", "/api/apply", {}),
        ("DELETE", "/TOKEN/api/classes", {}),
        ("OPTIONS", "/TOKEN/api/classes", {}),
    ],
)
def test_everything_else_is_forbidden_and_nothing_changes(server, tmp_path, method, path, headers):
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    headers = {"Content_Type": "application/json", **headers} if method in ("PUT", "POST") else headers
    body = edit(server, JOINED) if method in ("PUT", "POST") and "Content_Length" not in headers else None
    status, content = ask(server, method, path, body, **headers)
    assert (status, content) == (403, b"Forbidden\n")
    assert before == {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("nonsense", 400, "not JSON"),
        ("[" * 100_000, 400, "not JSON"),
        ([], 409, "not of this page"),
        ({"edits": {}, "digest": "none"}, 409, "found, drop and class"),
        ({"edits": edits_as_json(ClassEdits(5)), "digest": "none"}, 409, "There are 6 classes"),
        ({"edits": edits_as_json(SIX), "digest": "none"}, 409, "cannot tell them apart"),
        ({"edits": edits_as_json(JOINED), "digest": "other"}, 409, "changed elsewhere"),
        ({"edits": {"found": 6, "drop": [9], "class": {}}, "digest": "none"}, 409, "no class 9"),
        ({"edits": {"found": 6, "drop": [], "class": {"0": {"joins": [1, 2, 3, 4, 5]}}}, "digest": "none"}, 409, "one"),
        ({"edits": {"found": 6, "drop": [], "class": {"0": {"name": 3}}}, "digest": "none"}, 409, "a name is text"),
        ({"edits": {"found": 6, "drop": [], "class": {"0": {"name": "void"}}}, "digest": "none"}, 409, "void"),
        ({"edits": {"found": 6, "drop": [], "class": {"0": {"colour": "red"}}}, "digest": "none"}, 409, "#rrggbb"),
        ({"edits": {"found": 6, "drop": [], "class": {"0": {"x": 1}}}, "digest": "none"}, 409, "a class has a name"),
        ({"edits": {"found": 6, "drop": [], "class": {"x": {"joins": []}}}, "digest": "none"}, 409, "no edits"),
        ({"edits": {"found": True, "drop": [], "class": {}}, "digest": "none"}, 409, "numbers of classes"),
    ],
)
def test_wrong_edits_are_refused_with_the_reason_and_nothing_changes(server, tmp_path, body, status, said):
    got, answer = ask(server, "PUT", "/TOKEN/api/classes", body)
    assert got == status
    assert said in json.loads(answer)["error"]
    assert not (tmp_path / "classes.toml").exists()


def test_a_file_that_was_changed_by_hand_is_not_overwritten(server, tmp_path):
    text = write_classes_file(renamed(SIX, {5: "by hand"}))
    (tmp_path / "classes.toml").write_text(text)
    status, answer = ask(server, "PUT", "/TOKEN/api/classes", edit(server, JOINED))
    assert status == 409
    assert "changed elsewhere" in json.loads(answer)["error"]
    assert (tmp_path / "classes.toml").read_text() == text


def test_it_listens_on_this_machine_alone_and_a_taken_port_is_refused(server):
    assert server.server_address[0] == "127.0.0.1"
    others = {address[4][0] for address in socket.getaddrinfo(socket.gethostname(), None)} - {"127.0.0.1", "::1"}
    for address in others:
        with pytest.raises((ConnectionError, TimeoutError)):
            socket.create_connection((address, server.server_port), timeout=2)
    with pytest.raises(UsageError, match="cannot be used"):
        GalleryServer(server.gallery, server.store, server.server_port)


def test_edits_survive_the_way_to_the_page_and_back():
    assert parse_edits(json.loads(json.dumps(edits_as_json(JOINED)))) == JOINED


def settled(server: GalleryServer) -> dict[str, object]:
    server.store.wait()
    return json.loads(ask(server, "GET", "/TOKEN/api/apply")[1])


def test_edits_are_applied_while_the_page_asks_how_far_it_is(server):
    masks = server.store._masks  # what it was built with
    digest = json.loads(ask(server, "PUT", "/TOKEN/api/classes", edit(server, JOINED))[1])["digest"]
    assert ask(server, "POST", "/TOKEN/api/apply", {"digest": "other"})[0] == 409
    status, answer = ask(server, "POST", "/TOKEN/api/apply", {"digest": digest})
    assert (status, json.loads(answer)["running"]) == (200, True)
    for method, path, body in (
        ("POST", "/TOKEN/api/apply", {"digest": digest}),
        ("PUT", "/TOKEN/api/classes", edit(server, renamed(JOINED, {4: "water"}), digest)),
    ):
        status, answer = ask(server, method, path, body)
        assert (status, "being applied" in json.loads(answer)["error"]) == (409, True)
    masks.end.put(JOINED)
    assert settled(server) == {
        "running": False,
        "stage": "Changing masks",
        "done": 2,
        "total": 3,
        "said": "Applied.",
        "error": "",
    }
    assert json.loads(ask(server, "GET", "/TOKEN/api/classes")[1])["applied"] == json.loads(
        json.dumps(edits_as_json(JOINED))
    )
    ask(server, "POST", "/TOKEN/api/apply", {"digest": digest})
    masks.end.put(UsageError("The photographs are gone.", "Put them back."))
    assert settled(server)["error"] == "The photographs are gone. Put them back."
    assert ask(server, "PUT", "/TOKEN/api/classes", edit(server, renamed(JOINED, {4: "water"}), digest))[0] == 200


def test_after_serving_it_is_known_whether_edits_wait_for_the_masks(make_masks):
    masks = make_masks(["a.jpg", "b.jpg"])
    settings = GallerySettings(masks)
    make_gallery(settings, Quiet(), Stop())

    def edits_wait() -> bool:
        stop = Stop()
        return serve_gallery(settings, lambda _: setattr(stop, "requested", 2), Quiet(), stop)

    assert not edits_wait()
    (masks / "classes.toml").write_text(write_classes_file(renamed(ClassEdits(6), {1: "sky"})))
    assert edits_wait()
    edit_classes(masks, applied(masks / "classes.toml"), Quiet(), Stop())
    assert not edits_wait()

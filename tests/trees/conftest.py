"""Small photographs of plain colours, and a server that is like S3."""

import io

import numpy as np
import pytest
from moto.server import ThreadedMotoServer
from PIL import Image

COLOURS = {"red": (250, 20, 20), "green": (20, 250, 20), "blue": (20, 20, 250), "dark": (10, 10, 10)}


def picture(name, plugin="PNG"):
    """A photograph of one colour with a dark corner, as bytes."""
    pixels = np.full((60, 80, 3), COLOURS[name], np.uint8)
    pixels[:20, :20] = 0
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, plugin)
    return stream.getvalue()


@pytest.fixture(scope="session")
def pictures():
    """Six photographs by path; two of them have claims to one mask."""
    return {
        "red.png": picture("red"),
        "a/green.png": picture("green"),
        "a/green.jpg": picture("green", "JPEG"),
        "a/b c/blue+1.png": picture("blue"),
        "a/b c/größe.png": picture("red"),
        "dark.png": picture("dark"),
    }


@pytest.fixture(scope="session")
def expected(pictures, tmp_path_factory, tiny_model):
    """The masks of a run over a folder with these photographs."""
    from stego_cli import segment

    photos, out = tmp_path_factory.mktemp("photos"), tmp_path_factory.mktemp("masks")
    for path, content in pictures.items():
        (photos / path).parent.mkdir(parents=True, exist_ok=True)
        (photos / path).write_bytes(content)
    segment(photos, out=out, model=tiny_model, crf=False)
    return {file.relative_to(out).as_posix(): file.read_bytes() for file in out.glob("**/*.png")}


@pytest.fixture(scope="session")
def server():
    """The address of a server that is like S3."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(server, monkeypatch):
    """A file system of fsspec on that server, with the credentials in the environment, as a user has them."""
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    return s3fs.S3FileSystem(use_listings_cache=False)

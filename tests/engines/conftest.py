"""Photographs that take a worker a while, and a cluster."""

import pytest
from PIL import Image

from tests.support.ray_cluster import two_machines


@pytest.fixture(scope="module")
def ray_address(tmp_path_factory):
    """The address of a cluster of two machines."""
    with two_machines(tmp_path_factory.mktemp("ray") / "log") as address:
        yield address


@pytest.fixture(scope="module")
def slow_photos(tmp_path_factory, photos_folder):
    """Eight photographs and a broken one in two folders; with `--res 560` and the CRF they take a while."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "below").mkdir()
    with Image.open(photos_folder / "lake.jpg") as lake:
        for index in range(8):
            place = folder / "below" if index % 2 else folder
            lake.crop((20 * index, 0, 20 * index + 160, 160)).save(place / f"{index}.png")
    (folder / "bad.png").write_bytes(b"no picture")
    return folder

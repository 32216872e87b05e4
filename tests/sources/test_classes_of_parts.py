"""What the gallery and edits of classes do with the masks of rasters, stacks and videos."""

from __future__ import annotations

import pytest
from PIL import Image

from tests.sources.conftest import COLOURS, fields, write_raster


@pytest.fixture
def masks(tmp_path, segment):
    """The masks of a raster and a photograph."""
    (tmp_path / "in").mkdir()
    write_raster(tmp_path / "in/town.tif", fields(56, 84, 20))
    Image.fromarray(COLOURS[fields(56, 84, 20)]).save(tmp_path / "in/photo.png")
    assert segment(tmp_path / "in", tmp_path / "masks").returncode == 0
    return tmp_path / "masks"


def test_a_gallery_shows_the_photographs_and_says_what_it_leaves_out(masks, stego):
    result = stego("gallery", masks)
    assert result.returncode == 0, result.stderr
    assert "Left out: 1 masks of rasters, stacks and videos" in " ".join(result.stderr.split())


def test_a_gallery_of_rasters_alone_is_refused_with_what_to_do(tmp_path, segment, stego):
    write_raster(tmp_path / "town.tif", fields(56, 84, 20))
    assert segment(tmp_path / "town.tif", tmp_path / "masks").returncode == 0
    result = stego("gallery", tmp_path / "masks")
    assert result.returncode == 2
    assert "`stego classes ... --to MODEL`" in " ".join(result.stderr.split())
    assert not (tmp_path / "masks-gallery").exists()


def test_classes_are_named_in_such_masks_and_no_pixel_is_changed(masks, stego):
    before = {file: file.read_bytes() for file in masks.glob("*.*") if file.is_file()}
    assert stego("classes", "name", "0=roof", "--to", masks).returncode == 0
    result = stego("classes", "join", "1,2", "--to", masks)
    assert result.returncode == 2
    assert "town.tif" in result.stderr
    assert "segment again with it" in " ".join(result.stderr.split())
    assert {file: file.read_bytes() for file in before} == before
    assert "roof" in stego("classes", "list", "--to", masks).stdout

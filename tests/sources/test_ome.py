"""OME-TIFFs, as the usual library writes them: the pages are read in their order, and known by their place."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageSequence

from stego_cli.part_settings import PartSettings
from stego_cli.reading import Reading
from stego_cli.sources.source import Asked
from stego_cli.sources.stacks import StackSource
from tests.sources.conftest import COLOURS

HEIGHT, WIDTH = 56, 84  # whole patches of the tiny model


def opened(file):
    return StackSource(Asked(file, file.name, 56, 14, Reading(), PartSettings()))


@pytest.mark.parametrize(
    ("axes", "places"),
    [
        ("TZCYX", [(t, z, c) for t in range(2) for z in range(3) for c in range(2)]),
        ("TCZYX", [(t, z, c) for t in range(2) for c in range(2) for z in range(3)]),
        ("CZTYX", [(t, z, c) for c in range(2) for z in range(3) for t in range(2)]),
    ],
)
def test_slices_are_called_by_channel_depth_and_time_in_the_order_of_the_pages(tmp_path, axes, places):
    sizes = {"T": 2, "Z": 3, "C": 2, "Y": HEIGHT, "X": WIDTH}
    values = np.zeros([sizes[axis] for axis in axes], np.uint8)
    for t, z, c in places:  # each page has a grey of its own, by its place
        values[tuple({"T": t, "Z": z, "C": c}.get(axis, slice(None)) for axis in axes)] = 10 + 100 * t + 30 * z + 15 * c
    file = tmp_path / "cells.ome.tif"
    about = {"axes": axes, "Channel": {"Name": ["DAPI", "GFP"]}}
    tifffile.imwrite(file, values, ome=True, metadata=about, photometric="minisblack")
    with opened(file) as source:
        assert source.notes == ["cells.ome.tif: a stack of 12 slices: 2 channels (DAPI, GFP) x 3 depths x 2 times."]
        wanted = [f"slice={index},C={c},Z={z},T={t}" for index, (t, z, c) in enumerate(places)]
        assert list(source.keys()) == wanted
        greys = [int(source.decode(key).pixels[0, 0, 0]) for key in wanted]
        assert greys == [10 + 100 * t + 30 * z + 15 * c for t, z, c in places]


def test_colours_of_a_page_are_no_channels_and_the_mask_says_which_slice_is_which(segment, tmp_path):
    labels = np.stack([np.full((HEIGHT, WIDTH), value, np.uint8) for value in (2, 0, 1)])
    file = tmp_path / "cells.ome.tif"
    tifffile.imwrite(file, COLOURS[labels], ome=True, metadata={"axes": "ZYXS"}, photometric="rgb", tile=(16, 16))
    result = segment(file, tmp_path / "masks", "--json")
    assert result.returncode == 0, result.stderr
    assert "a stack of 3 slices: 3 depths" in result.stderr
    events = [json.loads(line) for line in result.stdout.splitlines()]
    parts = {event["path"] for event in events if event["event"] == "part"}
    assert parts == {f"cells.ome.tif#slice={z},Z={z}" for z in range(3)}
    with Image.open(tmp_path / "masks/cells.ome.tif") as mask:
        found = [(page.tag_v2[285], np.asarray(page).max()) for page in ImageSequence.Iterator(mask)]
    assert found == [("slice=0,Z=0", 2), ("slice=1,Z=1", 0), ("slice=2,Z=2", 1)]


@pytest.mark.parametrize("broken", ["<OME", "<!DOCTYPE x [<!ENTITY y 'z'>]><OME/>", "<OME><Pixels/></OME>", "<OMEN/>"])
def test_pages_whose_xml_is_broken_are_slices_all_the_same(tmp_path, broken):
    file = tmp_path / "cells.ome.tif"
    tifffile.imwrite(
        file, np.zeros((3, HEIGHT, WIDTH), np.uint8), photometric="minisblack", description=broken, metadata=None
    )
    with opened(file) as source:
        assert list(source.keys()) == ["slice=0", "slice=1", "slice=2"]

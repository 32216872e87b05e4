"""Parts of files that are cut short beside the pixels, and a compression that is named instead of tried."""

import struct
import zlib

import numpy as np
import pytest

from stego_cli.errors import PhotoError
from stego_cli.images.decode import decode_whole
from tests.support import pictures


@pytest.mark.parametrize("segment", [b"\xff\xee\0\x07Adobe", b"\xff\xe0\0\x06JFIF", b"\xff\xe0\0\x07JFIF\0"])
def test_a_marker_of_colours_that_is_cut_short_never_costs_the_pixels(segment):
    content = pictures.jpeg(pictures.scene())
    assert np.array_equal(decode_whole(content[:2] + segment + content[2:]), decode_whole(content))


def test_a_transparency_that_is_cut_short_never_costs_the_pixels(all_samples):
    content = all_samples["png"]
    chunk = b"\0\0\0\0tRNS" + struct.pack(">I", zlib.crc32(b"tRNS"))
    assert np.array_equal(decode_whole(content[:33] + chunk + content[33:]), decode_whole(content))


def test_webp_in_a_tiff_is_refused_by_name_and_libtiff_writes_nothing(all_samples, put, capfd):
    content = all_samples["tiff"]
    at = content.index(struct.pack("<HHIH", 259, 3, 1, 1))
    content = content[: at + 8] + struct.pack("<H", 50001) + content[at + 10 :]
    with pytest.raises(PhotoError, match="compressed with WebP, which is not read"):
        decode_whole(put("a.tif", content))
    assert capfd.readouterr().err == ""

"""TIFFs in every layout: the numbers are those that were stored, whatever the way."""

import io
import itertools
import struct

import numpy as np
import pytest
from PIL import Image

from stego_cli.errors import PhotoError
from stego_cli.images.decode import decode, decode_whole
from stego_cli.images.readers.table import open_any
from stego_cli.images.readers.tiff_tags import pages
from stego_cli.reading import Reading
from tests.support import pictures

TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64")
LAYOUTS = list(
    itertools.product(
        ("stored", "lzw", "deflate", "packbits", "zstd", "lzma"),
        (False, True),
        (None, (16, 32)),
        ("<", ">"),
        (False, True),
    )
)


def numbers(dtype, bands):
    """Return (33, 45, bands) of smooth numbers with some noise, which use a good part of the type."""
    y, x, band = np.mgrid[0:33, 0:45, 0:bands]
    values = (3 * x + 2 * y + 5 * band) % 101 + np.random.default_rng(0).integers(0, 20, x.shape)
    return (values / 120 if dtype.startswith("float") else values).astype(dtype)


def read(content, bands):
    """Return the numbers of the bands, put together from blocks."""
    with open_any(content, bare=True) as picture:
        info = picture.bands.info
        pixels = np.full((info.height, info.width, len(bands)), 77, np.float64)
        seen = np.zeros((info.height, info.width), int)
        for block in picture.bands.blocks(bands):
            place = (
                slice(block.top, block.top + block.numbers.shape[0]),
                slice(block.left, block.left + block.numbers.shape[1]),
            )
            pixels[place], seen[place] = block.numbers, seen[place] + 1
        assert (seen == 1).all()
        return pixels


@pytest.mark.parametrize("dtype", TYPES)
def test_the_numbers_are_those_that_were_stored(dtype):
    for index, (compression, apart, tile, order, big) in list(enumerate(LAYOUTS))[TYPES.index(dtype) % 4 :: 4]:
        bands = 1 + index % 5
        stored = numbers(dtype, bands)
        predictor = 1 if index % 3 else 3 if dtype.startswith("float") else 2
        content = pictures.tiff(
            stored,
            compression=compression,
            predictor=predictor,
            apart=apart,
            tile=tile,
            rows=index % 14,
            order=order,
            big=big,
        )
        chosen = [bands - 1, 0] if index % 2 else list(range(bands))
        assert (read(content, chosen) == stored[..., chosen]).all(), (compression, apart, tile, order, big)


def test_what_the_tests_write_is_what_pillow_reads(put):
    for order, compression in itertools.product("<>", ("stored", "lzw", "deflate")):
        stored = numbers("uint16", 1)
        file = put("a.tif", pictures.tiff(stored, compression=compression, predictor=2, order=order, rows=5))
        with Image.open(file, formats=("TIFF",)) as image:
            assert (np.asarray(image) == stored[..., 0]).all()


def test_blocks_that_a_raster_leaves_out_are_its_nodata_or_nought():
    stored = numbers("int16", 1)
    for text, value in ((b"-9999\0", -9999), (b"4e9\0", 0), (None, 0)):
        tags = [] if text is None else [(42113, 2, text)]
        content = bytearray(pictures.tiff(stored, tile=(16, 16), tags=tags))
        with Image.open(io.BytesIO(content), formats=("TIFF",)) as image:
            counts = image.tag_v2[325]  # the bytes of each tile
        at = content.index(struct.pack(f"<{len(counts)}I", *counts))
        content[at : at + 4] = bytes(4)
        wanted = stored.copy()
        wanted[:16, :16] = value
        assert (read(bytes(content), [0]) == wanted).all()


@pytest.mark.parametrize("compression", ["stored", "lzw", "deflate", "packbits", "zstd", "lzma"])
@pytest.mark.parametrize("apart", [False, True])
def test_a_raster_that_is_cut_short_is_refused(put, compression, apart):
    content = pictures.tiff(numbers("uint16", 5), compression=compression, apart=apart, rows=8)
    with pytest.raises(PhotoError, match="cut short"):
        decode(put("a.tif", content[: len(content) * 2 // 5] if apart else content[:-40]), 28, 14)


@pytest.mark.parametrize(
    ("bands", "tags", "shows"),
    [
        (2, [], "grey"),  # what the second one is nobody knows
        (2, [(338, 3, [0])], "grey"),
        (4, [(338, 3, [0])], "colours"),  # near infrared, for example
        (5, [(338, 3, [0, 0])], "colours"),
        (7, [], "colours"),
        (2, [(338, 3, [2])], "grey over white"),
        (4, [(338, 3, [2])], "colours over white"),
        (5, [(338, 3, [0, 2])], "colours over white"),
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_extra_bands_are_left_out_and_an_alpha_channel_is_laid_over_white(bands, tags, shows, dtype):
    top = int(np.iinfo(dtype).max)
    stored = np.zeros((20, 20, bands), dtype)
    stored[..., :3] = np.array([top, 0, top // 2])[: min(bands, 3)]
    stored[:, 10:, -1] = 0
    stored[:, :10, -1] = top
    if bands > 2 and "over" not in shows:
        stored[..., 3:] = top // 3
    content = pictures.tiff(stored, tags=tags, photometric=2 if bands > 2 else 1)
    pixels = np.asarray(decode_whole(content, Reading(stretch=f"0,{top}"))).astype(int)
    left, right = pixels[5, 2], pixels[5, 17]
    wanted = [255, 0, 127] if bands > 2 else [255] * 3
    assert np.abs(left - wanted).max() <= 1
    assert np.abs(right - ([255] * 3 if "over" in shows else wanted)).max() <= 1


def test_a_premultiplied_alpha_channel_is_not_multiplied_again():
    stored = np.full((4, 4, 4), 20_000, np.uint16)
    stored[..., 3] = 32_768
    content = pictures.tiff(stored, tags=[(338, 3, [1])])
    pixels = np.asarray(decode_whole(content, Reading(stretch="0,65535")))
    assert pixels[0, 0].tolist() == pytest.approx([20_000 / 257 + 127.5] * 3, abs=1)


def test_white_is_zero_where_the_file_says_so():
    stored = np.array([[[0], [4095]]], np.uint16)
    assert np.asarray(decode_whole(pictures.tiff(stored, photometric=0)))[0, :, 0].tolist() == [255, 0]
    assert np.asarray(decode_whole(pictures.tiff(stored, photometric=1)))[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_a_raster_is_applied(put, orientation):
    pixels = pictures.scene()
    tags = [(274, 3, [orientation]), (42113, 2, b"0\0")]
    file = put("a.tif", pictures.tiff((pixels // 2 + 1).astype(np.int16) * (pixels[..., :1] > 20), tags=tags))
    plain = put("b.tif", pictures.tiff(pixels // 2 + 1, tags=[(274, 3, [orientation])]))
    decoded = decode(file, 112, 14, Reading(stretch="0,255"))
    other = decode(plain, 112, 14)
    assert decoded.size == other.size == ((30, 40) if orientation >= 5 else (40, 30))
    assert decoded.nodata.shape == decoded.size[::-1]
    dark = np.asarray(Image.fromarray(decoded.nodata).resize(decoded.pixels.shape[1::-1]))
    assert np.abs(decoded.pixels.astype(int) - other.pixels)[~dark].mean() < 6
    assert (other.pixels[..., 0][dark] < 24).mean() > 0.9


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ([(259, 3, [34712])], "compressed with JPEG 2000, which is not read"),
        ([(259, 3, [9])], "compressed with method 9, which is not read"),
        ([(258, 3, [16, 16, 16, 8, 16])], "of mixed types"),
        ([(258, 3, [24] * 5)], "5 bands of numbers that are not read"),
        ([(339, 3, [5] * 5)], "5 bands of numbers that are not read"),
        ([(262, 3, [8])], "5 bands of 16 bits .unsigned. in a colour space"),
        ([(317, 3, [9])], "predictor 9, which is not read"),
        ([(257, 4, [0])], "without pixels"),
        ([(277, 3, [0])], "0 bands"),
        ([(278, 2, b"x\0")], "tag 278"),
    ],
)
def test_a_raster_that_is_not_read_is_refused_by_bands_and_type(put, tags, reason):
    content = pictures.tiff(np.zeros((9, 9, 5), np.uint16), compression="deflate", tags=tags)
    with pytest.raises(PhotoError, match=reason):
        decode(put("a.tif", content), 28, 14)


def test_a_chain_of_pages_that_leads_back_into_itself_ends(put):
    content = bytearray(pictures.tiff(pictures.scene(), pages=2))

    def after(directory):
        return directory + 2 + 12 * struct.unpack_from("<H", content, directory)[0]

    second = struct.unpack_from("<I", content, after(8))[0]
    struct.pack_into("<I", content, after(second), 8)
    decoded = decode(put("a.tif", bytes(content)), 28, 14)
    assert decoded.frames == 2


def test_overviews_and_masks_of_a_raster_are_no_further_pictures(put):
    assert decode(put("a.tif", pictures.tiff(pictures.scene(), pages=4, tags=[(254, 4, [0])])), 28, 14).frames == 4
    content = pictures.tiff(pictures.scene(), pages=4, tags=[(254, 4, [1])])
    assert decode(put("b.tif", content), 28, 14).frames == 1


def test_directories_that_overlap_are_not_all_read(put):
    count = 4096
    size = 2 + count * 12 + 4
    content = bytearray(b"II*\0\x08\0\0\0" + bytes(size + 40_000))
    for at in range(8, 40_000, 4):  # each begins four bytes behind the one before, and leads to the next
        struct.pack_into("<H", content, at, count)
        struct.pack_into("<I", content, at + size - 4, at + 4)
    with (put("a.tif", bytes(content))).open("rb") as stream:
        assert sum(1 for _ in pages(stream)) == -(-200_000 // count)


def test_numbers_far_outside_of_the_range_are_black_and_white():
    numbers = np.array([[-8e36, -1, 0, 1e-40, 1, 8e36]])[..., None]
    for dtype in (np.float32, np.float64):
        for stretch, wanted in (("0,1", [0, 0, 0, 0, 255, 255]), ("-1e-38,1e-38", [0, 0, 127, 128, 255, 255])):
            shown = np.asarray(decode_whole(pictures.tiff(numbers.astype(dtype)), Reading(stretch=stretch)))
            assert np.abs(shown[0, :, 0].astype(int) - wanted).max() <= 1

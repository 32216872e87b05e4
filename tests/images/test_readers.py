"""Each format is recognised by its content and read; metadata never costs the pixels; what is not read is named."""

import ast
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stego_cli.errors import PhotoError
from stego_cli.images.decode import decode, decode_whole, photo_size
from stego_cli.images.readers import heif
from stego_cli.images.readers.picture_file import HEAD
from stego_cli.images.readers.table import READERS, SUFFIXES, open_any, open_picture, reader_of
from stego_cli.reading import Reading
from tests.support import pictures

ROOT = Path(__file__).parents[2]
# Of each sample its format, and how far it may be from the scene, in steps of 8 bits. None: it shows no colours.
SAMPLES = {
    "jpeg": ("JPEG", 2), "jpeg-progressive": ("JPEG", 2), "jpeg-grey": ("JPEG", None), "jpeg-cmyk": ("JPEG", 2),
    "mpo": ("JPEG", 2), "png": ("PNG", 0), "png-palette": ("PNG", 8), "png-rgba": ("PNG", 0), "png-16": ("PNG", 1),
    "png-16-grey": ("PNG", None), "png-16-alpha": ("PNG", 1), "apng": ("PNG", 0), "webp": ("WebP", 0),
    "webp-lossy": ("WebP", 4), "webp-moving": ("WebP", 0), "bmp": ("BMP", 0), "gif": ("GIF", 8),
    "gif-moving": ("GIF", 8), "pbm": ("PNM", None), "pgm-16": ("PNM", None), "ppm": ("PNM", 0), "ppm-4095": ("PNM", 0),
    "ppm-plain": ("PNM", 0), "pfm": ("PNM", None), "tiff": ("TIFF", 0), "tiff-jpeg": ("TIFF", 2),
    "tiff-lzw": ("TIFF", 0), "tiff-grey-16": ("TIFF", None), "tiff-rgb-16": ("TIFF", 1), "tiff-tiles": ("TIFF", 1),
    "tiff-apart": ("TIFF", 1), "tiff-big": ("TIFF", 0), "tiff-float": ("TIFF", 0), "tiff-nodata": ("TIFF", 0),
    "tiff-pages": ("TIFF", 0), "jpeg2000": ("JPEG 2000", 0), "jpeg2000-16": ("JPEG 2000", None), "avif": ("AVIF", 4),
    "heic": ("HEIC", None),
}  # fmt: skip
FRAMES = {"mpo": 2, "apng": 2, "webp-moving": 2, "gif-moving": 2, "tiff-pages": 3}


def test_there_is_a_sample_of_every_format(all_samples):
    assert set(SAMPLES) == set(all_samples)
    assert {name for name, _ in SAMPLES.values()} == set(READERS)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_picture_is_read_by_its_content_under_any_name(all_samples, put, name):
    kind, off = SAMPLES[name]
    assert reader_of(all_samples[name][:HEAD]) is READERS[kind]
    decoded = decode(put("photo.jpg", all_samples[name]), 28, 14)
    assert decoded.frames == FRAMES.get(name, 1)
    assert photo_size(put("photo.jpg", all_samples[name])) == decoded.size
    if off is not None:
        whole = np.asarray(decode_whole(all_samples[name])).astype(int)
        assert np.abs(whole - pictures.scene()).mean() <= off
    if name != "heic":
        assert decoded.size == (40, 30)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_picture_that_is_cut_short_is_refused(all_samples, put, name):
    content = all_samples[name]
    file = put("photo", content[: len(content) // 3])
    with pytest.raises(PhotoError) as error:
        decode(file, 28, 14)
    assert error.value.message.strip()
    assert "\n" not in error.value.message


@pytest.mark.parametrize(
    "name", ["jpeg", "png", "png-16", "bmp", "gif", "ppm", "pgm-16", "ppm-4095", "tiff", "tiff-grey-16", "tiff-nodata"]
)
def test_what_there_is_of_a_picture_that_is_cut_short_is_taken_if_that_is_accepted(all_samples, put, name):
    content = all_samples[name] if name != "jpeg" else pictures.jpeg(pictures.scene(400, 300))
    reading = Reading(accept_truncated=True)
    decoded = decode(put("photo", content[: len(content) * 4 // 5]), 28, 14, reading)
    whole = decode(put("whole", content), 28, 14, reading)
    assert decoded.truncated
    assert not whole.truncated
    assert decoded.size == whole.size
    differs = np.abs(decoded.pixels.astype(int) - whole.pixels).max(2) > 12
    assert 0.02 < differs.mean() < 0.8
    if decoded.nodata is not None:
        assert 0 < decoded.nodata.mean() < 0.5


def test_bands_that_lie_apart_are_taken_as_far_as_all_of_them_go(put):
    pixels = pictures.scene().astype(np.uint16)
    content = pictures.tiff(pixels, apart=True)
    decoded = decode(put("photo", content[: -40 * 2 * 10]), 28, 14, Reading(accept_truncated=True))
    assert decoded.nodata.sum() == 40 * 10
    assert decoded.nodata[20:].all()


# Metadata.


def text(size):
    return b"a\0\0" + zlib.compress(bytes(size))


BROKEN = b"Exif\0\0II*\0" + b"\xff" * 60


def test_metadata_of_a_png_never_costs_its_pixels():
    pixels, chunk = pictures.scene(), pictures.chunk
    profile = chunk(b"iCCP", b"name\0\0" + zlib.compress(np.random.default_rng(0).bytes(1_500_000)))
    for extra in (
        [profile],
        [chunk(b"iCCP", b"no end of a name")],
        [chunk(b"zTXt", text(3_000_000))],
        [chunk(b"zTXt", b"a\0" + bytes([7]) + b"unknown method")],
        [chunk(b"tEXt", bytes([97]) * 300_000)] * 300,
        [chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(5_000_000)))],
        [chunk(b"eXIf", BROKEN[6:])],
        [chunk(b"eXIf", b"")],
        [chunk(b"gAMA", b"1"), chunk(b"cHRM", b"2"), chunk(b"pHYs", b"")],
    ):
        for content in (pictures.png(pixels, before=extra), pictures.png(pixels, after=extra)):
            assert (np.asarray(decode_whole(content)) == pixels).all()
            with open_picture(content) as image:  # labels are opened so
                assert image.size == (40, 30)


def test_metadata_of_a_jpeg_never_costs_its_pixels():
    plain = np.asarray(decode_whole(pictures.jpeg(pictures.scene())))
    for segments in (
        [(0xE1, BROKEN)],
        [(0xE1, b"Exif\0\0")],
        [(0xE1, b"http://ns.adobe.com/xap/1.0/\0<broken" + b"<" * 60_000)],
        [(0xE2, b"MPF\0II*\0\x08\0\0\0" + b"\xff" * 30)],
        [(0xE2, b"ICC_PROFILE\0" + bytes([1, 23]) + bytes(60_000))] * 23,
        [(0xED, b"Photoshop 3.0\x008BIM" + b"\xff" * 20)],
        [(0xFE, bytes(65_000))] * 100,
    ):
        assert (np.asarray(decode_whole(pictures.jpeg(pictures.scene(), segments))) == plain).all()


def test_metadata_of_a_webp_or_a_tiff_never_costs_its_pixels():
    pixels = pictures.scene()
    for exif in (BROKEN, b"x", b"Exif\0\0MM"):
        content = pictures.saved(pixels, "WEBP", lossless=True, exif=exif, xmp=b"<broken", icc_profile=bytes(900_000))
        assert (np.asarray(decode_whole(content)) == pixels).all()
    for tag in (34665, 34675, 700, 34377, 33723):  # where EXIF is; ICC, XMP, Photoshop, IPTC
        for values in ([2**32 - 1], [7], [0]):
            assert (np.asarray(decode_whole(pictures.tiff(pixels, tags=[(tag, 4, values)]))) == pixels).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_orientation_is_applied_beside_a_profile_that_is_too_large(put, orientation):
    pixels, exif = pictures.scene(), pictures.exif(orientation)
    profile = b"name\0\0" + zlib.compress(bytes(1_500_000))
    with_profile = pictures.png(pixels, [pictures.chunk(b"iCCP", profile), pictures.chunk(b"eXIf", exif)])
    without = pictures.png(pixels, [pictures.chunk(b"eXIf", exif)])
    assert (np.asarray(decode_whole(with_profile)) == np.asarray(decode_whole(without))).all()
    assert photo_size(put("a.png", with_profile)) == ((30, 40) if orientation >= 5 else (40, 30))


def test_pixels_that_are_damaged_are_not_read_because_the_metadata_is_broken_too():
    content = bytearray(pictures.png(pictures.scene(), [pictures.chunk(b"iCCP", b"x\0\0" + text(2_000_000)[3:])]))
    content[-200] ^= 0xFF
    with pytest.raises(PhotoError):
        decode_whole(bytes(content))


# What is not read.


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"Dear reader", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture but PostScript"),
        (b"\xc5\xd0\xd3\xc6" + bytes(40), "not a picture but PostScript"),
        (b"%PDF-1.7", "not a picture but a PDF"),
        (b"8BPS\0\1" + bytes(40), "a Photoshop file"),
        (b"\xff\x0a" + bytes(40), "a JPEG XL picture"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"II*\0\x10\0\0\0CR\2\0", "a camera's raw file"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "a camera's raw file"),
        (b"\0\0\0\x18ftypisom\0\0\2\0isommp41", "a video"),
    ],
)
def test_what_is_not_read_is_refused_by_what_it_is(put, content, reason):
    with pytest.raises(PhotoError, match=reason):
        decode(put("a.jpg", content), 28, 14)


def test_a_raw_file_that_is_a_tiff_is_refused_and_its_preview_is_not_taken(put):
    for tags in ([(254, 4, [1]), (330, 4, [8])], [(50706, 3, [1, 4])], [(262, 3, [32803])]):
        with pytest.raises(PhotoError, match="a camera's raw file"):
            decode(put("a.tif", pictures.tiff(pictures.scene(), tags=tags)), 28, 14)


def test_a_heic_picture_without_its_extra_is_named_as_what_it_is(all_samples, put, monkeypatch):
    monkeypatch.setattr(heif.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PhotoError, match=r"a HEIC picture, which needs pillow-heif: pip install 'stego-cli\[heic\]'"):
        decode(put("IMG_1.JPG", all_samples["heic"]), 28, 14)


def test_every_suffix_belongs_to_one_format():
    assert sum(len(reader.suffixes) for reader in READERS.values()) == len(SUFFIXES)


def test_every_picture_is_opened_with_a_list_of_formats():
    opened = 0
    for file in [*ROOT.glob("stego_cli/**/*.py"), *ROOT.glob("export/**/*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Image.open":
                opened += 1
                assert "formats" in {keyword.arg for keyword in node.keywords}, f"{file}:{node.lineno}"
    assert opened >= 2


# Sizes.


def patched(content, *changes):
    out = bytearray(content)
    for at, packed in changes:
        out[at : at + len(packed)] = packed
    return bytes(out)


def bombs(samples):
    big = struct.pack(">II", 60_000, 60_000)
    jpeg = samples["jpeg"]
    start = samples["webp-moving"].index(b"VP8X")
    return {
        "png": pictures.png(pictures.scene())[:8]
        + pictures.chunk(b"IHDR", big + bytes([8, 2, 0, 0, 0]))
        + pictures.chunk(b"IDAT", zlib.compress(bytes(1000))),
        "png-16": pictures.png(pictures.scene())[:8]
        + pictures.chunk(b"IHDR", big + bytes([16, 2, 0, 0, 0]))
        + pictures.chunk(b"IDAT", zlib.compress(bytes(1000))),
        "jpeg": patched(jpeg, (jpeg.index(b"\xff\xc0") + 5, struct.pack(">HH", 60_000, 60_000))),
        "gif": patched(samples["gif"], (6, struct.pack("<HH", 60_000, 60_000))),
        "gif-frame": patched(
            samples["gif"], (samples["gif"].index(b"\x2c\0\0\0\0") + 5, struct.pack("<HH", 60_000, 60_000))
        ),
        "bmp": patched(samples["bmp"], (18, struct.pack("<ii", 60_000, 60_000))),
        "webp": patched(samples["webp-moving"], (start + 12, b"\xff\x3f\0\xff\x3f\0")),
        "ppm": b"P6 60000 60000 255\n",
        "pgm-16": b"P5 60000 60000 65535\n",
        "ppm-row": b"P6 2000000 1 255\n",
        "pfm": b"Pf 60000 60000 -1.0\n",
        "tiff": pictures.tiff(pictures.scene(), tags=[(256, 4, [60_000]), (257, 4, [60_000])]),
        "tiff-float": pictures.tiff(pictures.scene().astype(np.float32), tags=[(256, 4, [60_000]), (257, 4, [60_000])]),
        "tiff-tile-8": pictures.tiff(pictures.scene(), compression="deflate", tile=(16, 16), tags=[(323, 4, [2**24])]),
        "tiff-bands": pictures.tiff(np.zeros((1, 1, 60_000), np.uint16), tags=[(256, 4, [10_000]), (257, 4, [10_000])]),
        "tiff-tile": pictures.tiff(
            pictures.scene().astype(np.uint16), tile=(16, 16), tags=[(322, 4, [2**31]), (323, 4, [2**31])]
        ),
        "jpeg2000": samples["jpeg2000"]
        .replace(struct.pack(">II", 30, 40), big)
        .replace(struct.pack(">II", 40, 30), big),
        "avif": samples["avif"].replace(struct.pack(">II", 40, 30), big),
        "heic": samples["heic"].replace(struct.pack(">II", 64, 64), big),
    }


READ_ALL = """
import resource, sys
from pathlib import Path
from stego_cli.errors import PhotoError
from stego_cli.images.decode import decode
import pillow_heif
files = sorted(Path(sys.argv[1]).iterdir())
decode(files[0].with_name("good.png"), 28, 14)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
for file in files:
    try:
        decode(file, 28, 14)
    except PhotoError as error:
        print(file.name, error.message)
print("peak", (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_a_header_of_billions_of_pixels_is_refused_before_the_memory_is_taken(all_samples, tmp_path):
    made = bombs(all_samples)
    for name, content in made.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "good.png").write_bytes(all_samples["png"])
    ended = subprocess.run([sys.executable, "-c", READ_ALL, str(tmp_path)], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    *refused, peak = ended.stdout.splitlines()
    assert {line.split()[0] for line in refused} == set(made)
    assert int(peak.split()[1]) < 100, refused  # megabytes
    assert sum("million pixels" in line for line in refused) >= 11, refused


def test_a_bomb_of_deflate_is_read_no_farther_than_its_picture_needs():
    content = pictures.tiff(np.zeros((40, 40, 1), np.uint16), compression="deflate")
    packed = zlib.compress(bytes(200_000_000))
    at = len(content) - len(zlib.compress(bytes(40 * 40 * 2)))
    content = patched(
        content[:at] + packed,
        *[
            (
                content.index(struct.pack("<HHII", 279, 4, 1, len(content) - at)),
                struct.pack("<HHII", 279, 4, 1, len(packed)),
            )
        ],
    )
    assert decode_whole(content).size == (40, 40)


def test_a_jpeg_of_too_many_scans_is_refused():
    content = pictures.jpeg(pictures.scene(), progressive=True)
    at = content.rindex(b"\xff\xda")
    with pytest.raises(PhotoError, match="scans"):
        decode_whole(content[:-2] + content[at:-2] * 300 + content[-2:])


def test_pictures_are_closed(all_samples, put):
    for name, content in all_samples.items():
        with open_any(put(name, content)) as picture:
            assert picture.image is not None or picture.bands is not None
    for name in ("png", "tiff", "tiff-rgb-16"):
        open_picture(put(name, all_samples[name])).close()
    for name in ("tiff-nodata", "pgm-16", "tiff-big"):
        with pytest.raises(PhotoError, match="bands"):
            open_picture(put(name, all_samples[name]))
    with pytest.raises(PhotoError), open_any(put("a.png", all_samples["png"][:20])):
        pass


def test_decoding_a_photograph_is_what_it_was_before_there_were_readers(photos_folder):
    for file in sorted(photos_folder.glob("*.jpg"))[:4]:
        for res, patch in ((112, 14), (320, 8)):
            decoded = decode(file, res, patch)
            size = decoded.pixels.shape[1::-1]
            with Image.open(file) as image:
                image.draft(None, (2 * size[0], 2 * size[1]))
                plain = image.convert("RGB").resize(size, Image.Resampling.BILINEAR)
            assert (np.asarray(plain) == decoded.pixels).all()

"""Modes, orientations and sizes that cameras, scanners and web sites produce."""

import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.support import pictures

RED, GREEN, BLUE, DARK = range(4)
HALVES = "dark on the left, bright on the right"
COLOURS = {RED: (250, 10, 10), GREEN: (10, 250, 10), BLUE: (10, 10, 250), DARK: (5, 5, 5)}


def mask_of(file):
    with Image.open(file) as mask:
        assert mask.mode == "P"
        return np.asarray(mask).copy()


def flat(colour, mode="RGB"):
    return Image.new("RGB", (40, 30), COLOURS[colour]).convert(mode)


def make_modes(folder):
    """Write one picture of every kind; return the class that each must get."""
    flat(RED, "CMYK").save(folder / "cmyk.jpg", quality=95)
    flat(DARK, "L").save(folder / "grey.jpg")
    halves = np.repeat(np.array([[2000, 60000]], np.uint16), 20, 1).repeat(30, 0)
    Image.fromarray(halves).save(folder / "grey16.png")
    Image.fromarray(halves).save(folder / "grey16.tif")
    flat(GREEN, "P").save(folder / "palette.png")
    flat(GREEN).save(folder / "plain.webp", lossless=True)
    flat(BLUE, "YCbCr").save(folder / "ycc.tif")
    flat(BLUE).save(folder / "plain.bmp")
    flat(BLUE).save(folder / "plain.ppm")
    Image.new("1", (40, 30), 0).save(folder / "bits.png")
    Image.new("RGBA", (40, 30), (5, 5, 5, 0)).save(folder / "transparent.png")  # white paper, seen through
    Image.new("RGBA", (40, 30), (5, 5, 5, 255)).save(folder / "opaque.png")
    flat(GREEN).save(folder / "moving.gif", save_all=True, append_images=[flat(RED), flat(BLUE)])
    flat(GREEN).save(folder / "moving.png", save_all=True, append_images=[flat(RED)])
    return {
        "cmyk": RED,
        "grey": DARK,
        "grey16": HALVES,
        "grey16.tif": HALVES,
        "palette": GREEN,
        "ycc": BLUE,
        "bits": DARK,
        "transparent": RED,
        "opaque": DARK,
        "moving.gif": GREEN,
        "moving.png": GREEN,
        "plain.webp": GREEN,
        "plain.bmp": BLUE,
        "plain.ppm": BLUE,
    }


def test_every_mode_is_converted_as_documented(tmp_path, segment, journal):
    folder, out = tmp_path / "photos", tmp_path / "masks"
    folder.mkdir()
    wanted = make_modes(folder)
    result = segment(folder, out)
    assert result.returncode == 0, result.stderr
    entries = journal(out)
    assert len(entries) == len(wanted)
    for name, entry in entries.items():
        labels = mask_of(out / entry["mask"])
        assert labels.shape == (30, 40), name
        key = name if name in wanted else name.rpartition(".")[0]
        if wanted[key] == HALVES:
            assert (labels[:, :18] == DARK).all(), name
            assert (labels[:, 22:] == RED).all(), name  # white, of which the first class is as likely as any
        else:
            assert np.unique(labels).tolist() == [wanted[key]], name


# More than 8 bits, of real photographs: the masks are those of the same photographs in 8 bits.


def as_shown(pixels):
    return np.dstack([pixels, pixels[..., :2]])  # five bands, of which the first three are shown


DEEP = {
    "12 bits in 16": lambda pixels: pixels.astype(np.uint16) * 16 + (pixels >> 4),
    "reflectance": lambda pixels: pixels.astype(np.uint16) * 12,
    "five bands": lambda pixels: as_shown(pixels).astype(np.uint16) * 12,
    "floating point": lambda pixels: (pixels / 255).astype(np.float32),
    "signed": lambda pixels: pixels.astype(np.int16) * 40,
}


@pytest.mark.parametrize("kind", DEEP)
def test_masks_of_more_than_8_bits_are_those_of_the_picture_in_8(tmp_path, segment, photos_folder, kind):
    folder, out = tmp_path / "photos", tmp_path / "masks"
    folder.mkdir()
    for name in ("cat", "canyon", "harbour"):
        with Image.open(photos_folder / f"{name}.jpg") as image:
            pixels = np.asarray(image.convert("RGB").resize((160, 120)))
        pixels = pixels.copy()
        pixels[0, :80] = [[0], [255]] * 40  # each uses all of its range, and can be read alone
        (folder / f"{name}.tif").write_bytes(pictures.tiff(DEEP[kind](pixels), compression="lzw", predictor=1, rows=16))
        (folder / f"{name}-plain.png").write_bytes(pictures.png(pixels))
    assert segment(folder, out).returncode == 0
    for name in ("cat", "canyon", "harbour"):
        plain, deep = (mask_of(out / f"{name}{end}.png") for end in ("-plain", ""))
        assert (plain == deep).mean() > 0.999, name
        assert len(np.unique(deep)) > 1


def test_metadata_never_costs_a_mask(tmp_path, segment):
    folder, out = tmp_path / "photos", tmp_path / "masks"
    folder.mkdir()
    pixels, broken = np.asarray(flat(GREEN)), b"II*\0" + b"\xff" * 40
    profile = b"name\0\0" + zlib.compress(np.random.default_rng(0).bytes(1_500_000))
    (folder / "exif.png").write_bytes(pictures.png(pixels, [pictures.chunk(b"eXIf", broken)]))
    (folder / "exif.jpg").write_bytes(pictures.jpeg(pixels, [(0xE1, b"Exif\0\0" + broken)]))
    (folder / "profile.png").write_bytes(pictures.png(pixels, [pictures.chunk(b"iCCP", profile)]))
    (folder / "text.png").write_bytes(pictures.png(pixels, after=[pictures.chunk(b"zTXt", b"a\0\0" + profile[6:])]))
    result = segment(folder, out)
    assert result.returncode == 0, result.stderr
    for file in ("exif.png.png", "exif.jpg.png", "profile.png", "text.png"):
        assert (mask_of(out / file) == GREEN).all()


def test_a_heic_picture_is_read_whatever_its_name(tmp_path, segment):
    folder, out = tmp_path / "photos", tmp_path / "masks"
    folder.mkdir()
    content = pictures.heic(np.asarray(flat(GREEN).resize((80, 60))))
    for name in ("a.heic", "b.JPG"):
        (folder / name).write_bytes(content)
    result = segment(folder, out)
    assert result.returncode == 0, result.stderr
    for name in ("a.png", "b.png"):
        assert mask_of(out / name).shape == (60, 80)
        assert (mask_of(out / name) == GREEN).mean() > 0.95


STORED = {  # how an upright picture is stored under each EXIF orientation
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def test_masks_lie_over_the_picture_as_a_viewer_shows_it(tmp_path, segment):
    folder, out = tmp_path / "photos", tmp_path / "masks"
    folder.mkdir()
    labels = np.zeros((56, 84), np.uint8)
    labels[:28, 42:], labels[28:, :42], labels[28:, 42:] = GREEN, BLUE, DARK
    upright = Image.fromarray(np.array([COLOURS[index] for index in range(4)], np.uint8)[labels])
    for orientation, way in STORED.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = upright if way is None else upright.transpose(way)
        for suffix in ("png", "jpg", "tif"):
            stored.save(folder / f"{orientation}-{suffix}.{suffix}", exif=exif)
    assert segment(folder, out).returncode == 0
    for orientation in STORED:
        for suffix in ("png", "jpg", "tif"):
            seen = mask_of(out / f"{orientation}-{suffix}.png")
            assert seen.shape == labels.shape, (orientation, suffix)
            assert (seen == labels).mean() > 0.95, (orientation, suffix)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 5000), (5000, 1), (3, 2)])
def test_masks_of_the_smallest_and_narrowest_pictures_have_their_sizes(tmp_path, segment, width, height):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (width, height), COLOURS[GREEN]).save(folder / "a.png")
    result = segment(folder, "masks", "--crf")
    assert result.returncode == 0, result.stderr
    labels = mask_of(tmp_path / "masks/a.png")
    assert labels.shape == (height, width)
    assert (labels == GREEN).all()


_PEAK_OF_CHILD = """
import resource, subprocess, sys
ended = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(ended.returncode)
"""


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # of this test's own reading of the mask
@pytest.mark.slow
def test_a_picture_of_108_million_pixels_is_done_within_bounded_memory(tmp_path, tiny_model):
    folder = tmp_path / "photos"
    folder.mkdir()
    picture = Image.new("RGB", (12000, 9000), COLOURS[GREEN])
    picture.paste(COLOURS[BLUE], (0, 0, 6000, 9000))
    picture.save(folder / "vast.jpg", quality=60)
    command = [sys.executable, "-m", "stego_cli", "segment", folder, "--out", tmp_path / "masks", "--no-crf"]
    # A process's peak counts that of the one it was forked from; what lies between this one and it is small.
    between = [sys.executable, "-c", _PEAK_OF_CHILD, *command, "--model", tiny_model]
    ended = subprocess.run([*map(str, between)], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    kilobytes = int(ended.stdout) if sys.platform != "darwin" else int(ended.stdout) / 1024
    assert kilobytes < 1_900_000  # some 15 bytes a pixel, and 0.3 GB for the libraries
    with Image.open(tmp_path / "masks/vast.png") as mask:
        assert mask.size == (12000, 9000)
        assert (mask.getpixel((3000, 4000)), mask.getpixel((9000, 4000))) == (BLUE, GREEN)

"""More than 8 bits become 8 in a way that suits the numbers, is the same for a whole run, and leaves out no-data."""

import json

import numpy as np
import pytest
from PIL import Image

from stego_cli.errors import PhotoError, UsageError
from stego_cli.images.decode import decode, decode_whole
from stego_cli.images.stretch import decide, range_of
from stego_cli.reading import Reading
from tests.support import pictures


@pytest.fixture(scope="module")
def originals(photos_folder):
    """Three real photographs of 8 bits, small."""
    originals = {}
    for name in ("cat", "lake", "skyline"):
        with Image.open(photos_folder / f"{name}.jpg") as image:
            originals[name] = np.asarray(image.convert("RGB").resize((120, 80)))
    return originals


def written(folder, originals, change, **options):
    files = []
    for name, pixels in originals.items():
        files.append(folder / f"{name}.tif")
        files[-1].write_bytes(pictures.tiff(change(pixels), **options))
    return files


def outliers(numbers, share, low, high):
    generator = np.random.default_rng(0)
    chosen = generator.random(numbers.shape[:2]) < share
    numbers = numbers.copy()
    numbers[chosen] = generator.integers(low, high, (int(chosen.sum()), 1))
    return numbers


KINDS = {
    "10 bits": (lambda pixels: pixels.astype(np.uint16) * 4, 1),
    "12 bits, high": (lambda pixels: pixels.astype(np.uint16) * 16, 1),
    "12 bits, whole": (lambda pixels: pixels.astype(np.uint16) * 16 + (pixels >> 4), 0.01),
    "14 bits": (lambda pixels: pixels.astype(np.uint16) * 64, 1),
    "16 bits": (lambda pixels: pixels.astype(np.uint16) * 257, 0),
    "8 bits in 16": (lambda pixels: pixels.astype(np.uint16), 0),
    "8 bits in 32": (lambda pixels: pixels.astype(np.int32), 0),
    "reflectance": (lambda pixels: pixels.astype(np.uint16) * 12, 0.01),
    "reflectance with an offset": (lambda pixels: pixels.astype(np.uint16) * 12 + 1000, 3),
    "reflectance to 10,200": (lambda pixels: pixels.astype(np.uint16) * 40, 0.01),
    "reflectance with fill": (lambda pixels: outliers(pixels.astype(np.uint16) * 40, 0.002, 65535, 65536), 7),
    "reflectance with outliers": (lambda pixels: outliers(pixels.astype(np.uint16) * 40, 0.005, 10_200, 65_535), 9),
    "signed": (lambda pixels: pixels.astype(np.int16) * 40 - 300, 0.5),
    "0 to 1": (lambda pixels: (pixels / 255).astype(np.float32), 0.01),
    "half precision": (lambda pixels: (pixels / 255).astype(np.float16), 0.5),
    "0 to 255": (lambda pixels: pixels.astype(np.float32), 0.01),
    "radiance": (lambda pixels: pixels * 3e-4, 0.01),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_shows_numbers_of_any_kind_as_the_photographs_of_8_bits_that_they_come_from(tmp_path, originals, kind):
    change, off = KINDS[kind]
    files = written(tmp_path, originals, change)
    decision = decide(files, Reading())
    assert len(decision.reading.ranges) == 1
    assert len(decision.notes) == 1
    for file, pixels in zip(files, originals.values(), strict=True):
        shown = np.asarray(decode_whole(file, decision.reading)).astype(int)
        assert np.abs(shown - pixels).mean() <= off


def test_png_and_pnm_of_16_bits_are_stretched_alike(tmp_path, originals):
    pixels = originals["lake"]
    deep = pixels.astype(np.uint16) * 16 + (pixels >> 4)
    for name, content, wanted in (
        ("rgb.png", pictures.png(deep), pixels),
        ("grey.png", pictures.png(deep[..., :1]), pixels[..., [0, 0, 0]]),
        ("alpha.png", pictures.png(np.dstack([deep, np.full(deep.shape[:2], 65535, np.uint16)])), pixels),
        ("grey-alpha.png", pictures.png(np.dstack([deep[..., 0], deep[..., 0] * 0 + 65535])), pixels[..., [0, 0, 0]]),
        ("rgb.ppm", b"P6 120 80 65535\n" + deep.astype(">u2").tobytes(), pixels),
    ):
        (tmp_path / name).write_bytes(content)
        reading = decide([tmp_path / name], Reading()).reading
        assert reading.ranges == (("uint16", 0.0, 4095.0),)
        assert (np.asarray(decode_whole(content, reading)) == wanted).all()


def test_16_bits_that_are_all_used_are_what_pillow_makes_of_them(tmp_path):
    deep = np.random.default_rng(0).integers(0, 65536, (64, 64, 4), np.uint16)
    opaque = deep.copy()
    opaque[..., 3] = 65535
    for content in (
        pictures.png(deep[..., :3]),
        pictures.png(deep),
        pictures.png(opaque),
        pictures.tiff(deep[..., :3], rows=9),
        pictures.tiff(deep, rows=9, tags=[(338, 3, [2])], compression="lzw"),
    ):
        (tmp_path / "a").write_bytes(content)
        with Image.open(tmp_path / "a", formats=("PNG", "TIFF")) as image:
            if image.mode == "RGBA":
                plain = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
            else:
                plain = image.convert("RGB")
        assert (np.asarray(decode_whole(tmp_path / "a")) == np.asarray(plain)).all()
    grey = deep[..., :1]
    for content in (pictures.png(grey), pictures.tiff(grey), b"P5 64 64 65535\n" + grey.astype(">u2").tobytes()):
        assert (np.asarray(decode_whole(content))[..., 0] == (grey[..., 0] / 65535 * 255 + 0.5).astype(np.uint8)).all()


EMPTY = {
    "NaN": (np.float32, np.nan, None),
    "infinity": (np.float32, -np.inf, None),
    "the largest": (np.float32, 3.4028234663852886e38, None),
    "the lowest": (np.float64, -3.4028234663852886e38, None),
    "the lowest, named": (np.float32, -3.4028234663852886e38, b"-3.40282346638529e+38\0"),
    "-9999": (np.float32, -9999, None),
    "-9999, signed": (np.int16, -9999, None),
    "-32768": (np.int16, -32768, None),
    "named": (np.uint16, 7, b"7\0"),
    "named, 0 of 8 bits": (np.uint8, 0, b"0\0"),
    "named, NaN": (np.float64, np.nan, b"nan\0"),
}


@pytest.mark.parametrize("kind", EMPTY)
@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.filterwarnings("error")
def test_pixels_without_a_value_are_left_out_and_told(tmp_path, originals, kind, bands):
    dtype, value, text = EMPTY[kind]
    pixels = np.maximum(originals["lake"][..., :bands], 1)
    numbers = pixels.astype(dtype) * (40 if np.dtype(dtype).itemsize > 1 and np.dtype(dtype).kind != "f" else 1)
    numbers[10:30, 20:60] = value
    content = pictures.tiff(numbers, tags=[(42113, 2, text)] if text else [], compression="lzw", rows=7)
    (tmp_path / "a.tif").write_bytes(content)
    decoded = decode(tmp_path / "a.tif", 84, 14, decide([tmp_path / "a.tif"], Reading()).reading)
    wanted = np.zeros((80, 120), bool)
    wanted[10:30, 20:60] = True
    assert (decoded.nodata == wanted).all()
    shown = np.asarray(decode_whole(content)).astype(int)
    assert np.abs(shown - pixels)[~wanted].mean() < 1.5
    filled = shown[wanted]
    assert (filled == filled[0]).all()
    assert np.abs(filled[0] - pixels[~wanted].mean(0)).max() < 2.5


def test_a_pixel_is_without_a_value_when_all_its_bands_are_the_files_nodata(tmp_path):
    numbers = np.full((4, 4, 3), 9, np.uint16)
    numbers[0, 0], numbers[1, 1] = [0, 0, 0], [0, 9, 9]
    file = tmp_path / "a.tif"
    file.write_bytes(pictures.tiff(numbers, tags=[(42113, 2, b"0\0")]))
    nodata = decode(file, 28, 14).nodata
    assert nodata.sum() == 1
    assert nodata[0, 0]


def test_a_picture_without_any_value_is_refused():
    with pytest.raises(PhotoError, match="no pixel of it has a value"):
        decode_whole(pictures.tiff(np.full((9, 9, 1), np.nan, np.float32)))


def test_the_same_number_is_the_same_grey_in_every_picture_of_a_run(tmp_path):
    bright = np.linspace(0, 4095, 900).reshape(30, 30, 1).astype(np.uint16)
    dark = bright // 8
    files = []
    for index in range(9):
        files.append(tmp_path / f"{index}.tif")
        files[-1].write_bytes(pictures.tiff(dark if index % 3 else bright))
    reading = decide(files, Reading()).reading
    assert reading.ranges == (("uint16", 0.0, 4095.0),)
    assert np.asarray(decode_whole(files[1], reading)).max() == pytest.approx(32, abs=1)
    assert np.asarray(decode_whole(files[1])).max() == 255  # alone it is taken for what it is


def test_the_decision_is_the_same_for_the_same_files_and_kept_as_json(tmp_path, originals):
    files = written(tmp_path, originals, lambda pixels: pixels.astype(np.uint16) * 12 + 7)
    reading = decide(files, Reading(bands=(3, 2, 1), accept_truncated=True)).reading
    assert decide(files, reading.asked).reading == reading
    assert Reading.from_dict(json.loads(json.dumps(reading.as_dict()))) == reading
    assert reading.asked == Reading(bands=(3, 2, 1), accept_truncated=True)
    for broken in (
        None,
        [],
        {},
        {"bands": 1},
        {**reading.as_dict(), "ranges": [[1]]},
        {**reading.as_dict(), "stretch": "x"},
    ):
        with pytest.raises(ValueError, match="not settings of reading"):
            Reading.from_dict(broken)


def test_pictures_of_8_bits_are_never_stretched(tmp_path, originals):
    pixels = originals["cat"] // 3
    for name, content in (
        ("a.png", pictures.png(pixels)),
        ("a.tif", pictures.tiff(pixels)),
        ("b.tif", pictures.tiff(np.dstack([pixels, pixels]))),
    ):
        (tmp_path / name).write_bytes(content)
        for stretch in ("auto", "none", "0,100", "2"):
            decision = decide([tmp_path / name], Reading(stretch=stretch))
            assert decision.reading.ranges == ()
            assert (np.asarray(decode_whole(content, decision.reading)) == pixels).all()
    assert decision.notes == ["Pictures of 6 bands: of these, 1, 2, 3 are taken."]


def test_files_that_cannot_be_read_and_names_that_are_wrong_do_not_disturb_the_decision(tmp_path, originals):
    files = written(tmp_path, originals, lambda pixels: pixels.astype(np.uint16) * 16)
    (tmp_path / "a.tif").write_bytes(b"II*\0 broken")
    (tmp_path / "b.jpg").write_bytes(files[0].read_bytes())
    others = [tmp_path / "a.tif", tmp_path / "gone.tif"]
    assert decide([*others, *files], Reading()).reading == decide(files, Reading()).reading
    assert decide([tmp_path / "b.jpg"], Reading()).reading.ranges == (("uint16", 0.0, 4095.0),)


# What is asked for.


def test_a_stretch_can_be_given(tmp_path):
    numbers = np.arange(1000, dtype=np.uint16).reshape(25, 40, 1)
    content = pictures.tiff(numbers)
    (tmp_path / "a.tif").write_bytes(content)

    def shown(stretch):
        reading = decide([tmp_path / "a.tif"], Reading(stretch=stretch)).reading
        return np.asarray(decode_whole(content, reading))[..., 0].ravel().astype(int)

    assert np.abs(shown("100,500") - np.clip((np.arange(1000) - 100) / 400 * 255, 0, 255)).max() <= 1
    assert shown("none").max() == round(999 / 257)
    assert np.abs(shown("10%") - np.clip((np.arange(1000) - 100) / 800 * 255, 0, 255)).max() <= 2
    assert (shown("10%") == shown("10")).all()
    assert shown("auto").max() == round(999 / 1023 * 255)


def test_a_percentage_is_decided_once_and_a_picture_of_one_value_is_shown(tmp_path):
    for value in (0, 2000, 65535):
        content = pictures.tiff(np.full((9, 9, 3), value, np.uint16))
        for stretch in ("auto", "2"):
            shown = np.asarray(decode_whole(content, Reading(stretch=stretch)))
            assert (shown == shown[0, 0]).all()
    assert range_of(np.full(9, -5.0), "float", Reading()) == (-10.0, 0.0)
    assert range_of(np.full(9, 1e9), "float", Reading()) == (0.0, 2e9)
    assert range_of(np.zeros(0), "float", Reading()) == (0.0, 1.0)


@pytest.mark.parametrize("bands", [(1,), (2,), (3, 2, 1), (5, 4, 1)])
def test_bands_are_taken_in_the_order_asked_for(bands):
    numbers = np.stack([np.full((8, 8), value, np.uint16) for value in (0, 50, 100, 200, 255)], 2)
    shown = np.asarray(decode_whole(pictures.tiff(numbers), Reading(bands=bands, stretch="0,255")))
    values = [(0, 50, 100, 200, 255)[band - 1] for band in bands]
    assert shown[0, 0].tolist() == (values if len(values) == 3 else values * 3)


def test_bands_of_a_picture_of_8_bits_are_its_channels(originals):
    pixels = originals["cat"]
    jpeg = pictures.jpeg(pixels)
    whole = np.asarray(decode_whole(jpeg))
    assert (np.asarray(decode_whole(jpeg, Reading(bands=(3, 2, 1)))) == whole[..., ::-1]).all()
    assert (np.asarray(decode_whole(jpeg, Reading(bands=(2,)))) == whole[..., [1, 1, 1]]).all()
    four = pictures.png(np.dstack([pixels, pixels[..., 0] // 2]))
    assert (np.asarray(decode_whole(four, Reading(bands=(4, 1, 2))))[..., 0] == pixels[..., 0] // 2).all()
    assert (np.asarray(decode_whole(four, Reading(bands=(1, 2, 3)))) == pixels).all()
    for content, count in ((jpeg, 3), (pictures.png(pixels[..., :1]), 1), (pictures.tiff(pixels.astype(np.int16)), 3)):
        with pytest.raises(PhotoError, match=f"it has {count} bands?, and band 4 is wanted"):
            decode_whole(content, Reading(bands=(4,)))


@pytest.mark.parametrize(
    "settings",
    [
        {"bands": (1, 2)}, {"bands": (0,)}, {"bands": (1, 2, -3)}, {"bands": (1, 2, 3, 4)}, {"stretch": "some"},
        {"stretch": "5,5"}, {"stretch": "9,1"}, {"stretch": "nan,1"}, {"stretch": "0,inf"}, {"stretch": "1,2,3"},
        {"stretch": "50"}, {"stretch": "-1"}, {"stretch": ""}, {"stretch": "nan"},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(UsageError, match="must be"):
        Reading(**settings)

import numpy as np
import pytest
from PIL import Image

from stego_cli.errors import PhotoError
from stego_cli.images.decode import decode, decode_whole, open_photo, photo_size, to_rgb, work_size


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((640, 360), (574, 322)),  # 569 x 320, rounded to patches of 14
        ((360, 640), (322, 574)),
        ((320, 320), (322, 322)),
        ((1, 1), (322, 322)),
        ((1, 5000), (14, 2562)),
        ((5000, 1), (2562, 14)),
        ((12000, 9000), (420, 322)),
    ],
)
def test_the_work_size_keeps_the_aspect_in_whole_patches(size, wanted):
    width, height = work_size(*size, 320, 14)
    assert (width, height) == wanted


def test_the_work_size_of_any_photograph_is_bounded():
    for width, height in ((1, 10**6), (10**6, 1), (7, 3000), (10**4, 10**4)):
        across, down = work_size(width, height, 320, 14)
        assert across % 14 == down % 14 == 0
        assert across * down <= 8 * 330 * 330


def test_a_photograph_is_decoded_at_work_size_and_its_own_size_is_told(photos_folder):
    decoded = decode(photos_folder / "lake.jpg", 112, 14)
    assert decoded.size == (640, 360)
    assert decoded.pixels.shape == (112, 196, 3)
    assert decoded.pixels.dtype == np.uint8


def test_scaled_decoding_of_a_jpeg_gives_nearly_what_whole_decoding_gives(photos_folder, tmp_path):
    with Image.open(photos_folder / "lake.jpg") as image:
        image.save(tmp_path / "lake.png")
    scaled, whole = (decode(path, 112, 14).pixels for path in (photos_folder / "lake.jpg", tmp_path / "lake.png"))
    assert np.abs(scaled.astype(int) - whole).mean() < 2


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_from_the_header_is_the_size_that_is_decoded(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = tmp_path / f"a.{suffix}"
    Image.new("RGB", (60, 30), "green").save(file, exif=exif)
    size = (30, 60) if orientation >= 5 else (60, 30)
    assert photo_size(file) == decode(file, 28, 14).size == decode_whole(file).size == size


def test_sixteen_bits_are_scaled_and_not_cut():
    for mode, top in (("I;16", 65535), ("I", 65535), ("F", 1.0)):
        kind = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
        image = Image.fromarray(np.array([[0, top / 2, top]]).astype(kind))
        assert image.mode == mode
        assert np.asarray(to_rgb(image))[0, :, 0].tolist() == pytest.approx([0, 127.5, 255], abs=1)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P"])
def test_transparency_is_laid_over_white(mode):
    black = Image.new("RGBA", (2, 1), (0, 0, 0, 255))
    black.putpixel((0, 0), (0, 0, 0, 0))
    if mode == "P":
        image = Image.new("P", (2, 1), 1)
        image.putpalette([9, 9, 9, 0, 0, 0])
        image.putpixel((0, 0), 0)
        image.info["transparency"] = 0
    elif mode == "PA":
        image = Image.new("PA", (2, 1))
        image.putpalette([0, 0, 0])
        image.putpixel((1, 0), (0, 255))
    else:
        image = black.convert(mode)
    assert np.asarray(to_rgb(image))[0, :, 0].tolist() == [255, 0]


def test_every_error_is_one_line_about_the_photograph(tmp_path, photos_folder):
    content = (photos_folder / "cat.jpg").read_bytes()
    for name, data in {
        "empty.jpg": b"",
        "text.png": b"text",
        "short.jpg": content[:5000],
        "header.jpg": content[:30],
        "none.ppm": b"P6 0 0 255\n",
        "raw.cr2": b"II",
    }.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(PhotoError) as error:
            decode(tmp_path / name, 56, 14)
        assert error.value.message.strip()
        assert "\n" not in error.value.message
    with pytest.raises(PhotoError, match="No such file"), open_photo(tmp_path / "nowhere.jpg"):
        pass
    with pytest.raises(PhotoError, match="not a regular file"), open_photo(tmp_path):
        pass

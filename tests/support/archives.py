"""Small archives in the layouts of the official hosts: real names, real palettes, void borders, odd sizes."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

VOC_TRAIN = ("2007_000032", "2007_000039", "2011_003255")
VOC_VAL = ("2007_000033", "2007_000042")
VOC_OTHERS = ("2008_000001", "2012_004331")
VOC_SIZES = {"2007_000032": (500, 281), "2007_000039": (500, 375), "2011_003255": (333, 500), "2007_000033": (501, 7)}


def picture(size: tuple[int, int], seed: int) -> Image.Image:
    """A photograph of soft blobs, so that no two are alike."""
    values = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(values).resize(size, Image.Resampling.BICUBIC)


def jpeg(size: tuple[int, int], seed: int, quality: int = 85) -> bytes:
    stream = io.BytesIO()
    picture(size, seed).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def png(array: np.ndarray, palette: list[int] | None = None) -> bytes:
    image, stream = Image.fromarray(array), io.BytesIO()
    if palette is not None:
        image.putpalette(palette)
    image.save(stream, "PNG")
    return stream.getvalue()


def voc_palette() -> list[int]:
    """The 256 colours of the official files, by their bit rule."""
    colours = []
    for index in range(256):
        rgb, bits = [0, 0, 0], index
        for shift in range(7, -1, -1):
            for channel in range(3):
                rgb[channel] |= (bits >> channel & 1) << shift
            bits >>= 3
        colours += rgb
    return colours


def voc_label(size: tuple[int, int], seed: int) -> np.ndarray:
    """A box of a class on background, with the void border that VOC draws around everything."""
    width, height = size
    label = np.zeros((height, width), dtype=np.uint8)
    top, left = height // 4, width // 4
    label[top : height - top, left : width - left] = 255
    label[top + 1 : height - top - 1, left + 1 : width - left - 1] = 1 + seed % 20
    return label


def voc_files() -> dict[str, bytes]:
    root = "VOCdevkit/VOC2012/"
    files = {
        f"{root}ImageSets/Segmentation/train.txt": "".join(f"{name}\n" for name in VOC_TRAIN).encode(),
        f"{root}ImageSets/Segmentation/val.txt": "".join(f"{name}\n" for name in VOC_VAL).encode(),
        f"{root}ImageSets/Segmentation/trainval.txt": b"2007_000032\n",
        f"{root}ImageSets/Main/train.txt": b"2008_000001\n",
        f"{root}Annotations/2007_000032.xml": b"<annotation/>",
    }
    for seed, name in enumerate((*VOC_TRAIN, *VOC_VAL, *VOC_OTHERS)):
        size = VOC_SIZES.get(name, (120, 90))
        files[f"{root}JPEGImages/{name}.jpg"] = jpeg(size, seed)
        if name not in VOC_OTHERS:
            files[f"{root}SegmentationClass/{name}.png"] = png(voc_label(size, seed), voc_palette())
            files[f"{root}SegmentationObject/{name}.png"] = png(voc_label(size, 3), voc_palette())
    return files


def coco_files() -> dict[str, bytes]:
    """All 182 values and void in one label map; curated lists that leave a photograph out."""
    files = {}
    for split, names in (("train", (9, 25, 30)), ("val", (139, 285))):
        for seed, number in enumerate(names):
            name, size = f"{number:012d}", (40 + seed, 23)
            label = np.arange(size[0] * size[1], dtype=np.uint32).reshape(size[::-1]) % 183
            label = np.where(label == 182, 255, (label + number) % 182).astype(np.uint8)
            files[f"{split}2017/{name}.jpg"] = jpeg(size, number)
            files[f"annotations/{split}2017/{name}.png"] = png(label)
    lists = "curated/{}2017/Coco164kFull_Stuff_Coarse{}.txt"
    files[lists.format("train", "")] = b"000000000030\n000000000009\n"
    files[lists.format("val", "_7")] = b"000000000285\n"
    files[lists.format("val", "")] = b"000000000139\n000000000285\n"
    return files


def cityscapes_files() -> dict[str, bytes]:
    files = {}
    for split, city, frame in (
        ("train", "aachen", 19),
        ("train", "zurich", 1),
        ("val", "lindau", 0),
        ("test", "bonn", 4),
    ):
        stem, size = f"{city}_000000_{frame:06d}", (70, 36)
        ids = (np.arange(70 * 36).reshape(36, 70) % 36).astype(np.uint8)
        ids[0, :5] = 255  # the licence plate's -1
        files[f"leftImg8bit/{split}/{city}/{stem}_leftImg8bit.png"] = png(np.asarray(picture(size, frame)))
        files[f"gtFine/{split}/{city}/{stem}_gtFine_labelIds.png"] = png(ids)
        files[f"gtFine/{split}/{city}/{stem}_gtFine_instanceIds.png"] = png(ids.astype(np.uint16))
        files[f"gtFine/{split}/{city}/{stem}_gtFine_color.png"] = png(np.asarray(picture(size, 1)))
    return files


def mat(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    savemat(stream, arrays)
    return stream.getvalue()


def potsdam_mat_files() -> dict[str, bytes]:
    files = {
        "potsdam/labelled_train.txt": b"12_0_3\n7_14_2\n",
        "potsdam/labelled_test.txt": b"30_1_1\n",
        "potsdam/unlabelled_train.txt": b"2_2_2\n",
    }
    for seed, name in enumerate(("12_0_3", "7_14_2", "30_1_1", "2_2_2")):
        rgb = np.asarray(picture((200, 200), seed))
        files[f"potsdam/imgs/{name}.mat"] = mat(img=np.dstack([rgb, 255 - rgb[..., 0]]))
        if name != "2_2_2":
            ids = (np.arange(200 * 200).reshape(200, 200) // (50 + seed) % 7).astype(np.uint8)
            files[f"potsdam/gt/{name}.mat"] = mat(gt=np.where(ids == 6, 255, ids).astype(np.uint8))
    return files


POTSDAM_COLOURS = ((255, 255, 255), (0, 0, 255), (0, 255, 255), (0, 255, 0), (255, 255, 0), (255, 0, 0))


def potsdam_tif_files() -> dict[str, bytes]:
    """Tiles of 5 squares across and 2 down after halving (the real ones have 15 of each)."""
    files = {}
    for seed, tile in enumerate(("2_10", "7_13")):
        ids = (np.arange(800)[:, None] // 90 + np.arange(2000)[None] // 70 + seed) % 6
        label = np.array(POTSDAM_COLOURS, dtype=np.uint8)[ids]
        label[label == 255] -= np.uint8(3 * seed)  # as in the published tile whose colours are a little off
        for name, array in (
            (f"2_Ortho_RGB/top_potsdam_{tile}_RGB.tif", np.asarray(picture((2000, 800), seed))),
            (f"5_Labels_all/top_potsdam_{tile}_label.tif", label),
        ):
            stream = io.BytesIO()
            Image.fromarray(array).save(stream, "TIFF")
            files[name] = stream.getvalue()
    return files


def as_tar(files: dict[str, bytes], target: Path, mode: str = "w") -> Path:
    with tarfile.open(target, mode) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return target


def as_zip(files: dict[str, bytes], target: Path) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return target


def as_folder(files: dict[str, bytes], target: Path) -> Path:
    for name, content in files.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(content)
    return target


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder, hidden ones too."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def values(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image)

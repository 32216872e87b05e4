"""Folders of one's own: where labels are found, what kinds there are, and how photographs are split."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from stego_cli.classes import numbered
from stego_cli.datasets.near_duplicates import alike, fingerprint
from stego_cli.errors import NoInputError, SourceError, UsageError

IDS = np.array([[0, 1, 2], [2, 255, 1]], dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)


def labelled(official, label: bytes, folder="labels"):
    return {"imgs/train/x/a.jpg": official.jpeg((24, 16), 1), f"{folder}/train/x/a.png": label}


def written(official, tmp_path):
    return official.values(tmp_path / "out/labels/train/x/a.png")


@pytest.mark.parametrize("folder", ["labels", "masks", "annotations"])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_numbers_are_classes(official, make, tmp_path, folder, depth) -> None:
    label = official.png(IDS.astype(depth))
    prepared = make("folder", official.as_folder(labelled(official, label, folder), tmp_path / "given"))
    assert np.array_equal(written(official, tmp_path), IDS)
    assert prepared.about.table is not None
    assert prepared.about.table.names == ("class 0", "class 1", "class 2")
    assert prepared.about.splits["train"].void == 64


def test_a_palette_of_ones_own_is_kept(official, make, tmp_path) -> None:
    own = [(9, 8, 7), (200, 0, 1), (3, 4, 5)]
    label = official.png(IDS, [channel for colour in own for channel in colour] + [0] * 759)
    prepared = make("folder", official.as_folder(labelled(official, label), tmp_path / "given"))
    assert np.array_equal(written(official, tmp_path), IDS)
    assert prepared.about.table is not None
    assert prepared.about.table.colours == own
    with Image.open(tmp_path / "out/labels/train/x/a.png") as mask:
        assert mask.getpalette()[:9] == [channel for colour in own for channel in colour]


def test_colours_become_classes_by_the_palette_file(official, make, tmp_path) -> None:
    (tmp_path / "colours.txt").write_text("70 130 180 sky\n\n#808080  road and path\n0,0,0 void\n10 20 30\n")
    colours = np.array([(70, 130, 180), (128, 128, 128), (10, 20, 30), (0, 0, 0), (1, 2, 3)], dtype=np.uint8)
    ids = np.arange(24 * 16).reshape(16, 24) % 5
    label = official.png(colours[ids])
    source = official.as_folder(labelled(official, label), tmp_path / "given")
    prepared = make("folder", source, palette=tmp_path / "colours.txt")
    assert np.array_equal(written(official, tmp_path), np.array([0, 1, 2, 255, 255])[ids])
    assert prepared.about.table is not None
    assert prepared.about.table.names == ("sky", "road and path", "class 2")
    assert prepared.about.table.colours[0] == (70, 130, 180)


def test_a_folder_for_each_class_lays_masks_over_each_other(official, make, tmp_path) -> None:
    sky, tree = np.zeros((2, 16, 24), dtype=np.uint8)
    sky[:10], tree[8:12] = 255, 1
    files = {"p/a.jpg": official.jpeg((24, 16), 1), "p/b.jpg": official.jpeg((24, 16), 2)}
    official.as_folder(files, tmp_path / "photos")
    masks = {"sky/p/a.png": official.png(sky), "tree/p/a.png": official.png(tree), "sky/p/b.png": official.png(sky)}
    prepared = make("folder", tmp_path / "photos", labels=official.as_folder(masks, tmp_path / "given"), val=0.0)
    expected = np.full((16, 24), 255)
    expected[:10], expected[8:12] = 0, 1
    assert np.array_equal(official.values(tmp_path / "out/labels/train/p/a.png"), expected)
    assert prepared.about.table is not None
    assert prepared.about.table.names == ("sky", "tree")


def test_labels_elsewhere_may_be_missing_and_classes_named(official, make, tmp_path, recorder) -> None:
    official.as_folder({"a.jpg": official.jpeg((24, 16), 1), "b.png": official.png(IDS)}, tmp_path / "photos")
    official.as_folder({"a.png": official.png(IDS)}, tmp_path / "given")
    settings = {"labels": tmp_path / "given", "classes": numbered(3), "val": 0.0}
    prepared = make("folder", tmp_path / "photos", progress=recorder, **settings)
    assert (prepared.about.splits["train"].photographs, prepared.about.splits["train"].labels) == (2, 1)
    assert "1 of 2 photographs have no label." in recorder.notes


def test_broken_ones_are_left_out_and_listed(official, make, tmp_path) -> None:
    label = official.png(IDS)
    files = {f"imgs/train/{name}.jpg": official.jpeg((24, 16), seed) for seed, name in enumerate("abcdef")}
    files |= {f"labels/train/{name}.png": label for name in "abcdef"}
    files["labels/train/b.png"] = label[:50]
    files["labels/train/c.png"] = official.png(np.full((16, 24, 3), (9, 0, 0), np.uint8))
    files["labels/train/d.png"] = official.png(IDS[:, :20])
    files["labels/train/e.png"] = official.png(IDS + np.uint8(3))
    files["imgs/train/f.jpg"] = b"text"
    prepared = make("folder", official.as_folder(files, tmp_path / "given"), classes=numbered(3))
    assert [path for path, _ in prepared.failures] == [f"train/{name}" for name in "bcdef"]
    reasons = " ".join(reason for _, reason in prepared.failures)
    for part in ("colour picture", "20 x 16", "class 3"):
        assert part in reasons
    names = [str(file.relative_to(tmp_path / "out")) for file in (tmp_path / "out").rglob("*.*g")]
    assert sorted(names) == ["contact.jpg", "imgs/train/a.jpg", "labels/train/a.png"]
    with pytest.raises(NoInputError):
        make("folder", official.as_folder({"a.jpg": b"", "b.jpg": b""}, tmp_path / "empty"), out=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_folder_without_photographs_is_refused(official, make, tmp_path) -> None:
    with pytest.raises(SourceError, match="no photograph"):
        make("folder", official.as_folder({"notes.txt": b""}, tmp_path / "given"))


def test_two_photographs_of_one_stem_keep_apart(official, make, tmp_path) -> None:
    files = {"a.jpg": official.jpeg((24, 16), 1), "a.png": official.png(np.asarray(official.picture((24, 16), 2)))}
    make("folder", official.as_folder(files, tmp_path / "given"), val=0.0)
    assert sorted(path.name for path in (tmp_path / "out/imgs/train").iterdir()) == ["a.jpg.jpg", "a.png.png"]


def sides(folder):
    return {path.name: path.parent.name for path in (folder / "imgs").rglob("*.*g")}


def test_adding_photographs_moves_none(official, make, tmp_path) -> None:
    photos = {f"{index:03}.jpg": official.jpeg((48, 36), index) for index in range(120)}
    official.as_folder(dict(list(photos.items())[40:]), tmp_path / "few")
    make("folder", tmp_path / "few", out=tmp_path / "first")
    make("folder", official.as_folder(photos, tmp_path / "many"), out=tmp_path / "second")
    first, second = sides(tmp_path / "first"), sides(tmp_path / "second")
    assert all(second[name] == side for name, side in first.items())
    assert 10 <= list(second.values()).count("val") <= 40  # a fifth of 120, give or take
    (tmp_path / "many/000.jpg").rename(tmp_path / "many/renamed.jpg")
    make("folder", tmp_path / "many", out=tmp_path / "third")
    assert sides(tmp_path / "third")["renamed.jpg"] == second["000.jpg"]


def again(photo: bytes, kind: str) -> bytes:
    stream = io.BytesIO()
    with Image.open(io.BytesIO(photo)) as image:
        if kind == "smaller":
            image.resize((image.width * 2 // 3, image.height * 2 // 3)).save(stream, "JPEG", quality=70)
        elif kind == "brighter":
            ImageEnhance.Brightness(image).enhance(1.08).save(stream, "JPEG", quality=90)
        else:
            image.save(stream, kind, quality=60)
    return stream.getvalue()


def test_near_duplicates_are_on_one_side(photos_folder, make, official, tmp_path, recorder) -> None:
    files = {}
    for file in sorted(photos_folder.glob("*.jpg")):
        content = file.read_bytes()
        files[f"{file.stem}.jpg"] = content
        for kind, suffix in (("smaller", "jpg"), ("brighter", "jpg"), ("WEBP", "webp")):
            files[f"{file.stem}-{kind}.{suffix}"] = again(content, kind)
    make("folder", official.as_folder(files, tmp_path / "given"), progress=recorder)
    found = {path.name: path.parent.name for path in (tmp_path / "out/imgs").rglob("*.*")}
    for name, side in found.items():
        assert side == found[f"{name.partition('-')[0].removesuffix('.jpg')}.jpg"]
    assert set(found.values()) == {"train", "val"}
    assert any(text.startswith("52 photographs have near-duplicates") for text in recorder.notes)


def test_when_it_is_prepared_anew_even_a_near_duplicate_moves_nothing(photos_folder, make, official, tmp_path) -> None:
    files = {file.name: file.read_bytes() for file in sorted(photos_folder.glob("*.jpg"))}
    source = official.as_folder(files, tmp_path / "given")
    make("folder", source)
    before = sides(tmp_path / "out")
    for name in files:
        (source / f"again-{name}").write_bytes(again(files[name], "smaller"))
    with pytest.raises(UsageError, match="source"):
        make("folder", source)
    make("folder", source, overwrite=True)
    after = sides(tmp_path / "out")
    assert {name: after[name] for name in before} == before
    assert all(after[f"again-{name}"] == side for name, side in before.items())
    shutil.rmtree(tmp_path / "out")


def test_fingerprints_tell_photographs_apart_and_flat_pictures_have_none(photos_folder, official) -> None:
    prints = [fingerprint(file.read_bytes()) for file in sorted(photos_folder.glob("*.jpg"))]
    assert len(alike(prints)) == len(prints) == 13
    assert fingerprint(official.png(np.full((40, 40), 90, np.uint8))) is None
    assert fingerprint(b"no picture") is None
    assert alike([None, None, 5, 7, 0xFFFFF << 40, 0b1111111]) == [[0], [1], [2, 3, 5], [4]]
    assert alike([]) == []

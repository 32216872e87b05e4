"""What holds for every data set: whole or not there, the same again, parts, crops, links."""

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from stego_cli.datasets import write
from stego_cli.datasets.about import find_about, read_about
from stego_cli.datasets.crops import at_random, five
from stego_cli.errors import OutputError, SourceError, Stopped, UsageError
from stego_cli.stop import Stop


@pytest.fixture
def voc(official, tmp_path):
    return official.as_tar(official.voc_files(), tmp_path / "voc.tar")


def hidden(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_the_same_command_again_does_nothing_even_without_the_archive(voc, make, official, tmp_path) -> None:
    make("voc2012", voc)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    assert make("voc2012", voc).kept
    voc.unlink()
    assert make("voc2012", voc).kept
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == times


def test_a_data_set_may_be_made_inside_its_source(official, make, tmp_path) -> None:
    files = {f"{seed}.jpg": official.jpeg((24, 16), seed) for seed in (1, 2)}
    source = official.as_folder(files, tmp_path / "given")
    first = make("folder", source, out=source / "made")
    assert make("folder", source, out=source / "made").kept
    assert make("folder", source, out=source / "made", overwrite=True).about == first.about


def test_other_settings_another_source_or_lost_files_are_noticed(voc, make, tmp_path, official) -> None:
    make("voc2012", voc)
    with pytest.raises(UsageError, match="prepared with other settings \\(limit\\)"):
        make("voc2012", voc, limit=1)
    official.as_tar({**official.voc_files(), "VOCdevkit/VOC2012/JPEGImages/new.jpg": b"more"}, voc)
    with voc.open("ab") as file:
        file.write(bytes(10240))
    with pytest.raises(UsageError, match="prepared with other settings \\(source\\)"):
        make("voc2012", voc)
    official.as_tar(official.voc_files(), voc)
    next((tmp_path / "out/labels/val").iterdir()).unlink()
    with pytest.raises(UsageError, match="1 photographs or labels of"):
        make("voc2012", voc)
    assert not make("voc2012", voc, overwrite=True).kept
    assert make("voc2012", voc).kept
    assert not hidden(tmp_path)


def test_a_folder_that_holds_anything_else_is_left_alone(voc, make, tmp_path) -> None:
    (tmp_path / "out").mkdir()
    make("voc2012", voc)  # an empty one is no reason to refuse
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years")
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="something else"):
            make("voc2012", voc, out=tmp_path / "mine", overwrite=overwrite)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_stopped_and_repeated_gives_the_same_bytes_and_redoes_nothing(
    voc, make, official, tmp_path, monkeypatch
) -> None:
    make("voc2012", voc, out=tmp_path / "undisturbed", unlabelled=True)
    stop, done = Stop(), []
    original = write.Writer.write

    def counted(self, example):
        done.append(example.name)
        if len(done) == 3:
            stop.requested = 130
        return original(self, example)

    monkeypatch.setattr(write.Writer, "write", counted)
    with pytest.raises(Stopped):
        make("voc2012", voc, stop=stop, unlabelled=True)
    assert not (tmp_path / "out").exists()
    assert hidden(tmp_path) == [".out.stego-partial"]
    first = set(done)
    make("voc2012", voc, unlabelled=True)
    assert len(done) == 7 > len(first)
    assert official.contents(tmp_path / "out") == official.contents(tmp_path / "undisturbed")
    assert not hidden(tmp_path)


def test_what_another_command_left_half_done_is_not_mixed_in(voc, make, official, tmp_path) -> None:
    partial = tmp_path / ".out.stego-partial"
    (partial / "imgs/train").mkdir(parents=True)
    (partial / "imgs/train/stray.jpg").write_bytes(b"half")
    (partial / ".stego-journal.jsonl").write_text("another command\n")
    make("voc2012", voc)
    make("voc2012", voc, out=tmp_path / "second")
    assert official.contents(tmp_path / "out") == official.contents(tmp_path / "second")


def test_a_torn_file_or_journal_line_is_done_again(voc, make, official, tmp_path, monkeypatch) -> None:
    make("voc2012", voc, out=tmp_path / "undisturbed")
    original = write.Writer.write
    monkeypatch.setattr(write.Writer, "write", lambda self, example: end(original(self, example)))

    def end(written):
        if written.key == "val/2007_000042":
            raise KeyboardInterrupt  # as a kill would, it leaves everything
        return written

    with pytest.raises(KeyboardInterrupt):
        make("voc2012", voc)
    partial = tmp_path / ".out.stego-partial"
    (partial / "imgs/train/2007_000039.jpg").write_bytes(b"\xff\xd8torn")
    with (partial / ".stego-journal.jsonl").open("a") as journal:
        journal.write('{"key": "val/2007_0')
    monkeypatch.undo()
    make("voc2012", voc)
    assert official.contents(tmp_path / "out") == official.contents(tmp_path / "undisturbed")


def test_a_full_disk_ends_it_and_leaves_nothing(voc, make, tmp_path, monkeypatch) -> None:
    def full(*args, **kwargs):
        raise OutputError("out cannot be written: No space left on device.")

    monkeypatch.setattr(write, "write_new", full)
    with pytest.raises(OutputError):
        make("voc2012", voc, resize=50)
    assert list(tmp_path.iterdir()) == [voc]


@pytest.mark.parametrize("damage", ["label", "class", "photo size", "missing", "listed path", "empty photo"])
def test_a_damaged_member_refuses_the_whole(official, make, tmp_path, damage) -> None:
    files, root = official.voc_files(), "VOCdevkit/VOC2012/"
    if damage == "label":
        name = f"{root}SegmentationClass/2007_000033.png"
        files[name] = files[name][:-40]
    elif damage == "class":
        name = f"{root}SegmentationClass/2007_000033.png"
        files[name] = official.png(np.full((7, 501), 21, dtype=np.uint8), official.voc_palette())
    elif damage == "photo size":
        files[f"{root}JPEGImages/2007_000033.jpg"] = official.jpeg((100, 50), 0)
    elif damage == "missing":
        del files[f"{root}JPEGImages/2007_000033.jpg"]
    elif damage == "empty photo":
        files[f"{root}JPEGImages/2007_000033.jpg"] = b""
    else:
        files[f"{root}ImageSets/Segmentation/val.txt"] = b"../../../../etc/passwd\n"
    source = official.as_tar(files, tmp_path / "voc.tar")
    with pytest.raises(SourceError):
        make("voc2012", source)
    assert list(tmp_path.iterdir()) == [source]


def test_limit_and_fraction_draw_by_seed_and_nest(official, make, tmp_path) -> None:
    photos = {f"{index:03}.jpg": official.jpeg((32, 24), index) for index in range(40)}
    source = official.as_folder({f"imgs/train/{name}": content for name, content in photos.items()}, tmp_path / "given")

    def names(**settings):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        make("folder", source, **settings)
        kept = sorted(path.name for path in (tmp_path / "out/imgs/train").iterdir())
        assert (tmp_path / "out/lists/train.txt").read_text().split() == [name.removesuffix(".jpg") for name in kept]
        return set(kept)

    tenth, quarter, five_of = names(fraction=0.1), names(fraction=0.25), names(limit=5)
    assert (len(tenth), len(quarter), len(five_of)) == (4, 10, 5)
    assert tenth < five_of < quarter
    assert names(fraction=0.1) == tenth
    assert names(fraction=0.1, seed=1) != tenth


def test_five_crops_are_the_corners_and_the_centre_of_training_photographs(voc, make, official, tmp_path) -> None:
    make("voc2012", voc, crops="five", ratio=0.5)
    whole = official.values(
        official.as_folder(official.voc_files(), tmp_path / "given")
        / ("VOCdevkit/VOC2012/SegmentationClass/2007_000032.png")
    )
    boxes = [(0, 0), (250, 0), (0, 141), (250, 141), (125, 70)]
    for index, (left, top) in enumerate(boxes):
        name = f"train/2007_000032_{index}"
        label = official.values(tmp_path / f"out/labels/{name}.png")
        assert np.array_equal(label, whole[top : top + 140, left : left + 250])
        assert official.values(tmp_path / f"out/imgs/{name}.jpg").shape == (140, 250, 3)
    assert len(list((tmp_path / "out/imgs/train").iterdir())) == 15
    assert (tmp_path / "out/imgs/val/2007_000033.jpg").is_file()  # measured on whole


def test_boxes_lie_within_and_random_ones_depend_on_the_seed() -> None:
    for width, height in ((1, 1), (3, 2), (500, 281), (7, 501)):
        for ratio in (0.01, 0.5, 0.99, 1.0):
            drawn = at_random(width, height, ratio, b"seed")
            for left, top, right, bottom in five(width, height, ratio) + drawn:
                assert 0 <= left < right <= width
                assert 0 <= top < bottom <= height
            assert drawn == at_random(width, height, ratio, b"seed")
    assert at_random(500, 281, 0.5, b"seed") != at_random(500, 281, 0.5, b"other")


def test_random_crops_and_resizing_keep_photograph_and_label_together(official, make, tmp_path) -> None:
    ids = (np.arange(120)[:, None] // 30 * 4 + np.arange(160)[None] // 40).astype(np.uint8)
    rgb = np.dstack([ids * 16, 255 - ids * 16, ids * 7]).astype(np.uint8)
    files = {"imgs/train/a.png": official.png(rgb), "labels/train/a.png": official.png(ids)}
    make("folder", official.as_folder(files, tmp_path / "given"), crops="random", ratio=0.6, resize=40)
    for index in range(5):
        label = official.values(tmp_path / f"out/labels/train/a_{index}.png")
        photo = official.values(tmp_path / f"out/imgs/train/a_{index}.png")
        assert label.shape == photo.shape[:2] == (40, 53)
        inside = (label[1:-1, 1:-1] == label[:-2, 1:-1]) & (label[1:-1, 1:-1] == label[2:, 1:-1])
        inside &= (label[1:-1, 1:-1] == label[1:-1, :-2]) & (label[1:-1, 1:-1] == label[1:-1, 2:])
        assert np.mean(np.abs(photo[1:-1, 1:-1, 0].astype(int) - label[1:-1, 1:-1] * 16)[inside] <= 2) > 0.9


def test_resizing_never_enlarges(official, make, tmp_path) -> None:
    photo = official.jpeg((60, 40), 1)
    make("folder", official.as_folder({"imgs/train/a.jpg": photo}, tmp_path / "given"), resize=100)
    with Image.open(tmp_path / "out/imgs/train/a.jpg") as image:
        assert image.size == (60, 40)


def test_hard_links_share_the_file_and_are_never_written_through(official, make, tmp_path) -> None:
    source = official.as_folder(official.voc_files(), tmp_path / "given")
    before = official.contents(source)
    make("voc2012", source, link=True)
    photo = "VOCdevkit/VOC2012/JPEGImages/2007_000032.jpg"
    assert (tmp_path / "out/imgs/train/2007_000032.jpg").samefile(source / photo)
    make("voc2012", source, overwrite=True)
    assert not (tmp_path / "out/imgs/train/2007_000032.jpg").samefile(source / photo)
    assert official.contents(source) == before


def test_links_from_an_archive_or_with_crops_are_refused(voc, make) -> None:
    with pytest.raises(UsageError, match="link"):
        make("voc2012", voc, link=True)
    with pytest.raises(UsageError, match="link"):
        make("voc2012", voc, link=True, crops="five")


@pytest.mark.parametrize(
    "settings",
    [{"crops": "six"}, {"ratio": 0}, {"fraction": 1.5}, {"limit": 0}, {"val": 2}, {"resize": 0}, {"labels": "x"}],
)
def test_settings_that_cannot_be_meant_are_refused(voc, make, settings) -> None:
    with pytest.raises(UsageError):
        make("voc2012", voc, **settings)


@pytest.mark.parametrize(
    "wrong",
    [
        {"classes": [{"name": "a", "colour": [0, 0, 256]}]},
        {"classes": 3},
        {"void": 1e999},
        {"void": -1},
        {"splits": {"train": {"photographs": "many"}}},
        {"splits": {"train": {"pixels": [1], "images": [1]}}},
        {"splits": []},
        {"values": ["x"]},
        {"prepared": None},
        {"stego_dataset": "new"},
    ],
)
def test_a_dataset_json_of_wrong_types_is_broken_in_a_sentence(voc, make, tmp_path, wrong) -> None:
    make("voc2012", voc)
    file = tmp_path / "out/dataset.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **wrong}))
    with pytest.raises(UsageError, match="is broken"):
        read_about(tmp_path / "out")
    file.write_text('{"stego_dataset": ' + "[" * 100_000)
    with pytest.raises(UsageError, match="is broken"):
        read_about(tmp_path / "out")


def test_the_contact_sheet_shows_photographs_labels_and_names(voc, make, tmp_path) -> None:
    make("voc2012", voc)
    with Image.open(tmp_path / "out/contact.jpg") as sheet:
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    assert pixels.shape[1] == 1352
    for colour in ((128, 0, 0), (0, 128, 0), (128, 0, 128)):  # labels and legend of what is in it
        assert (np.abs(pixels - colour).max(axis=2) < 12).sum() > 100


def test_dataset_json_is_found_from_below_and_that_of_others_is_none(voc, make, tmp_path) -> None:
    make("voc2012", voc)
    found = find_about(tmp_path / "out/labels/val")
    assert found is not None
    assert (found[0], found[1].name) == (tmp_path / "out", "voc2012")
    file = tmp_path / "out/dataset.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({"title": "another tool's"}))
    assert read_about(tmp_path / "out") is None
    file.write_text(json.dumps({**content, "classes": [{"name": "a"}]}))
    with pytest.raises(UsageError, match="broken"):
        read_about(tmp_path / "out")
    file.write_text(json.dumps({**content, "stego_dataset": 2}))
    with pytest.raises(UsageError, match="newer"):
        read_about(tmp_path / "out")


def test_orientation_is_applied_where_a_photograph_is_encoded_anew(official, make, tmp_path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    official.picture((80, 40), 1).save(stream, "JPEG", exif=exif)
    files = {"imgs/train/a.jpg": stream.getvalue(), "labels/train/a.png": official.png(np.zeros((80, 40), np.uint8))}
    source = official.as_folder(files, tmp_path / "given")
    assert not make("folder", source).failures  # as it is: a viewer turns it, and the label fits what is seen
    make("folder", source, out=tmp_path / "small", resize=20)
    with Image.open(tmp_path / "small/imgs/train/a.jpg") as image:
        assert image.size == (20, 40)

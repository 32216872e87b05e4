"""Files that this tool did not write are never replaced without --overwrite, whatever command would write there."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from stego_cli.images.atomic import sha256

HAND_DRAWN = np.arange(100, dtype=np.uint8).reshape(10, 10) % 7


@pytest.fixture
def photos(tmp_path, photos_folder):
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    for name in ("cat", "lake", "wren", "deep/cat"):
        shutil.copy(photos_folder / f"{name.rpartition('/')[2]}.jpg", folder / f"{name}.jpg")
    return folder


@pytest.fixture
def masks(tmp_path):
    (tmp_path / "masks").mkdir()
    return tmp_path / "masks"


def draw(file):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(HAND_DRAWN).save(file, "PNG")
    return file.read_bytes()


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("how", [(), ("--dry-run",), ("--shard", "1/1")])
def test_labels_drawn_by_hand_are_not_replaced(photos, masks, segment, how):
    for name in ("cat", "lake", "wren", "deep/cat"):
        draw(masks / f"{name}.png")
    before = tree(masks)
    refused = segment(photos, masks, *how)
    assert refused.returncode == 2, refused.stderr
    assert "4 files that this tool did not write" in refused.stderr
    assert "cat.png, deep/cat.png, lake.png and 1 more" in refused.stderr
    assert "--overwrite" in refused.stderr
    assert tree(masks) == before
    assert not (masks / ".stego").exists()


def test_with_overwrite_they_are_replaced(photos, masks, segment):
    drawn = draw(masks / "cat.png")
    assert segment(photos, masks, "--overwrite").returncode == 0
    assert (masks / "cat.png").read_bytes() != drawn
    assert segment(photos, masks).returncode == 0


def test_nothing_is_discovered_before_the_refusal(photos, masks, stego):
    draw(masks / "cat.png")
    refused = stego("segment", photos, "--out", masks)
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 2


def test_files_that_are_in_nobodys_way_are_left_alone(photos, masks, segment):
    drawn = draw(masks / "mine.png")
    assert segment(photos, masks).returncode == 0
    assert (masks / "mine.png").read_bytes() == drawn


def test_labels_of_a_prepared_data_set_are_not_replaced(tmp_path, photos, stego, segment):
    for name in ("cat", "lake", "wren"):
        with Image.open(photos / f"{name}.jpg") as photo:
            Image.new("L", photo.size, 1).save(tmp_path / f"photos/{name}.png")
    (tmp_path / "source/images").mkdir(parents=True)
    (tmp_path / "source/labels").mkdir()
    for name in ("cat", "lake", "wren"):
        (photos / f"{name}.jpg").rename(tmp_path / f"source/images/{name}.jpg")
        (photos / f"{name}.png").rename(tmp_path / f"source/labels/{name}.png")
    made = stego(
        "prepare", "folder", "--source", "source/images", "--labels", "source/labels", "--out", "ds", "--val", "1"
    )
    assert made.returncode == 0, made.stderr
    before = tree(tmp_path / "ds")
    assert any(name.startswith("labels/") for name in before)
    refused = segment("ds", "ds/labels")
    assert refused.returncode == 2, refused.stderr
    assert "3 files that this tool did not write" in refused.stderr
    assert tree(tmp_path / "ds") == before


@pytest.mark.parametrize("beside", ["cat.overlay.jpg", "deep/cat.probs.npz"])
def test_a_file_with_the_name_of_an_output_is_the_users_unless_it_was_written(photos, masks, segment, beside):
    assert segment(photos, masks).returncode == 0
    (masks / beside).write_bytes(b"mine")
    assert segment(photos, masks).returncode == 0  # which writes no such files
    refused = segment(photos, masks, "--overlay", "--keep-probabilities")
    assert refused.returncode == 2
    assert beside in refused.stderr
    assert (masks / beside).read_bytes() == b"mine"
    assert segment(photos, masks, "--overlay", "--keep-probabilities", "--overwrite").returncode == 0
    (masks / beside).unlink()
    assert segment(photos, masks, "--overlay", "--keep-probabilities").returncode == 0


def test_outputs_that_were_written_are_ours_also_after_a_run_without_them(photos, masks, segment):
    assert segment(photos, masks, "--overlay").returncode == 0
    shutil.copy(photos / "lake.jpg", photos / "cat.jpg")
    assert segment(photos, masks).returncode == 0
    shutil.copy(photos / "wren.jpg", photos / "cat.jpg")
    assert segment(photos, masks, "--overlay", "--keep-probabilities").returncode == 0


def test_a_mask_of_ours_stays_ours_whatever_becomes_of_its_photograph(photos, masks, segment):
    assert segment(photos, masks).returncode == 0
    whole = (photos / "cat.jpg").read_bytes()
    (photos / "cat.jpg").write_bytes(b"broken")
    assert segment(photos, masks).returncode == 3
    (photos / "cat.jpg").write_bytes(whole)
    assert segment(photos, masks).returncode == 0
    (masks / "cat.png").write_bytes(b"altered")
    assert segment(photos, masks).returncode == 0
    assert (masks / "cat.png").read_bytes() != b"altered"


def test_the_place_of_a_mask_that_was_never_written_is_the_users(photos, masks, segment):
    whole = (photos / "cat.jpg").read_bytes()
    (photos / "cat.jpg").write_bytes(b"broken")
    assert segment(photos, masks).returncode == 3
    drawn = draw(masks / "cat.png")
    (photos / "cat.jpg").write_bytes(whole)
    refused = segment(photos, masks)
    assert refused.returncode == 2
    assert "a file that this tool did not write, where masks would be written: cat.png." in refused.stderr
    assert (masks / "cat.png").read_bytes() == drawn


@pytest.mark.parametrize("earlier", [(), ("--overwrite",)])
def test_masks_of_a_version_that_kept_no_list_of_places_are_ours(photos, masks, segment, earlier):
    assert segment(photos, masks, "--overlay").returncode == 0
    (masks / ".stego/places.jsonl").unlink()
    assert segment(photos, masks, "--overlay").returncode == 0
    if earlier:
        (masks / ".stego/places.jsonl").unlink()
        (photos / "cat.jpg").write_bytes(b"broken")
        assert segment(photos, masks, "--overlay", *earlier).returncode == 3
    shutil.copy(photos / "lake.jpg", photos / "cat.jpg")
    assert segment(photos, masks, "--overlay").returncode == 0


def test_masks_of_another_shard_are_ours(photos, masks, segment):
    for shard in ("1/2", "2/2", "2/2"):
        assert segment(photos, masks, "--shard", shard).returncode == 0
    assert segment(photos, masks).returncode == 0


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
@pytest.mark.parametrize("link", ["deep", ".stego"])
def test_nothing_is_written_through_a_link_to_a_folder(tmp_path, photos, masks, segment, link, overwrite):
    elsewhere = tmp_path / "elsewhere"
    for name in ("cat.png", "lock", "journal.jsonl", "places.jsonl", "run.json"):
        draw(elsewhere / name)
    before = tree(elsewhere)
    (masks / link).symlink_to(elsewhere)
    refused = segment(photos, masks, *overwrite)
    assert refused.returncode == 6, refused.stderr
    assert f"{masks / link} is a link" in refused.stderr
    assert tree(elsewhere) == before


@pytest.mark.parametrize("name", ["lock", "journal.jsonl", "places.jsonl"])
def test_nothing_is_written_through_a_link_in_the_state(tmp_path, photos, masks, segment, name):
    draw(tmp_path / "mine.png")
    before = sha256(tmp_path / "mine.png")
    (masks / ".stego").mkdir()
    (masks / ".stego" / name).symlink_to(tmp_path / "mine.png")
    refused = segment(photos, masks, "--overwrite")
    assert refused.returncode == 6
    assert sha256(tmp_path / "mine.png") == before


def test_a_link_to_a_file_at_the_place_of_a_mask_is_replaced_and_not_written_through(tmp_path, photos, masks, segment):
    draw(tmp_path / "mine.png")
    before = sha256(tmp_path / "mine.png")
    (masks / "cat.png").symlink_to(tmp_path / "mine.png")
    assert segment(photos, masks).returncode == 2
    assert segment(photos, masks, "--overwrite").returncode == 0
    assert not (masks / "cat.png").is_symlink()
    assert sha256(tmp_path / "mine.png") == before


def test_a_folder_at_the_place_of_a_mask_is_refused(photos, masks, segment):
    (masks / "cat.png").mkdir()
    refused = segment(photos, masks, "--overwrite")
    assert refused.returncode == 6
    assert "is a folder" in refused.stderr


def test_the_list_of_places_may_be_damaged(photos, masks, segment):
    assert segment(photos, masks).returncode == 0
    with (masks / ".stego/places.jsonl").open("ab") as stream:
        stream.write(b'7\n[]\n{"mask": 3}\n{"mask": "x", "begun": 5}\n\xff\n{"mask": {}}\n{"mask": "cat.png", "beg')
    (masks / "cat.png").write_bytes(b"")
    assert segment(photos, masks, "--overlay").returncode == 0
    lines = (masks / ".stego/places.jsonl").read_bytes().splitlines()
    assert json.loads(lines[-1])["begun"] == ["overlay"]


MINE = {"text": b"Dear diary", "picture": b"\xff\xd8\xff\xe0 a photograph", "json": b'{"mine": [1, 2, 3]}'}


@pytest.fixture
def scored(tmp_path, stego):
    """`scored(*words)`: a score of two small masks."""
    for folder in ("pred", "gt"):
        draw(tmp_path / folder / "a.png")
    return lambda *words: stego("score", "--pred", "pred", "--gt", "gt", "--workers", "1", *words)


@pytest.mark.parametrize("mine", MINE)
@pytest.mark.parametrize("flag", ["--json", "--report"])
def test_a_result_given_by_name_replaces_only_results(tmp_path, scored, flag, mine):
    file = tmp_path / "mine"
    file.write_bytes(MINE[mine])
    refused = scored(flag, file)
    assert refused.returncode == 2
    assert f"{file} is there, and is not one that this tool wrote" in refused.stderr
    assert "--overwrite" in refused.stderr
    assert file.read_bytes() == MINE[mine]
    assert scored(flag, file, "--overwrite").returncode == 0
    assert scored(flag, file).returncode == 0  # ours now
    file.write_bytes(b"")  # made by mktemp
    assert scored(flag, file).returncode == 0


@pytest.mark.parametrize("flag", ["--json", "--report"])
def test_a_device_is_not_replaced_by_a_file(tmp_path, scored, flag):
    (tmp_path / "null").symlink_to("/dev/null")
    refused = scored(flag, tmp_path / "null")
    assert refused.returncode == 6
    assert "not a regular file" in refused.stderr


@pytest.mark.parametrize("mine", MINE)
def test_evaluate_correspond_and_export_replace_only_what_they_wrote(tmp_path, stego, photos, mine):
    file = tmp_path / "mine"
    file.write_bytes(MINE[mine])
    (tmp_path / "ds/imgs/val").mkdir(parents=True)
    (tmp_path / "ds/labels/val").mkdir(parents=True)
    cat = photos / "cat.jpg"
    for words in (
        ("evaluate", "ds", "--json", file),
        ("correspond", cat, "--at", "5,5", "--out", "new.png", "--json", file),
        ("correspond", cat, "--at", "5,5", "--out", file),
        ("export-onnx", "run", "--out", file),
    ):
        refused = stego(*words)
        assert refused.returncode == 2, refused.stderr
        assert "is not one that this tool wrote" in refused.stderr
        assert "--overwrite" in refused.stderr
        assert file.read_bytes() == MINE[mine]


@pytest.mark.parametrize("name", ["model.safetensors", "metrics.jsonl", "config.json", "report.html"])
def test_train_does_not_replace_files_of_another_kind(tmp_path, stego, photos, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_bytes(b'{"mine": 1}')
    refused = stego("train", photos, "--out", "run")
    assert refused.returncode == 2, refused.stderr
    assert "--overwrite" in refused.stderr
    assert (tmp_path / "run" / name).read_bytes() == b'{"mine": 1}'

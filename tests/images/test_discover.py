import os

import pytest

from stego_cli.errors import NoInputError, UsageError
from stego_cli.images.discover import find_photos


def tree(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"")
    return root


def pairs(found):
    return {photo.path: photo.mask for photo in found.photos}


def test_photographs_are_found_by_name_at_every_depth_and_sorted(tmp_path):
    tree(tmp_path, "b.JPG", "a.jpeg", "x/y/z/c.Png", "d.heic", "notes.txt", "x/clip.mp4", "e")
    found = find_photos(tmp_path)
    assert [photo.path for photo in found.photos] == ["a.jpeg", "b.JPG", "d.heic", "x/y/z/c.Png"]
    assert pairs(found)["x/y/z/c.Png"] == "x/y/z/c.png"
    assert found.others == 3
    assert found.root == tmp_path


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    tree(tmp_path, "a.jpg", ".b.jpg", ".cache/c.jpg")
    assert pairs(find_photos(tmp_path)) == {"a.jpg": "a.png"}


def test_a_single_photograph_is_its_own_tree(tmp_path):
    tree(tmp_path, "x/a.jpg", "x/b.jpg")
    found = find_photos(tmp_path / "x/a.jpg", exclude=tmp_path / "masks")
    assert (found.root, pairs(found)) == (tmp_path / "x", {"a.jpg": "a.png"})


def test_the_output_folder_and_those_of_other_runs_are_not_looked_into(tmp_path):
    tree(
        tmp_path,
        "a.jpg",
        "masks/a.png",
        "old/.stego/journal.jsonl",
        "old/a.png",
        "x/older/.stego/lock",
        "x/older/b.png",
    )
    found = find_photos(tmp_path, exclude=tmp_path / "masks")
    assert pairs(found) == {"a.jpg": "a.png"}
    assert sorted(found.outputs) == ["old", "x/older"]


def test_an_output_folder_that_is_named_through_a_link_is_known_all_the_same(tmp_path):
    tree(tmp_path, "photos/a.jpg", "photos/masks/a.png")
    (tmp_path / "link").symlink_to(tmp_path / "photos/masks")
    assert pairs(find_photos(tmp_path / "photos", exclude=tmp_path / "link")) == {"a.jpg": "a.png"}


def test_masks_that_would_collide_carry_the_whole_name_of_their_photograph(tmp_path):
    tree(tmp_path, "a.jpg", "a.png", "b.jpg")
    assert pairs(find_photos(tmp_path)) == {"a.jpg": "a.jpg.png", "a.png": "a.png.png", "b.jpg": "b.png"}


def test_a_longer_name_that_is_taken_too_is_told_apart_by_a_hash(tmp_path):
    tree(tmp_path, "a.jpg", "a.png", "a.jpg.gif")  # the third has the mask a.jpg.png for itself
    masks = pairs(find_photos(tmp_path))
    assert masks["a.jpg.gif"] == "a.jpg.png"
    assert masks["a.jpg"].startswith("a.jpg-")
    assert len({mask.casefold() for mask in masks.values()}) == 3


def test_masks_of_the_longest_names_fit_into_the_file_system(tmp_path):
    tree(tmp_path, "a" * 251 + ".jpg", "a" * 251 + ".png", "é" * 125 + ".jpeg")
    for mask in pairs(find_photos(tmp_path)).values():
        assert len(os.fsencode(mask)) <= 255
        tree(tmp_path / "masks", mask)


def test_a_mask_never_has_the_name_of_a_folder_of_masks(tmp_path):
    tree(tmp_path, "a.jpg", "a.png/b.jpg", "x.png/y.png/c.jpg", "x.jpg", "x.png/y.gif")
    masks = set(pairs(find_photos(tmp_path)).values())
    assert len(masks) == 5
    assert not masks & {"a.png", "x.png", "x.png/y.png"}


def test_no_photograph_at_all_is_an_error_that_tells_what_was_looked_for(tmp_path):
    tree(tmp_path, "notes.txt")
    with pytest.raises(NoInputError, match="1 not named like a picture") as error:
        find_photos(tmp_path)
    assert ".jpg" in error.value.remedy
    with pytest.raises(NoInputError, match="does not exist"):
        find_photos(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["a" * 300, "file.txt/below", "loop"])
def test_an_input_that_cannot_be_looked_at_is_an_error_with_its_reason(tmp_path, name):
    (tmp_path / "file.txt").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(NoInputError, match="cannot be read: "):
        find_photos(tmp_path / name)


def test_an_output_among_the_photographs_is_refused(tmp_path):
    tree(tmp_path, "x/a.jpg", "x/x/b.jpg")
    for root, out in (
        (tmp_path / "x", tmp_path / "x"),
        (tmp_path / "x/a.jpg", tmp_path / "x"),
        (tmp_path / "x", tmp_path),
    ):
        with pytest.raises(UsageError):
            find_photos(root, exclude=out)


def test_a_folder_of_masks_is_not_taken_for_photographs(tmp_path):
    (tmp_path / "masks" / ".stego").mkdir(parents=True)
    (tmp_path / "masks" / "a.png").touch()
    with pytest.raises(UsageError, match="holds the masks of a run"):
        find_photos(tmp_path / "masks")

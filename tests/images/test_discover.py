import os
import socket

import pytest

from stego_cli.errors import NoInputError, OutputError, UsageError
from stego_cli.images.discover import Reason, find_photos
from stego_cli.reading import Walk


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


# What is passed over.


def passed(found):
    return {reason: those.paths for reason, those in found.passed.items() if those.count}


def test_what_is_passed_over_is_counted_by_reason_with_its_paths(tmp_path):
    tree(tmp_path, "a.jpg", "x/b.png", ".c.jpg", "x/.d/e.jpg", "x/notes.txt", "out/.stego/lock", "out/a.png")
    tree(tmp_path, "a_mask.png", "y/f.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "y")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "pipe-link.jpg").symlink_to("pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(tmp_path / "socket.png"))
        found = find_photos(tmp_path, walk=Walk(exclude=("y",)))
    assert list(pairs(found)) == ["a.jpg", "x/b.png"]
    assert {reason: sorted(paths) for reason, paths in passed(found).items()} == {
        Reason.HIDDEN: [".c.jpg", "x/.d"],
        Reason.NAME: ["x/notes.txt"],
        Reason.OUTPUT: ["out"],
        Reason.MASK: ["a_mask.png"],
        Reason.LINK: ["link"],
        Reason.NOT_FILE: ["pipe-link.jpg", "pipe.jpg", "socket.png"],
        Reason.PATTERN: ["y"],
    }
    assert (found.others, found.outputs) == (1, ["out"])
    plain = find_photos(tmp_path / "y")
    assert (plain.others, plain.outputs, dict(plain.passed)) == (0, [], {})  # being asked adds nothing


def test_the_paths_that_are_kept_are_bounded_and_the_count_is_not(tmp_path):
    tree(tmp_path, "a.jpg", *(f"{index}.txt" for index in range(1200)))
    found = find_photos(tmp_path)
    assert found.passed[Reason.NAME].count == 1200
    assert len(found.passed[Reason.NAME].paths) == 1000


MASKS = [
    "a_mask.png", "a_masks.png", "a_label.png", "a_labels.png", "a_labelIds.png", "a_gt.png", "a_seg.png",
    "a_segmentation.png", "a_annotation.png", "a-mask.png", "a.mask.png", "a mask.jpg", "A_MASK.PNG", "a_trainIds.png",
    "a_label_ids.png", "a_gtFine_color.png", "a_mask_gt.png", "a__seg.tif", "a_ground_truth.bmp",
]  # fmt: skip


@pytest.mark.parametrize("name", MASKS)
def test_what_looks_like_a_mask_of_a_photograph_beside_it_is_passed_over(tmp_path, name):
    tree(tmp_path, "x/a.jpg", f"x/{name}", f"y/{name}")
    found = find_photos(tmp_path)
    assert set(pairs(found)) == {"x/a.jpg", f"y/{name}"}  # in y there is no photograph that it could be the mask of
    assert passed(found) == {Reason.MASK: [f"x/{name}"]}


def test_labels_of_cityscapes_are_known_by_their_photographs(tmp_path):
    tree(tmp_path, "b_leftImg8bit.png", "b_gtFine_labelIds.png", "b_gtFine_instanceIds.png", "b_gtFine_color.png")
    assert list(pairs(find_photos(tmp_path))) == ["b_leftImg8bit.png"]


def test_names_that_only_resemble_those_of_masks_are_photographs(tmp_path):
    names = {"a.jpg", "unmask.jpg", "mask.jpg", "amask.jpg", "a_masked.jpg", "a_color.jpg", "x/_mask.jpg", "gt.jpg"}
    tree(tmp_path, *names)
    assert set(pairs(find_photos(tmp_path))) == names


def test_patterns_choose_files_and_folders(tmp_path):
    tree(tmp_path, "a.jpg", "b.png", "x/a.jpg", "x/b.png", "x/y/c.jpg", "raw/d.jpg")

    def chosen(**patterns):
        return set(pairs(find_photos(tmp_path, walk=Walk(**patterns))))

    assert chosen(include=("*.jpg",)) == {"a.jpg", "x/a.jpg", "x/y/c.jpg", "raw/d.jpg"}
    assert chosen(include=("x/*",)) == {"x/a.jpg", "x/b.png", "x/y/c.jpg"}
    assert chosen(include=("a.*", "c.*")) == {"a.jpg", "x/a.jpg", "x/y/c.jpg"}
    assert chosen(exclude=("raw", "*.png")) == {"a.jpg", "x/a.jpg", "x/y/c.jpg"}
    assert chosen(exclude=("x/y",)) == {"a.jpg", "b.png", "x/a.jpg", "x/b.png", "raw/d.jpg"}
    assert chosen(include=("x/*",), exclude=("*/y/*",)) == {"x/a.jpg", "x/b.png"}
    with pytest.raises(NoInputError, match="6 left out by a pattern"):
        chosen(include=("*.tif",))


def test_links_to_folders_are_followed_where_that_is_asked_for_and_no_folder_twice(tmp_path):
    tree(tmp_path, "in/a.jpg", "in/x/b.jpg", "elsewhere/c.jpg", "elsewhere/z/d.jpg")
    for link, target in {
        "in/loop": "in",
        "in/x/up": "in/x",
        "in/again": "in/x",
        "in/out": "elsewhere",
        "elsewhere/back": "in",
        "in/twice": "elsewhere",
        "in/broken": "nowhere",
    }.items():
        (tmp_path / link).symlink_to(tmp_path / target)
    found = find_photos(tmp_path / "in", walk=Walk(follow_links=True))
    assert set(pairs(found)) == {"a.jpg", "x/b.jpg", "out/c.jpg", "out/z/d.jpg"}
    assert set(passed(found)[Reason.LINK]) == {"loop", "x/up", "again", "out/back", "twice"}
    plain = find_photos(tmp_path / "in")
    assert set(pairs(plain)) == {"a.jpg", "x/b.jpg"}
    assert set(passed(plain)[Reason.LINK]) == {"loop", "x/up", "again", "out", "twice"}


def test_the_output_is_not_looked_into_through_a_link_either(tmp_path):
    tree(tmp_path, "in/a.jpg", "masks/a.png", "older/.stego/lock", "older/b.png")
    (tmp_path / "in/x").symlink_to(tmp_path / "masks")
    (tmp_path / "in/y").symlink_to(tmp_path / "older")
    found = find_photos(tmp_path / "in", tmp_path / "masks", Walk(follow_links=True))
    assert list(pairs(found)) == ["a.jpg"]
    assert found.outputs == ["y"]


@pytest.mark.parametrize("link", ["masks/x", "masks/.stego", "masks/x/y"])
def test_masks_are_not_written_through_a_link_to_another_folder(tmp_path, link):
    tree(tmp_path, "in/x/y/a.jpg", "elsewhere/keep.txt")
    (tmp_path / link).parent.mkdir(parents=True)
    (tmp_path / link).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="is a link to another folder"):
        find_photos(tmp_path / "in", tmp_path / "masks")
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere")  # but the output folder itself may be one
    assert list(pairs(find_photos(tmp_path / "in", tmp_path / "out"))) == ["x/y/a.jpg"]

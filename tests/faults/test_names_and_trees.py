"""Names and trees of every kind: each photograph gets a mask of its own, and masks are never taken for photographs."""

import errno
import hashlib
import os
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

GREEN, BLUE = (10, 250, 10), (10, 10, 250)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


def picture(file, colour=GREEN):
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        Image.new("RGB", (30, 20), colour).save(stream, "JPEG" if file.suffix.lower() == ".jpg" else "PNG")


def masks_below(out):
    return {str(path.relative_to(out)) for path in out.rglob("*.png") if path.is_file()}


def class_of(file):
    with Image.open(file) as mask:
        return mask.getpixel((0, 0))


def test_names_that_differ_in_suffix_case_or_normalisation_alone_get_masks_of_their_own(photos, segment, journal):
    cafe = unicodedata.normalize("NFC", "café")
    names = [
        "a.jpg",
        "a.png",
        "A.jpg",
        "x/b.jpg",
        "X/B.jpg",
        f"{cafe}.jpg",
        f"{unicodedata.normalize('NFD', cafe)}.jpg",
    ]
    for name in names:
        picture(photos / name)
    on_disk = sum(path.is_file() for path in photos.rglob("*"))  # a file system may have taken two names for one
    out = photos.parent / "masks"
    assert segment(photos, out).returncode == 0
    masks = [entry["mask"] for entry in journal(out).values()]
    assert len(masks) == on_disk
    assert len({unicodedata.normalize("NFC", mask).casefold() for mask in masks}) == on_disk
    assert masks_below(out) == set(masks)


def test_a_photograph_and_a_folder_that_would_share_a_mask_name_are_kept_apart(photos, segment):
    picture(photos / "a.jpg", GREEN)
    picture(photos / "a.png/b.jpg", BLUE)
    out = photos.parent / "masks"
    assert segment(photos, out).returncode == 0
    assert masks_below(out) == {"a.jpg.png", "a.png/b.png"}
    assert (class_of(out / "a.jpg.png"), class_of(out / "a.png/b.png")) == (1, 2)


def test_the_same_name_in_two_folders_is_mirrored(photos, segment):
    picture(photos / "x/a.jpg", GREEN)
    picture(photos / "y/deep/a.jpg", BLUE)
    out = photos.parent / "masks"
    assert segment(photos, out).returncode == 0
    assert masks_below(out) == {"x/a.png", "y/deep/a.png"}
    assert (class_of(out / "x/a.png"), class_of(out / "y/deep/a.png")) == (1, 2)


def test_links_to_files_are_followed_and_links_to_folders_are_not(photos, segment):
    picture(photos / "own.jpg")
    picture(photos.parent / "elsewhere/one.jpg")
    (photos / "loop").symlink_to(photos)
    (photos / "outside").symlink_to(photos.parent / "elsewhere")
    (photos / "linked.jpg").symlink_to(photos.parent / "elsewhere/one.jpg")
    out = photos.parent / "masks"
    assert segment(photos, out).returncode == 0
    assert masks_below(out) == {"own.png", "linked.png"}


def test_links_that_lead_nowhere_are_reported_and_hide_nothing(photos, segment):
    for name in ("b.jpg", "z/c.jpg"):
        picture(photos / name)
    (photos / "a-self.jpg").symlink_to("a-self.jpg")
    (photos / "c-gone.jpg").symlink_to("nowhere.jpg")
    out = photos.parent / "masks"
    result = segment(photos, out)
    assert result.returncode == 3
    assert "failed: a-self.jpg: " in result.stderr
    assert "failed: c-gone.jpg: " in result.stderr
    assert masks_below(out) == {"b.png", "z/c.png"}


NAMES = [
    b"new\nline.jpg",
    b"tab\t.jpg",
    b"escape\x1b[31m.jpg",
    "\N{CAMPING} lac.jpg".encode(),
    b"caf\xe9.jpg",
    b"a" * 251 + b".jpg",
    b"quote\"'\\.jpg",
    b"[red]markup[/red].jpg",
    b"-dash.jpg",
    b" space .jpg",
    b"...dots.jpg.jpg",
]


def test_every_name_that_a_file_can_have_is_processed_and_the_journal_parses(photos, segment, journal):
    for name in NAMES:
        picture(photos / os.fsdecode(name))
    out = photos.parent / "masks"
    result = segment(photos, out, "--overlay", "--json")
    visible = {name for name in NAMES if not name.startswith(b".")}
    assert result.returncode == 0, result.stderr
    assert {os.fsencode(path) for path in journal(out)} == visible
    assert {os.fsencode(mask) for mask in masks_below(out)} == {name[:-4] + b".png" for name in visible}
    assert len(list(out.rglob("*.overlay.jpg"))) == len(visible)
    again = segment(photos, out, "--overlay")
    assert f"{len(visible)} of {len(visible)} photographs have their masks already" in again.stderr


def test_a_name_cannot_steer_the_terminal_nor_break_a_line(photos, segment):
    (photos / "bad\x1b[31m\nError: all is lost.jpg").write_bytes(b"text")
    result = segment(photos, "masks")
    assert result.returncode == 3
    assert "\x1b" not in result.stderr
    assert not any(line.startswith("Error:") for line in result.stderr.splitlines())
    assert r"bad\x1b[31m\nError: all is lost.jpg" in result.stderr


def test_masks_inside_the_photographs_folder_are_never_read_as_photographs(photos, segment):
    for name in ("a.jpg", "x/b.jpg"):
        picture(photos / name)
    for out in (photos / "masks", photos / "masks", photos / "x/others"):  # the same again, then another beside it
        result = segment(photos, out)
        assert result.returncode == 0
        assert masks_below(out) == {"a.png", "x/b.png"}
    assert "Passed over, a folder of a run's masks: 1 (masks)." in result.stderr


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("given", "out"),
    [
        ("photos", "photos"),
        ("photos", "photos/../photos/"),
        ("photos/b.png", "photos"),  # the mask of b.png would be b.png
        ("photos", "."),  # the mask of photos/photos/b.jpg would be photos/b.png
    ],
)
def test_an_output_that_would_put_masks_among_the_photographs_is_refused(photos, segment, given, out):
    picture(photos / "b.png")
    picture(photos / "photos/b.jpg")
    before = digests(photos)
    root = photos.parent
    result = segment(root / given, f"{root}/{out}")
    assert result.returncode == 2, result.stderr
    assert result.stderr.count("Error: ") == 1
    assert digests(photos) == before


def test_an_output_around_the_photographs_folder_is_taken_where_no_mask_falls_into_it(photos, segment):
    picture(photos / "x/b.jpg")
    assert segment(photos, photos.parent).returncode == 0
    assert (photos.parent / "x/b.png").is_file()


def test_a_name_that_the_file_system_refuses_costs_that_photograph_alone(photos, segment, journal, monkeypatch):
    for name in ("a.jpg", "b:c.jpg", "d/e:f/g.jpg", "h.jpg"):
        picture(photos / name)
    replace, mkdir = Path.replace, Path.mkdir

    def refusing(call):
        def act(path, *arguments, **options):  # as file systems of Windows do
            if ":" in f"{path}{arguments}".replace("C:", ""):
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            return call(path, *arguments, **options)

        return act

    monkeypatch.setattr(Path, "replace", refusing(replace))
    monkeypatch.setattr(Path, "mkdir", refusing(mkdir))
    out = photos.parent / "masks"
    result = segment(photos, out)
    assert result.returncode == 3, result.stderr
    for name in ("b:c.jpg", "d/e:f/g.jpg"):
        assert f"failed: {name}: " in result.stderr
    assert "the file system refuses the name" in result.stderr
    assert masks_below(out) == {"a.png", "h.png"}
    assert not list(out.rglob("*.tmp"))
    monkeypatch.undo()
    assert segment(photos, out).returncode == 0  # renamed or copied elsewhere, the same command does the rest
    assert masks_below(out) == {"a.png", "b:c.png", "d/e:f/g.png", "h.png"}


@pytest.mark.parametrize("link", ["masks/x", "masks/.stego"])
def test_a_link_to_a_folder_in_the_output_is_refused_and_what_is_there_stays(photos, segment, link):
    picture(photos / "x/a.jpg")
    root = photos.parent
    (root / "mine").mkdir()
    (root / "mine/a.png").write_bytes(b"mine")
    (root / "masks").mkdir()
    (root / link).symlink_to(root / "mine")
    result = segment(photos, root / "masks")
    assert result.returncode == 6, result.stderr
    assert "is a link to another folder" in result.stderr
    assert [(path.name, path.read_bytes()) for path in (root / "mine").iterdir()] == [("a.png", b"mine")]


@pytest.mark.parametrize("name", ["lock", "journal.jsonl"])
@pytest.mark.parametrize("hard", [False, True])
def test_a_link_to_a_file_in_the_state_folder_is_refused_and_the_file_stays(photos, segment, name, hard):
    picture(photos / "a.jpg")
    root = photos.parent
    (root / "mine").write_bytes(b"mine")
    assert segment(photos, root / "masks").returncode == 0
    (root / f"masks/.stego/{name}").unlink()
    (root / f"masks/.stego/{name}").hardlink_to(root / "mine") if hard else (root / f"masks/.stego/{name}").symlink_to(
        root / "mine"
    )
    result = segment(photos, root / "masks")
    assert result.returncode == 6, result.stderr
    assert "is a link" in result.stderr
    assert (root / "mine").read_bytes() == b"mine"


def test_masks_beside_their_photographs_are_passed_over(photos, segment):
    for name in ("a.jpg", "a_mask.png", "b.jpg", "b_labelIds.png", "other_mask.png"):
        picture(photos / name)
    out = photos.parent / "masks"
    assert segment(photos, out).returncode == 0
    assert masks_below(out) == {"a.png", "b.png", "other_mask.png"}

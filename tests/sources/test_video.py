"""`stego segment` on videos: a mask for each frame, or one lossless video, with times and areas."""

import csv
import os
import signal
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from stego_cli.part_settings import PartSettings
from stego_cli.reading import Reading
from stego_cli.sources.source import Asked, PartMask
from stego_cli.sources.steady import steadied
from stego_cli.sources.video import VideoSource
from tests.sources.conftest import COLOURS

HEIGHT, WIDTH = 56, 84  # whole patches of the tiny model
FRAMES = 12


def labels_of(index: int) -> np.ndarray:
    """Labels of a frame: a border that moves by two pixels a frame, in the colours of red and green."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[:, 10 + 2 * index :] = 1
    return labels


def write_clip(file, stamps=None, codec="libx264", turned=0, frames=FRAMES, **options):
    """A clip of `labels_of`; `stamps`: times of the frames in milliseconds."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"crf": "1", "preset": "ultrafast", **options})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv444p" if codec == "libx264" else "yuv420p"
        if stamps is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(COLOURS[labels_of(index)], format="rgb24")
            if stamps is not None:
                frame.pts, frame.time_base = stamps[index], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.fixture
def clip(tmp_path):
    write_clip(tmp_path / "clip.mp4")
    return tmp_path / "clip.mp4"


def agreement(mask, index):
    with Image.open(mask) as image:
        return (np.asarray(image) == labels_of(index)).mean()


def rows(folder):
    return list(csv.DictReader((folder / "areas.csv").read_text().splitlines()))


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])  # the latter where FFmpeg was built without the former
def test_every_frame_has_a_mask_and_the_areas_are_listed_over_time(clip, segment, tmp_path, monkeypatch, codec):
    monkeypatch.setattr("stego_cli.sources.frame_masks._overlay_codec", lambda: codec)
    result = segment(clip, tmp_path / "masks", "--overlay")
    assert result.returncode == 0, result.stderr
    folder = tmp_path / "masks/clip"
    assert len(list(folder.glob("frame_*.png"))) == FRAMES
    assert all(agreement(folder / f"frame_{index:06}.png", index) > 0.95 for index in range(FRAMES))
    areas = rows(folder)
    assert [float(row["seconds"]) for row in areas] == pytest.approx([index / 25 for index in range(FRAMES)], abs=1e-4)
    assert [float(row["red"]) for row in areas] == pytest.approx(
        [(10 + 2 * index) / WIDTH for index in range(FRAMES)], abs=0.04
    )
    with av.open(str(folder / "overlay.mp4")) as overlay:
        assert sum(1 for _ in overlay.decode(video=0)) == FRAMES
    assert "1 of 1 photographs have their masks already" in segment(clip, tmp_path / "masks", "--overlay").stderr
    (folder / "frame_000003.png").unlink()  # one that is lost is made again
    assert segment(clip, tmp_path / "masks", "--overlay").returncode == 0
    assert (folder / "frame_000003.png").is_file()


@pytest.mark.parametrize(("option", "frames"), [(("--every", 5), [0, 5, 10]), (("--fps", 10), [0, 2, 5, 7, 10])])
def test_some_frames_alone(clip, segment, tmp_path, option, frames):
    assert segment(clip, tmp_path / "masks", *option).returncode == 0
    assert [int(row["frame"]) for row in rows(tmp_path / "masks/clip")] == frames
    assert all(agreement(tmp_path / f"masks/clip/frame_{index:06}.png", index) > 0.95 for index in frames)


def test_frames_at_uneven_times_keep_them_also_in_the_lossless_video_of_masks(segment, tmp_path):
    stamps = [0, 40, 80, 300, 340, 380, 420, 1000, 1040, 1080, 1500, 1540]
    write_clip(tmp_path / "uneven.mkv", stamps)
    assert segment(tmp_path / "uneven.mkv", tmp_path / "masks", "--mask-video").returncode == 0
    folder = tmp_path / "masks/uneven"
    assert [round(1000 * float(row["seconds"])) for row in rows(folder)] == stamps
    assert not list(folder.glob("*.png"))
    with av.open(str(folder / "masks.mkv")) as masks:
        decoded = list(masks.decode(video=0))
    assert [round(1000 * frame.time) for frame in decoded] == stamps
    for index, frame in enumerate(decoded):
        values = frame.to_ndarray()
        assert set(np.unique(values)) <= {0, 1, 2, 3}
        assert (values == labels_of(index)).mean() > 0.95


def test_a_clip_that_was_filmed_sideways_is_upright(clip, segment, tmp_path):
    content = bytearray(clip.read_bytes())
    upright = b"".join(value.to_bytes(4, "big") for value in (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30))
    at = content.index(upright, content.index(b"tkhd"))
    turned = (0, 1 << 16, 0, 0xFFFF0000, 0, 0, HEIGHT << 16, 0, 1 << 30)  # a quarter to the right
    content[at : at + 36] = b"".join(value.to_bytes(4, "big") for value in turned)
    clip.write_bytes(content)
    assert segment(clip, tmp_path / "masks", "--every", 11).returncode == 0
    with Image.open(tmp_path / "masks/clip/frame_000000.png") as mask:
        found = np.asarray(mask)
    assert found.shape == (WIDTH, HEIGHT)
    assert (found == np.rot90(labels_of(0), -1)).mean() > 0.95


def test_of_a_clip_that_is_cut_short_the_rest_is_done(segment, tmp_path):
    write_clip(tmp_path / "whole.mkv", codec="mpeg4", frames=40, g="5")
    content = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(content[: len(content) // 2])
    result = segment(tmp_path / "cut.mkv", tmp_path / "masks")
    assert result.returncode == 3
    assert "failed: cut.mkv: it is cut short" in result.stderr
    assert 5 < len(list((tmp_path / "masks/cut").glob("frame_*.png"))) < 35


def test_without_pyav_a_folder_is_done_without_videos_and_a_named_one_fails(clip, segment, tmp_path, monkeypatch):
    Image.new("RGB", (60, 60), (220, 20, 20)).save(clip.with_name("photo.png"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for given, code in ((clip.parent, 0), (clip, 3)):
        result = segment(given, tmp_path / f"masks{code}", "--exclude", "masks*")
        assert result.returncode == code
        assert 'pip install "stego-cli[video]"' in " ".join(result.stderr.split())
    assert (tmp_path / "masks0/photo.png").is_file()
    assert not (tmp_path / "masks0/clip").exists()


def test_a_folder_that_is_not_ours_is_left_alone(clip, segment, tmp_path):
    (tmp_path / "masks/clip").mkdir(parents=True)
    (tmp_path / "masks/clip/mine.txt").write_text("mine")
    assert segment(clip, tmp_path / "masks").returncode == 6
    assert [file.name for file in (tmp_path / "masks/clip").iterdir()] == ["mine.txt"]


class Shot:
    """A frame with labels."""

    def __init__(self, colour_labels, labels):
        self.image = Image.fromarray(COLOURS[colour_labels])
        self.part = PartMask(labels, np.full(labels.shape, 255, np.uint8))


def test_labels_that_flicker_are_steadied_and_what_moves_stays_where_it_is():
    random = np.random.default_rng(0)
    truth = [np.zeros((64, 128), np.uint8) for _ in range(10)]
    for index, labels in enumerate(truth):
        labels[:, 16 + 8 * index :] = 1
    shots = [Shot(labels, np.where(random.random(labels.shape) < 0.1, 2, labels).astype(np.uint8)) for labels in truth]
    steady = [labels for _, labels in steadied(iter(shots))]
    assert len(steady) == 10
    before = np.mean([(shot.part.labels != labels).mean() for shot, labels in zip(shots, truth, strict=True)])
    after = np.mean([(found != labels).mean() for found, labels in zip(steady, truth, strict=True)])
    assert before > 0.09
    assert after < 0.03  # what is left lies along the moving border


def test_photographs_are_not_steadied_and_the_message_says_how_they_become_a_video(segment, tmp_path):
    (tmp_path / "camera").mkdir()
    for index in range(3):
        Image.fromarray(COLOURS[labels_of(index)]).save(tmp_path / f"camera/{index}.png")
    result = segment(tmp_path / "camera", tmp_path / "masks", "--steady")
    assert result.returncode == 2
    assert "ffmpeg -framerate 2" in " ".join(result.stderr.split())
    assert not (tmp_path / "masks").exists()


def test_killed_in_the_middle_and_resumed_it_gives_the_same_bytes(tmp_path, tiny_model, stego, run_stego):
    write_clip(tmp_path / "clip.mp4", frames=30)
    words = ("segment", "clip.mp4", "--model", tiny_model, "--device", "cpu", "--steady", "--mask-video", "--overlay")
    assert stego(*words, "--out", "whole").returncode == 0
    # The kill comes from inside, at the tenth frame: its time does not depend on the machine.
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal\n"
        "import stego_cli.images.masks as masks\n"
        "encode, count = masks.encode_part, []\n"
        "def killing(*arguments):\n"
        "    count.append(1)\n"
        "    if len(count) == 10:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return encode(*arguments)\n"
        "masks.encode_part = killing\n"
    )
    killed = run_stego(*words, "--out", "masks", PYTHONPATH=f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    assert killed.returncode == -signal.SIGKILL
    (tmp_path / "sitecustomize.py").unlink()
    resumed = stego(*words, "--out", "masks")
    assert resumed.returncode == 0, resumed.stderr
    assert "frames are done already" in resumed.stderr
    for file in ("masks.mkv", "overlay.mp4", "areas.csv"):
        assert (tmp_path / "masks/clip" / file).read_bytes() == (tmp_path / "whole/clip" / file).read_bytes()


OVERLAY = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
from stego_cli.part_settings import PartSettings
from stego_cli.sources.frame_masks import Frame, write_frames
from stego_cli.sources.source import PartMask, Target
random, sure = np.random.default_rng(0), np.full((56, 84), 255, np.uint8)
squares = random.integers(0, 255, (7, 12, 3)).astype(np.uint8).repeat(8, 0).repeat(7, 1)
images = [Image.fromarray(np.roll(squares, 2 * index, 1)) for index in range(30)]
frames = (Frame(index, index / 25, image, PartMask(sure // 255, sure)) for index, image in enumerate(images))
here = Path(sys.argv[1])
write_frames(frames, PartSettings(), Target(here / "masks", here, [(255, 0, 0)] * 3, ("a", "b"), overlay=True))
"""


def test_an_overlay_does_not_depend_on_what_its_memory_held_before(tmp_path):
    made = []
    for filled in ("85", "200"):
        (tmp_path / filled).mkdir()
        words = [sys.executable, "-c", OVERLAY, str(tmp_path / filled)]
        subprocess.run(words, check=True, env={**os.environ, "MALLOC_PERTURB_": filled})  # glibc fills new memory
        made.append((tmp_path / filled / "masks/overlay.mp4").read_bytes())
    assert made[0] == made[1]


def test_frames_are_drawn_evenly(clip):
    with VideoSource(Asked(clip, "clip.mp4", 56, 14, Reading(), PartSettings())) as source:
        assert [image.size for image in source.samples(4)] == [(WIDTH, HEIGHT)] * 4

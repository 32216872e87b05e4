"""What the task decides before a source is opened."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stego_cli.datasets.catalogue import DATASETS
from stego_cli.errors import UsageError
from stego_cli.progress import Quiet
from stego_cli.settings import PrepareSettings
from stego_cli.stop import Stop
from stego_cli.tasks.prepare import prepare, preview


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for index, split in enumerate(("train", "train", "val")):
        (tmp_path / "photos" / split).mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(index).integers(0, 256, (8, 12, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "photos" / split / f"{index}.png")
    return tmp_path / "photos"


def test_a_preview_counts_photographs_and_makes_nothing(photos: Path, tmp_path: Path) -> None:
    found = preview(PrepareSettings("folder", tmp_path / "out", source=(photos,)), Quiet())
    assert (found.splits, found.archives, found.folder) == ({"train": 2, "val": 1}, (), None)
    assert list(tmp_path.iterdir()) == [photos]


def test_a_preview_of_a_download_counts_the_bytes_that_are_missing(tmp_path: Path) -> None:
    archive = DATASETS["voc2012"].downloads[0]
    (tmp_path / f"{archive.name}.part").write_bytes(bytes(1000))
    found = preview(PrepareSettings("voc2012", tmp_path / "out", source=(tmp_path,), download=True), Quiet())
    assert found.archives == ((archive, archive.bytes - 1000),)
    assert found.folder == tmp_path


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "imagenet"}, "name: must be one of"),
        ({"name": "cityscapes"}, "There is no source"),
        ({"name": "cityscapes", "download": True}, "account"),
        ({"name": "voc2012", "download": True, "source": (Path("a"), Path("b"))}, "one folder"),
        ({"name": "voc2012", "link": True, "source": (Path("a.tar"),)}, "link needs a folder"),
    ],
)
def test_what_cannot_be_prepared_is_refused_by_name(tmp_path: Path, given: dict[str, object], words: str) -> None:
    settings = PrepareSettings(out=tmp_path / "out", **given)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=words):
        prepare(settings, Quiet(), Stop())
    assert list(tmp_path.iterdir()) == []

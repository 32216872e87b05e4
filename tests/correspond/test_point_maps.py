"""Maps of what corresponds to a point."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from stego_cli.correspond.describer import Describer, open_describer
from stego_cli.correspond.point_maps import at_places, compare, point_maps
from stego_cli.errors import NoInputError, UsageError
from stego_cli.images.decode import photo_size
from stego_cli.progress import Quiet
from stego_cli.settings import DEFAULT_BACKBONE
from stego_cli.stop import Stop
from stego_cli.training.context import RunContext

CONTEXT = RunContext(torch.device("cpu"), Path(), Quiet(), Stop())


@pytest.fixture(scope="module")
def describer(real_weights: Path) -> Describer:
    return open_describer(None, DEFAULT_BACKBONE, 112, torch.device("cpu"), Quiet())


def test_a_point_is_described_as_upsampling_would() -> None:
    grid = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    large = F.interpolate(grid.permute(2, 0, 1)[None], size=(30, 50), mode="bilinear", align_corners=False)[0]
    pixels = [(0, 0), (7, 12), (29, 49), (15, 3)]
    places = torch.tensor([[(column + 0.5) / 50, (row + 0.5) / 30] for row, column in pixels])
    expected = torch.stack([large[:, row, column] for row, column in pixels])
    torch.testing.assert_close(at_places(grid, places), expected)


def test_a_map_is_the_cosine_with_every_patch() -> None:
    generator = torch.Generator().manual_seed(0)
    wanted, grid = torch.randn(2, 4, generator=generator), torch.randn(3, 5, 4, generator=generator)
    expected = F.cosine_similarity(wanted[:, None, None], grid[None], dim=-1)
    torch.testing.assert_close(compare(wanted, grid), expected)


def test_a_point_corresponds_most_with_its_own_patch(describer: Describer, photos_folder: Path) -> None:
    paths = [photos_folder / "wren.jpg", photos_folder / "lake.jpg"]
    points = [(40.0, 30.0), (430.0, 300.0)]
    found, failed = point_maps(describer, paths, points, CONTEXT)
    assert failed == []
    assert [set(maps) for photo in found for maps in photo.maps] == [{"F"}] * 4
    width, height = photo_size(paths[0])
    assert found[0].photo.size == (width, height)
    for point, maps in zip(points, found[0].maps, strict=True):
        assert maps["F"].highest > 0.9
        assert abs(maps["F"].best[0] - point[0]) <= 1.5 * 14 * height / 112
        assert abs(maps["F"].best[1] - point[1]) <= 1.5 * 14 * height / 112
    sky = found[1].maps[0]["F"].cosines
    assert sky[0].mean() > sky[-1].mean() + 0.2  # the wren's sky is like the lake's sky, not like its water


def test_what_cannot_be_used_is_said(describer: Describer, photos_folder: Path, tmp_path: Path) -> None:
    cat, broken = photos_folder / "cat.jpg", tmp_path / "broken.jpg"
    broken.touch()
    found, failed = point_maps(describer, [cat, broken], [(1, 1)], CONTEXT)
    assert len(found) == 1
    assert failed == [(broken, "the file is empty")]
    with pytest.raises(NoInputError, match="the file is empty"):
        point_maps(describer, [broken, cat], [(1, 1)], CONTEXT)
    width, height = photo_size(cat)
    for point in ((width, 0), (0, height), (-1, 0), (float("nan"), 0)):
        with pytest.raises(UsageError, match="outside"):
            point_maps(describer, [cat], [point], CONTEXT)

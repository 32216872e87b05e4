"""A listing on disk: what belongs together is in one bucket, and what is in memory is bounded."""

import pytest

from stego_cli.images.discover import with_masks
from stego_cli.trees.spool import BUCKETS, Spool, bucket_of
from stego_cli.trees.tree import Listed


def listed(*paths):
    return [Listed(path, 10, 20, "ab") for path in paths]


@pytest.mark.parametrize("paths", [["x/a.jpg", "x/A.png"], ["a.jpg", "a.jpg.png", "a.png"], ["ä.jpg", "a\u0308.png"]])
def test_photographs_with_claims_to_one_mask_and_their_masks_share_a_bucket(paths):
    assert len({bucket_of(path) for path in [*paths, *(photo.mask for photo in with_masks(paths))]}) == 1


def test_everything_comes_back_once_in_groups_of_whole_buckets(tmp_path):
    spool = Spool(tmp_path)
    paths = [f"{index % 7}/{index}.jpg" for index in range(3000)]
    spool.add_photos(listed(*paths))
    spool.add_masks(listed("0/0.png", "1/odd\udcff.png"))
    groups = list(spool.groups(200))
    assert sorted(file.path for group in groups for file in group.photos) == sorted(paths)
    assert all(len(group.photos) + len(group.masks) <= 200 for group in groups)
    assert [group.first for group in groups][1:] == [group.last + 1 for group in groups][:-1]
    assert groups[-1].last == BUCKETS - 1
    assert {path for group in groups for path in group.masks} == {"0/0.png", "1/odd\udcff.png"}
    assert groups[0].photos[0] == Listed(groups[0].photos[0].path, 10, 20, "ab")


def test_a_small_tree_is_one_group(tmp_path):
    spool = Spool(tmp_path)
    spool.add_photos(listed("a.jpg", "b.jpg"))
    (group,) = spool.groups()
    assert (group.first, group.last, len(group.photos)) == (0, BUCKETS - 1, 2)

"""Kinds of original checkpoints that tests/model/test_original.py leaves out: ViT-B takes as long as the others."""

import pytest

from tests.support.original_code import assert_computes_what_the_original_would


@pytest.mark.parametrize("variant", ["keys, patch 8", "ViT-B"])
def test_a_checkpoint_computes_what_the_original_would(variant, tmp_path, photos_folder):
    assert_computes_what_the_original_would(variant, tmp_path, photos_folder)

"""What tests of training share: a small backbone."""

from __future__ import annotations

import pytest
import torch

from stego_cli.model.backbones import backbone
from stego_cli.model.vit import FrozenViT, build


@pytest.fixture(scope="session")
def small_vit() -> FrozenViT:
    """A real architecture, small and at random: for tests of bookkeeping, not of features."""
    torch.manual_seed(0)
    return build(backbone("timm:vit_tiny_patch16_224"), None, block=1)

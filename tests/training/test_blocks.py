import torch

from stego_cli.model.backbones import backbone
from stego_cli.model.vit import build
from stego_cli.training.blocks import best_block, spectral_dimensions


def test_dimensions_count_the_directions_that_are_used() -> None:
    assert abs(spectral_dimensions(torch.eye(10)) - 10) < 1e-6
    assert abs(spectral_dimensions(torch.diag(torch.tensor([4.0, 4.0, 0.0, 0.0]))) - 2) < 1e-6
    uneven = spectral_dimensions(torch.diag(torch.tensor([1.0, 0.1, 0.01])))
    assert 1 < uneven < 2
    assert torch.isfinite(torch.tensor(spectral_dimensions(torch.zeros(3, 3))))


def test_the_block_with_most_dimensions_is_taken_and_of_equals_the_later() -> None:
    assert best_block({6: 3.0, 7: 9.0, 8: 9.0, 9: 1.0}) == 8


def test_one_pass_gives_what_the_cut_backbones_give() -> None:
    image = torch.randint(0, 255, (2, 32, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for token in ("feat", "key"):
        cut = []
        for block in (0, 5, 11):
            torch.manual_seed(0)  # the same random weights
            cut.append(build(backbone("timm:vit_tiny_patch16_224"), None, block, token)(image))
        torch.manual_seed(0)
        every = build(backbone("timm:vit_tiny_patch16_224"), None, -1, token).every_block(image)
        assert len(every) == 12
        assert all(torch.equal(every[block], own) for block, own in zip((0, 5, 11), cut, strict=True))

import pytest
import timm
import torch

from stego_cli.errors import UsageError
from stego_cli.model.backbones import BACKBONES, backbone
from stego_cli.model.vit import FrozenViT, build

SIZES = [(2, 3), (5, 4)]


def features(vit: FrozenViT, rows: int, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
    patch = vit.row.patch
    image = torch.randint(0, 256, (2, rows * patch, columns * patch, 3), dtype=torch.uint8)
    with torch.inference_mode():
        return image, vit(image)


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("dino-vits16", 1),
        ("dinov2-vits14-reg", 5),
        ("dinov3-vits16", 5),
        ("timm:vit_tiny_patch16_224", 1),
        ("timm:deit_tiny_distilled_patch16_224", 2),
    ],
)
def test_features_are_timms_own_of_that_block(name: str, prefix: int) -> None:
    """Class and register tokens are dropped, whatever their number; timm resamples positions with antialiasing."""
    torch.manual_seed(0)
    row = backbone(name)
    vit = build(row, None, block=3)
    assert vit.vit.num_prefix_tokens == prefix
    if row.positions != "none":
        vit.row = type(row)(**{**vars(vit.row), "positions": "antialias"})
    image, ours = features(vit, 3, 5)
    pixels = ((image.float() - vit.mean) / vit.std).permute(0, 3, 1, 2)
    with torch.inference_mode():
        (theirs,) = vit.vit.forward_intermediates(pixels, indices=[3], norm=True, intermediates_only=True)
    assert ours.shape == (2, 3, 5, vit.row.width)
    assert torch.allclose(ours, theirs.permute(0, 2, 3, 1), atol=1e-4)


def test_keys_are_those_of_the_blocks_attention() -> None:
    torch.manual_seed(0)
    vit = build(backbone("timm:vit_tiny_patch16_224"), None, block=2, token="key")
    caught: list[torch.Tensor] = []
    vit.vit.blocks[2].attn.qkv.register_forward_hook(lambda module, args, output: caught.append(output))
    _, keys = features(vit, 2, 3)
    assert torch.equal(keys.flatten(1, 2), caught[0][:, 1:, 192:384])


@pytest.mark.parametrize("name", [name for name, row in BACKBONES.items() if "vitb" not in name])
def test_every_small_row_of_the_table_describes_the_model_that_timm_builds(name: str) -> None:
    row = BACKBONES[name]
    vit = timm.create_model(row.timm_name, pretrained=False, num_classes=0)
    assert (vit.patch_embed.patch_size, vit.embed_dim, len(vit.blocks)) == ((row.patch,) * 2, row.width, row.blocks)


def test_nothing_after_the_block_is_kept() -> None:
    vit = build(backbone("timm:vit_tiny_patch16_224"), None, block=-2)
    assert (vit.block, len(vit.vit.blocks)) == (10, 11)


@pytest.mark.parametrize(
    ("name", "block", "message"),
    [
        ("timm:vit_tiny_patch16_224", 12, "blocks 0 to 11"),
        ("timm:no_such_model", None, "Unknown model"),
        ("timm:resnet18", None, "not a plain vision transformer"),
        ("timm:vit_small_r26_s32_224", None, "not a plain vision transformer"),
        ("timm:swin_tiny_patch4_window7_224", None, "not a plain vision transformer"),
    ],
)
def test_what_cannot_be_built_is_refused_in_a_sentence(name: str, block: int | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(backbone(name), None, block)


def test_for_an_unknown_name_all_names_are_listed() -> None:
    with pytest.raises(UsageError) as caught:
        backbone("dino-huge")
    assert "focus-vits14" in str(caught.value.remedy)

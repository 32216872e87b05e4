"""Imported checkpoints of the original, compared with its own figures and with another implementation of DINO."""

import json
import math
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from torch import Tensor

from export.graph import graph_of
from export.parity import check_parity
from stego_cli.crf import refine
from stego_cli.errors import ModelError, StegoError, UsageError
from stego_cli.inference.session import Session
from stego_cli.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, segmenter
from stego_cli.model.original import import_checkpoint
from stego_cli.palette import palette
from stego_cli.progress import Quiet
from stego_cli.scoring import protocol
from stego_cli.settings import CrfSettings
from tests.support import original_checkpoint
from tests.support.original_code import MEAN, STD, VARIANTS, assert_computes_what_the_original_would

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor]]:
    """The checkpoint that the golden figures belong to, and its tensors."""
    file = tmp_path_factory.mktemp("published") / "published.ckpt"
    return file, original_checkpoint.make(file)


@pytest.fixture(scope="module")
def run(published: tuple[Path, dict[str, Tensor]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("imported") / "run"
    import_checkpoint(published[0], folder)
    return folder


@pytest.fixture(scope="module")
def coffee() -> np.ndarray:
    """The photograph as the published evaluation takes it: shorter side 320 by nearest neighbour, centre crop."""
    with Image.open(GOLDEN / "coffee.png") as image:
        resized = image.convert("RGB").resize((480, 320), Image.Resampling.NEAREST)
        return np.array(resized.crop((80, 0, 400, 320)))


@pytest.mark.slow
def test_code_and_probes_are_those_of_the_original(run: Path, coffee: np.ndarray) -> None:
    model = segmenter(load_checkpoint(run), True, Quiet())
    with torch.inference_mode():
        code = model.code(torch.from_numpy(coffee)[None])[0].numpy()
        outputs = [output[0].numpy() for output in model(torch.from_numpy(coffee)[None])]
    assert np.abs(code - np.load(GOLDEN / "coffee_code.npy")).max() < 1e-4
    # The published evaluation hands the CRF a picture that was normalised and back, cut down to whole steps.
    there_and_back = ((torch.from_numpy(coffee) / 255 - MEAN) / STD * STD + MEAN).mul(255).byte().numpy()
    assert np.array_equal(protocol.there_and_back(coffee), there_and_back)
    for name, log_probs in zip(("cluster", "linear"), outputs, strict=True):
        plain, refined = (np.array(Image.open(GOLDEN / f"coffee_{name}{crf}.png")) for crf in ("", "_crf"))
        assert (log_probs.argmax(0) == plain).mean() >= 0.9999
        assert (refine(there_and_back, log_probs, CrfSettings()).argmax(0) == refined).mean() >= 0.9999
        assert (refine(coffee, log_probs, CrfSettings()).argmax(0) == refined).mean() >= 0.998


# The others, and ViT-B: benchmarks/checks/test_original_checkpoints.py.
@pytest.mark.parametrize("variant", ["patch 8, extra clusters", "keys, linear head", "no head"])
@pytest.mark.slow
def test_a_checkpoint_computes_what_the_original_would(variant: str, tmp_path: Path, photos_folder: Path) -> None:
    assert_computes_what_the_original_would(variant, tmp_path, photos_folder)


@pytest.mark.slow
def test_keys_patch_8_and_extra_clusters_export(tmp_path: Path) -> None:
    classes, config = VARIANTS["keys, patch 8"]
    original_checkpoint.make(tmp_path / "x.ckpt", classes, **config)
    import_checkpoint(tmp_path / "x.ckpt", tmp_path / "run")
    model = segmenter(load_checkpoint(tmp_path / "run"), False, Quiet())
    model.backbone.vit.blocks = model.backbone.vit.blocks[-2:]  # two of twelve blocks export like all of them
    names = [f"class {index}" for index in range(17)]
    about = {"format": 1, "classes": 17, "class_names": names, "palette": palette(17), "patch": 8, "res": 320}
    graph = graph_of(model)
    about |= {"backbone": "dino-vits8", "flip": False, "precision": "fp32"}
    about |= {"linear_class_names": names[:15], "linear_palette": palette(15)}
    onnx.helper.set_model_props(graph, {"stego": json.dumps(about)})
    session = Session.from_bytes(graph.SerializeToString(), "cpu")
    assert check_parity(model, session, "fp32").agreement > 0.999
    assert [output.shape for output in session.run(np.zeros((2, 16, 24, 3), np.uint8))] == [
        (2, 17, 16, 24),
        (2, 15, 16, 24),
    ]


def test_a_run_keeps_all_of_the_import_and_none_of_the_file_twice(
    run: Path, published: tuple[Path, dict[str, Tensor]]
) -> None:
    assert sorted(file.name for file in run.iterdir()) == ["backbone.safetensors", "config.json", "model.safetensors"]
    imported = json.loads((run / "config.json").read_text())["imported"]
    assert imported["file"] == "published.ckpt"
    assert imported["configuration"]["dino_feat_type"] == "feat"
    assert imported["configuration"]["pretrained_weights"] is None
    checkpoint, tensors = load_checkpoint(run), published[1]
    assert checkpoint.linear is not None
    assert torch.equal(checkpoint.linear[0], tensors["linear_probe.weight"][:, :, 0, 0])
    assert torch.equal(checkpoint.linear[1], tensors["linear_probe.bias"])
    assert checkpoint.linear_names[0] == "electronic"


def test_saving_a_checkpoint_again_changes_no_byte(run: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(run)
    assert isinstance(checkpoint, Checkpoint)
    save_checkpoint(checkpoint, tmp_path)
    for name in ("model.safetensors", "config.json"):
        assert (tmp_path / name).read_bytes() == (run / name).read_bytes()


def test_a_run_from_before_these_were_settings_keeps_what_it_had(run: Path, tmp_path: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    assert config["settings"].pop("temperature") == 2
    assert config["settings"].pop("smoothing") == 0
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    settings = load_checkpoint(tmp_path).settings
    assert (settings.temperature, settings.smoothing) == (2, 0)


def test_a_run_without_its_backbone_or_with_another_is_refused(run: Path, tmp_path: Path) -> None:
    for name in ("model.safetensors", "config.json"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    with pytest.raises(ModelError, match=r"has no backbone\.safetensors"):
        segmenter(load_checkpoint(tmp_path), False, Quiet())
    (tmp_path / "backbone.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    with pytest.raises(ModelError, match="not the dino-vits16 that this head was trained on") as caught:
        segmenter(load_checkpoint(tmp_path), False, Quiet())
    assert caught.value.remedy == "Import the checkpoint again."


def test_another_run_is_never_overwritten_and_the_same_import_may_be_repeated(
    run: Path, published: tuple[Path, dict[str, Tensor]], tmp_path: Path
) -> None:
    before = (run / "config.json").read_bytes()
    import_checkpoint(published[0], run)
    assert (run / "config.json").read_bytes() == before
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="already holds another run"):
        import_checkpoint(published[0], tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("net.model.blocks.7.attn.qkv.bias", None, "lacks the tensor net.model.blocks.7.attn.qkv.bias"),
        ("net.cluster2.2.weight", None, "lacks the tensor net.cluster2.2.weight"),
        ("cluster_probe.clusters", None, "lacks the tensor cluster_probe.clusters"),
        ("cluster_probe.clusters", torch.zeros(27, 71), r"cluster_probe.clusters of shape \(27, 71\); \(27, 70\)"),
        ("cluster_probe.clusters", torch.zeros(257, 70), "at most 256 rows"),
        ("linear_probe.bias", torch.full((27,), math.nan), "linear_probe.bias that are not finite"),
        ("linear_probe.bias", torch.zeros(1).expand(27), "linear_probe.bias reaches beyond its data"),
        ("linear_probe.bias", [0.0] * 27, "linear_probe.bias is not a tensor"),
    ],
)
def test_a_checkpoint_with_a_missing_or_damaged_tensor_is_refused(
    name: str, value: object, sentence: str, published: tuple[Path, dict[str, Tensor]], tmp_path: Path
) -> None:
    tensors = {key: tensor for key, tensor in published[1].items() if key != name}
    original_checkpoint.save(tmp_path / "x.ckpt", tensors if value is None else tensors | {name: value})
    with pytest.raises(StegoError, match=sentence) as caught:
        import_checkpoint(tmp_path / "x.ckpt", tmp_path / "run")
    assert caught.value.exit_code == 5
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_without_a_linear_probe_and_in_half_precision_is_taken(
    published: tuple[Path, dict[str, Tensor]], tmp_path: Path
) -> None:
    tensors = {key: tensor.half() for key, tensor in published[1].items() if not key.startswith("linear_probe")}
    original_checkpoint.save(tmp_path / "x.ckpt", tensors)
    checkpoint = import_checkpoint(tmp_path / "x.ckpt", tmp_path / "run")
    assert checkpoint.linear is None
    assert load_checkpoint(tmp_path / "run").linear_names == ()
    assert torch.equal(checkpoint.head.cluster1.bias, tensors["net.cluster1.0.bias"].float())

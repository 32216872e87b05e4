"""The real backbone under a random head, exported and held against torch."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import timm
import torch

from export import export_onnx, parity
from export.graph import graph_of
from export.transformer import is_plain
from stego_cli.errors import ModelError, UsageError
from stego_cli.images.atomic import sha256
from stego_cli.inference.session import Session
from stego_cli.model.backbones import backbone
from stego_cli.model.checkpoint import load_checkpoint, newest_run, segmenter
from stego_cli.model.head import Head
from stego_cli.model.probes import ClusterProbe
from stego_cli.model.segmenter import Segmenter
from stego_cli.model.vit import FrozenViT, build
from stego_cli.progress import Quiet
from stego_cli.settings import ExportSettings
from tests.support.runs import picture


@pytest.mark.parametrize(
    ("settings", "difference", "agreement"),
    [
        (ExportSettings(), 1e-4, 0.9999),
        (ExportSettings(flip=True), 1e-4, 0.9999),
        (ExportSettings(precision="fp16"), 5e-2, 0.995),
        (ExportSettings(precision="int8"), 0.5, 0.8),
    ],
)
def test_the_file_computes_what_torch_computes_on_real_photographs(
    settings: ExportSettings,
    difference: float,
    agreement: float,
    run: Path,
    exported: Path,
    shallow_run: Path,
    photos_folder: Path,
    tmp_path: Path,
) -> None:
    if settings.flip or settings.precision == "fp16":  # alike at any depth; tests/cli exports a whole one with flip
        run = shallow_run
    plain = settings == ExportSettings()
    file = exported if plain else export_onnx(run, tmp_path / "model.onnx", settings, Quiet())
    session = Session.from_file(file, "cpu")
    reference = segmenter(load_checkpoint(run), settings.flip, Quiet())
    for name, width, height in (("lake.jpg", 434, 238), ("heron.jpg", 182, 238)):
        image = picture(photos_folder, name, width, height)
        (ours,) = session.run(image)
        with torch.inference_mode():
            (wanted,) = (output.numpy() for output in reference(torch.from_numpy(image)))
        assert ours.shape == (1, 6, height, width)
        assert ours.dtype == np.float32
        assert np.abs(ours - wanted).max() < difference
        assert (ours.argmax(1) == wanted.argmax(1)).mean() >= agreement
    assert session.info.precision == settings.precision
    assert session.info.flip == settings.flip


def test_flip_averaging_makes_the_code_of_a_mirrored_photograph_the_mirrored_code(
    run: Path, photos_folder: Path
) -> None:
    model = segmenter(load_checkpoint(run), True, Quiet())
    image = torch.from_numpy(picture(photos_folder, "cat.jpg", 168, 112))
    with torch.inference_mode():
        code, mirrored = model.code(image), model.code(torch.flip(image, [2]))
    assert torch.allclose(code, torch.flip(mirrored, [3]), atol=1e-4)


def test_all_that_segmenting_needs_is_in_the_one_file(run: Path, exported: Path) -> None:
    assert list(exported.parent.iterdir()) == [exported]
    model = onnx.load(exported)
    assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in model.graph.initializer)
    about = json.loads({entry.key: entry.value for entry in model.metadata_props}["stego"])
    assert (about["classes"], about["patch"], about["res"], about["block"]) == (6, 14, 224, 7)
    assert len(about["palette"]) == len(about["class_names"]) == 6
    assert tuple(map(tuple, about["hierarchy"])) == load_checkpoint(run).hierarchy
    assert len(about["hierarchy"]) == 5
    assert about["checkpoint_sha256"] == sha256(run / "model.safetensors")
    assert 0 < about["parity"]["difference"] < 1e-4
    assert about["parity"]["agreement"] > 0.999


def test_a_model_beyond_tolerance_is_refused_and_not_written(shallow_run: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(parity.TOLERANCE, "fp32", 1e-12)
    (tmp_path / "out").mkdir()
    with pytest.raises(ModelError, match="nothing was written") as caught:
        export_onnx(shallow_run, tmp_path / "out" / "model.onnx", ExportSettings(), Quiet())
    assert caught.value.exit_code == 5
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "token"),
    [
        ("dinov2-vits14-reg", "feat"),
        ("dinov3-vits16", "feat"),
        ("dino-vits16", "key"),
        ("timm:vit_tiny_patch16_224", "feat"),
    ],
)
@pytest.mark.slow
def test_every_kind_of_backbone_exports_with_every_size_open(name: str, token: str) -> None:
    """Random weights, a block: register tokens, rotary positions, resampled tables, keys, and a linear probe."""
    torch.manual_seed(0)
    vit = build(backbone(name), None, block=0, token=token)
    head = Head(vit.row.width, 8)
    cluster = ClusterProbe(torch.randn(3, 8), 7.0, torch.tensor([0.6, 0.3, 0.1]).log())
    model = Segmenter(vit, head, cluster, (torch.randn(5, 8), torch.randn(5)), flip=True, smoothing=4.0)
    graph = graph_of(model)
    onnx.helper.set_model_props(graph, {"stego": _metadata(vit.row.patch)})
    onnx.checker.check_model(graph, full_check=True)
    session = Session.from_bytes(graph.SerializeToString(), "cpu")
    assert session.outputs == ["cluster_log_probs", "linear_log_probs"]
    assert parity.check_parity(model, session, "fp32").agreement > 0.999


@pytest.mark.parametrize(
    ("architecture", "plain"),
    [
        ({}, True),
        ({"qk_norm": True}, False),
        ({"act_layer": "silu"}, False),
        ({"init_values": 1e-5, "pre_norm": True, "class_token": False, "global_pool": "avg"}, True),
    ],
)
def test_a_backbone_with_layers_of_other_kinds_is_left_to_torchs_exporter(architecture: dict, plain: bool) -> None:
    vit = timm.create_model("vit_tiny_patch16_224", depth=1, num_classes=0, dynamic_img_size=True, **architecture)
    frozen = FrozenViT(vit, replace(backbone("timm:vit_tiny_patch16_224"), patch=16, width=192, blocks=1), 0, "feat")
    assert is_plain(frozen) == plain
    if plain:
        model = Segmenter(frozen, Head(192, 8), ClusterProbe(torch.randn(3, 8)))
        graph = graph_of(model)
        onnx.helper.set_model_props(graph, {"stego": _metadata(16)})
        parity.check_parity(model, Session.from_bytes(graph.SerializeToString(), "cpu"), "fp32")


def test_an_approximation_that_changes_too_many_classes_is_refused_though_values_hardly_differ() -> None:
    torch.manual_seed(0)
    vit = build(backbone("timm:vit_tiny_patch16_224"), None, block=0)
    model = Segmenter(vit, Head(vit.row.width, 8), ClusterProbe(torch.ones(8) + 0.01 * torch.randn(3, 8)))

    class Confused:
        def run(self, image: np.ndarray) -> list[np.ndarray]:
            (log_probs,) = model(torch.from_numpy(image))
            return [np.roll(log_probs.numpy(), 1, axis=1)]

    with pytest.raises(ModelError, match=r"gives only 0\.0% of pixels .*at least 80% for int8"):
        parity.check_parity(model, Confused(), "int8")


def _metadata(patch: int) -> str:
    names = ["a", "b", "c"]
    colours = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    about = {"format": 1, "classes": 3, "class_names": names, "palette": colours, "patch": patch, "res": 64}
    linear = {"linear_class_names": list("abcde"), "linear_palette": [[index, 0, 0] for index in range(5)]}
    return json.dumps({**about, **linear, "backbone": "x", "flip": False, "precision": "fp32"})


def test_other_weights_than_those_trained_on_are_refused(run: Path, tmp_path: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    (tmp_path / "run" / "config.json").write_text(json.dumps({**config, "weights_sha256": "0" * 64}))
    with pytest.raises(ModelError, match="is not the focus-vits14 that this head was trained on"):
        export_onnx(tmp_path / "run", tmp_path / "model.onnx", ExportSettings(), Quiet())


@pytest.mark.parametrize("damage", ["config.json", "model.safetensors"])
def test_a_damaged_checkpoint_is_refused_by_name(damage: str, run: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        content = (run / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2] if name == damage else content)
    with pytest.raises(ModelError, match="damaged"):
        load_checkpoint(tmp_path)


def test_the_newest_run_is_the_default(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no run"):
        newest_run(tmp_path)
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        for file in ("model.safetensors", "config.json"):
            (tmp_path / name / file).write_bytes((run / file).read_bytes())
    assert newest_run(tmp_path) == tmp_path / "new"


def test_the_file_says_nothing_of_the_machine_that_made_it(run: Path, exported: Path) -> None:
    content = exported.read_bytes()
    for folder in (Path(torch.__file__).parents[1], Path(__file__).parents[2], Path.home(), run, exported.parent):
        assert str(folder).encode() not in content
    for note in (b"stack_trace", b"pkg.torch", b'.py", line'):
        assert note not in content

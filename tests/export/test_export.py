"""The real backbone under a random head, exported and held against torch."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import timm
import torch
from PIL import Image

from export import export_onnx, parity
from export.graph import graph_of
from export.transformer import is_plain
from stego_cli.class_edits import ClassEdits
from stego_cli.classes import ClassTable
from stego_cli.errors import ModelError, UsageError
from stego_cli.gallery.model_edit import as_found
from stego_cli.gallery.run_classes import classes_of_run
from stego_cli.gallery.split import split_model
from stego_cli.images.atomic import sha256
from stego_cli.inference.session import Session
from stego_cli.model.backbones import backbone
from stego_cli.model.checkpoint import Checkpoint, load_checkpoint, newest_run, save_checkpoint, segmenter
from stego_cli.model.head import Head
from stego_cli.model.probes import ClusterProbe
from stego_cli.model.segmenter import Segmenter
from stego_cli.model.vit import FrozenViT, build
from stego_cli.progress import Quiet
from stego_cli.settings import ExportSettings, TrainSettings
from stego_cli.stop import Stop
from stego_cli.tasks.classes import edit_classes, named, splitting
from stego_cli.tasks.name_classes import NamingTask, name_classes
from stego_cli.tasks.split import SplitSource


def make_run(folder: Path, weights: Path, block: int | None = None) -> Path:
    """Save a checkpoint of the real backbone, up to `block`, with a head and centroids drawn from a seed."""
    vit = build(backbone("focus-vits14"), weights, block)
    torch.manual_seed(0)
    settings = TrainSettings(classes=6, block=vit.block, code=24)
    checkpoint = Checkpoint(
        Head(384, 24),
        ClusterProbe(torch.randn(6, 24), settings.temperature, torch.tensor([0.5] + 5 * [0.1]).log()),
        (0.5, 0.1, 0.1, 0.1, 0.1, 0.1),
        vit.row,
        vit.block,
        "feat",
        sha256(weights),
        224,
        settings,
    )
    save_checkpoint(checkpoint, folder)
    return folder


@pytest.fixture(scope="module")
def run(real_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the backbone's default block."""
    return make_run(tmp_path_factory.mktemp("run"), real_weights)


@pytest.fixture(scope="module")
def shallow_run(real_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of one block, for what does not depend on the depth."""
    return make_run(tmp_path_factory.mktemp("shallow"), real_weights, block=0)


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model file of that run."""
    return export_onnx(run, tmp_path_factory.mktemp("exported") / "model.onnx", ExportSettings(), Quiet())


def picture(photos_folder: Path, name: str, width: int, height: int) -> np.ndarray:
    with Image.open(photos_folder / name) as image:
        return np.array(image.convert("RGB").resize((width, height)))[None]


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
    model = Segmenter(vit, head, cluster, (torch.randn(5, 8), torch.randn(5)), flip=True)
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


def test_a_split_class_of_an_exported_model_has_the_probabilities_that_torch_gives(exported, run, photos_folder):
    pieces = torch.nn.functional.normalize(torch.randn(3, 24, generator=torch.Generator().manual_seed(1)), dim=1)
    parts = np.array([0.5, 0.3, 0.2], np.float32)
    content = split_model(exported.read_bytes(), 2, pieces.numpy(), parts, "m")
    checkpoint = load_checkpoint(run)
    more = replace(checkpoint, cluster=checkpoint.cluster.split(2, pieces, torch.from_numpy(parts)))
    image = picture(photos_folder, "cat.jpg", 84, 56)
    with torch.no_grad():
        wanted = segmenter(more, ExportSettings().flip, Quiet())(torch.from_numpy(image))[0].numpy()
    got = Session.from_bytes(content, "cpu").log_probs(image)
    assert got.shape == (1, 8, 56, 84)
    assert np.abs(got - wanted).max() < 1e-3


def test_a_class_of_a_run_is_split_and_its_export_would_have_the_parts(shallow_run, photos_folder, tmp_path):
    run = shutil.copytree(shallow_run, tmp_path / "run")
    before = load_checkpoint(run)
    (tmp_path / "photos").mkdir()
    for name in ("cat.jpg", "lake.jpg", "otters.jpg"):
        shutil.copy(photos_folder / name, tmp_path / "photos")
    report = edit_classes(run, splitting("0", 2), Quiet(), Stop(), SplitSource(tmp_path / "photos"))
    after = load_checkpoint(run)
    assert report.edits == ClassEdits(6, splits=((0, 2),))
    assert after.cluster.centroids.shape == (7, 24)
    unit = torch.nn.functional.normalize(before.cluster.centroids, dim=1)
    assert torch.allclose(after.cluster.centroids[1:6], unit[1:])
    assert after.shares[1:6] == before.shares[1:]
    assert after.shares[0] + after.shares[6] == pytest.approx(0.5, abs=1e-5)
    assert after.shares[0] >= after.shares[6] > 0
    assert len(after.hierarchy) == 6
    edit_classes(run, named(["6=part"]), Quiet(), Stop())
    assert classes_of_run(run)[0].names[6] == "part"


def test_labels_name_the_classes_of_a_run_and_its_export_has_them_joined(
    shallow_run: Path, photos_folder: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(shallow_run, tmp_path / "run")
    (tmp_path / "labels").mkdir()
    with Image.open(photos_folder / "lake.jpg") as photo:
        labels = np.zeros(photo.size[::-1], np.uint8)
    labels[: len(labels) // 2] = 1
    Image.fromarray(labels).save(tmp_path / "labels" / "lake.png")
    table = ClassTable(("ground", "sky"), ((1, 2, 3), (4, 5, 6)))
    report = name_classes(NamingTask(tmp_path / "labels", run, photos_folder, table, device="cpu"), Quiet())
    assert (report.kind, report.photographs, len(report.votes)) == ("run", 1, 6)
    content = export_onnx(run, tmp_path / "m.onnx", ExportSettings(), Quiet()).read_bytes()
    found = Session.from_bytes(as_found(content, "m").SerializeToString(), "cpu")
    named = Session.from_bytes(content, "cpu")
    assert set(named.info.class_names) == {"ground", "sky"}
    assert dict(zip(named.info.class_names, named.info.mask_values, strict=True)) == {"ground": 0, "sky": 1}
    assert dict(zip(named.info.class_names, named.info.palette, strict=True))["sky"] == (4, 5, 6)
    assert named.info.hierarchy == found.info.hierarchy == load_checkpoint(run).hierarchy
    image = picture(photos_folder, "cat.jpg", 168, 112)
    before, after = np.exp(found.log_probs(image)), np.exp(named.log_probs(image))
    for channel, name in enumerate(named.info.class_names):
        members = [vote.cluster for vote in report.votes if vote.label == table.names.index(name)]
        assert np.allclose(after[:, channel], before[:, members].sum(1), atol=1e-6)

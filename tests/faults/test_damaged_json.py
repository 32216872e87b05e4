"""Every JSON that is read back, with values that nobody wrote: refused by key in one sentence, never a traceback."""

import copy
import json
import random

import pytest
import torch

from stego_cli.class_edits import ClassEdits
from stego_cli.classes import ClassTable
from stego_cli.classes_toml import write_classes_file
from stego_cli.datasets.about import About, Split, read_about
from stego_cli.errors import ModelError, UsageError
from stego_cli.gallery.remap import finish_change
from stego_cli.gallery.run_classes import classes_of_run
from stego_cli.inference.contract import METADATA_KEY, ExportRecord, ModelInfo, metadata_text, parse_metadata
from stego_cli.inference.mask_classes import pending_change
from stego_cli.inference.output_folder import OutputFolder
from stego_cli.inference.own_places import read_owned
from stego_cli.model.backbones import backbone
from stego_cli.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from stego_cli.model.head import Head
from stego_cli.model.probes import ClusterProbe
from stego_cli.progress import Quiet
from stego_cli.settings import TrainSettings
from stego_cli.stop import Stop
from tests.support.models import tiny_graph

ODD = (
    None,
    True,
    -1,
    -3,
    0,
    2.5,
    10**30,
    1e308,
    "",
    "x",
    "../x",
    "\ud800",
    [],
    {},
    [[]],
    [None],
    {"": 0},
    [300],
    "9" * 400,
)
RAW = (
    b"",
    b"[",
    b"{",
    b"[" * 200_000,
    b'{"a":' * 200_000,
    b"1e999",
    b"NaN",
    b"\xff\xfe",
    b"9" * 5000,
    b"null",
    b'"x"',
    b"\0",
)


def places(value, path=()):
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(min(len(value), 3)):
            yield from places(value[key], (*path, key))


def mutants(text, count, seed):
    """Texts like `text` with a value replaced or removed, or bytes changed."""
    chance, content = random.Random(seed), json.loads(text)
    everywhere = [place for place in places(content) if place]
    yield from (raw.decode("latin-1") for raw in RAW)
    for number in ("1e999", "NaN", "-Infinity"):
        yield text.replace(": 0", f": {number}", 1)
    for index in range(count):
        if index % 5 == 4:
            harmed = bytearray(text.encode())
            for _ in range(chance.randint(1, 4)):
                harmed[chance.randrange(len(harmed))] = chance.randrange(256)
            yield bytes(harmed[: chance.choice([len(harmed), chance.randrange(len(harmed))])]).decode("latin-1")
            continue
        changed = copy.deepcopy(content)
        *above, key = chance.choice(everywhere)
        node = changed
        for step in above:
            node = node[step]
        if chance.random() < 0.2:
            del node[key]
        else:
            node[key] = chance.choice(ODD)
        yield json.dumps(changed)


def in_a_line(error):
    assert "\n" not in str(error)


@pytest.fixture
def run(tmp_path):
    row = backbone("focus-vits14")
    settings = TrainSettings(classes=3, block=row.block, code=8)
    folder = tmp_path / "run"
    torch.manual_seed(0)
    probe = ClusterProbe(torch.randn(3, 8), settings.temperature)
    save_checkpoint(
        Checkpoint(Head(384, 8), probe, (0.5, 0.3, 0.2), row, row.block, "feat", "0" * 64, 224, settings), folder
    )
    return folder


def test_metadata_of_models():
    info = ModelInfo(2, ("a", "b"), [(1, 2, 3), (4, 5, 6)], 14, 224, "x", False, "fp32", ("c",), ((7, 8, 9),))
    text = metadata_text(info, ExportRecord("1", (0.5, 0.5), 3, "feat", "0" * 64, "1" * 64))
    assert parse_metadata(text, "model") == info
    for mutant in mutants(text, 600, 0):
        try:
            read = parse_metadata(mutant, "model")
        except ModelError as error:
            in_a_line(error)
        else:
            assert len(read.class_names) == read.classes > 0
            assert all(0 <= channel <= 255 for colour in read.palette for channel in colour)


def test_checkpoints(run):
    file = run / "config.json"
    text = file.read_text()
    assert load_checkpoint(run).settings.code == 8
    for mutant in mutants(text, 600, 1):
        file.write_text(mutant, encoding="utf-8", errors="surrogateescape" if "\udc80" in mutant else "strict")
        try:
            read = load_checkpoint(run)
        except ModelError as error:
            in_a_line(error)
        else:
            assert read.backbone.patch > 0
            assert read.settings.temperature > 0
            assert read.token in ("feat", "key")


@pytest.mark.parametrize(
    ("key", "value"), [("block", -3), ("block", 12), ("token", "../x"), ("res", 10**9), ("shares", [2.0, 0, 0])]
)
def test_values_of_a_checkpoint_that_make_no_sense_are_named(run, stego, key, value):
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, key: value}))
    refused = stego("export-onnx", run, "--out", "x.onnx")
    assert refused.returncode == 5
    assert key in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("key", "value"),
    [("temperature", 0), ("temperature", -1), ("smoothing", -1), ("block", -3), ("code", 0), ("code", 10**12)],
)
def test_settings_of_a_checkpoint_that_make_no_sense_are_named(run, stego, key, value):
    config = json.loads((run / "config.json").read_text())
    config["settings"][key] = value
    (run / "config.json").write_text(json.dumps(config))
    refused = stego("export-onnx", run, "--out", "x.onnx")
    assert refused.returncode == 5
    assert key in refused.stderr


def test_data_sets(tmp_path):
    about = About(
        "mine", ClassTable(("a", "b"), ((1, 2, 3), (4, 5, 6))), {"val": Split(1, 1, [1, 2], [1, 1], 0)}, {"seed": 0}
    )
    text = about.as_json()
    (tmp_path / "dataset.json").write_text(text)
    assert read_about(tmp_path) == about
    for mutant in mutants(text, 600, 2):
        (tmp_path / "dataset.json").write_bytes(mutant.encode("utf-8", "surrogatepass"))
        try:
            read = read_about(tmp_path)
        except UsageError as error:
            in_a_line(error)
        else:
            assert read is None or read.table is None or 0 <= read.table.void <= 65535


def test_the_record_of_a_run_and_its_places(tmp_path, segment, photos_folder):
    out = tmp_path / "masks"
    assert segment(photos_folder / "cat.jpg", out).returncode == 0
    run, listed = out / ".stego/run.json", out / ".stego/places.jsonl"
    text, places_text = run.read_text(), listed.read_text().strip()
    folder = OutputFolder(out)

    class Same:
        photos = photos_folder

        @staticmethod
        def identity():
            return json.loads(text)["identity"]

    for mutant in mutants(text, 300, 3):
        run.write_bytes(mutant.encode("utf-8", "surrogatepass"))
        try:
            with folder.open_journal(Same, overwrite=False):
                pass
        except (UsageError, ModelError) as error:
            in_a_line(error)
    for mutant in mutants(places_text, 300, 4):
        listed.write_bytes(mutant.encode("utf-8", "surrogatepass") + b"\n")
        assert "cat.png" in read_owned(out)  # the journal has it, too


def test_the_classes_of_a_run(run):
    file = run / "config.json"
    text = file.read_text()
    assert classes_of_run(run) == (ClassEdits(3), (0.5, 0.3, 0.2))
    for mutant in mutants(text, 200, 5):
        file.write_bytes(mutant.encode("utf-8", "surrogatepass"))
        try:
            edits, shares = classes_of_run(run)
        except ModelError as error:
            in_a_line(error)
        else:
            assert edits.count == len(shares) > 0
            assert all(0 <= share <= 1 for share in shares)


def test_a_change_of_classes_and_a_gallery_that_were_written_down(tmp_path, segment, stego, photos_folder):
    out, gallery = tmp_path / "masks", tmp_path / "gallery"
    assert segment(photos_folder / "cat.jpg", out).returncode == 0
    pending = pending_change(out)
    change = {"table": list(range(256)), "classes": write_classes_file(ClassEdits(4)), "journal": 10, "parts": []}
    for mutant in mutants(json.dumps(change), 100, 6):
        pending.write_bytes(mutant.encode("utf-8", "surrogatepass"))
        try:
            finish_change(out, Quiet(), Stop())
        except (ModelError, UsageError) as error:
            in_a_line(error)
    pending.unlink(missing_ok=True)
    (out / ".stego/classes.toml").unlink(missing_ok=True)
    assert stego("gallery", out, "--out", gallery).returncode == 0
    state = gallery / ".stego/gallery.json"
    for raw in (*RAW, b'{"fingerprint": 1}', state.read_bytes().replace(b'"photographs": 1', b'"photographs": "x"')):
        state.write_bytes(raw)
        assert stego("gallery", out, "--out", gallery).returncode == 0
        assert json.loads(state.read_bytes())["photographs"] == 1


def test_a_name_of_a_class_that_cannot_be_used_refuses_the_model(tmp_path, stego, photos_folder):
    model = tiny_graph()
    entry = next(each for each in model.metadata_props if each.key == METADATA_KEY)
    text = entry.value
    for index, name in enumerate(("x" * 2_000_000, "green")):
        entry.value = json.dumps({**json.loads(text), "class_names": [name, "green", "blue", "dark"]})
        (tmp_path / "odd.onnx").write_bytes(model.SerializeToString())
        refused = stego("segment", photos_folder / "cat.jpg", "--out", f"masks{index}", "--model", "odd.onnx")
        assert refused.returncode == 5
        assert "The model's classes cannot be used" in refused.stderr
        assert len(refused.stderr) < 1000

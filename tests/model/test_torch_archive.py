"""Reading a file of torch without running it: what is refused, what is kept as data, and that nothing is executed."""

import argparse
import collections
import os
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stego_cli.errors import ModelError
from stego_cli.model.original import import_checkpoint
from stego_cli.model.torch_archive import Record, StoredTensor, TorchArchive
from tests.support import original_checkpoint


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def with_pickle(file: Path, program: bytes, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("archive/data.pkl", program)
        archive.writestr("archive/version", "3\n")
    return file


def refusal(file: Path) -> str:
    with pytest.raises(ModelError) as caught:
        TorchArchive(file)
    assert caught.value.exit_code == 5
    assert "\n" not in caught.value.message
    return caught.value.message


def harmful(marker: Path) -> dict[str, Any]:
    create = f"open({str(marker)!r}, 'w').close()"
    return {
        "a shell command": Calls(os.system, f"touch {marker}"),
        "eval": Calls(eval, create),
        "exec": Calls(exec, create),
        "a file": Calls(open, str(marker), "w"),
        "an attribute": Calls(getattr, "x", "upper"),
        "torch.load": Calls(torch.load, str(marker)),
        "partial": Calls(__import__("functools").partial, os.system, f"touch {marker}"),
    }


@pytest.mark.parametrize("harm", harmful(Path("marker")))
@pytest.mark.parametrize("place", ["alone", "in the weights", "in the configuration"])
def test_a_pickle_that_calls_anything_is_refused_and_nothing_is_called(harm: str, place: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    call = harmful(marker)[harm]
    contents = {
        "alone": call,
        "in the weights": {"state_dict": {"net.model.cls_token": call}, "hyper_parameters": {}},
        "in the configuration": {"state_dict": {}, "hyper_parameters": {"cfg": {"arch": call}}},
    }
    torch.save(contents[place], tmp_path / "x.ckpt")
    said = refusal(tmp_path / "x.ckpt")
    assert "is refused: it asks for" in said
    assert "nothing of it was run" in said
    with pytest.raises(ModelError):
        import_checkpoint(tmp_path / "x.ckpt", tmp_path / "run")
    assert [file.name for file in tmp_path.iterdir()] == ["x.ckpt"]


def program(*opcodes: bytes) -> bytes:
    return pickle.PROTO + b"\x04" + b"".join(opcodes) + pickle.STOP


def name(module: str, attribute: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{attribute}\n".encode()


@pytest.mark.parametrize(
    "code",
    [
        # By the older ways to a class, by its extension code, and through a module that is otherwise let through.
        program(pickle.MARK, b"S'touch marker'\n", pickle.INST + b"os\nsystem\n"),
        program(pickle.MARK, name("os", "system"), b"S'touch marker'\n", pickle.OBJ),
        program(pickle.EXT1 + b"\x01"),
        program(name("typing", "sys.modules")),
        program(name("omegaconf", "base.os.system"), b"S'touch marker'\n", pickle.TUPLE1, pickle.REDUCE),
    ],
)
def test_other_ways_to_a_call_are_refused_too(code: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "is refused" in refusal(with_pickle(tmp_path / "x.ckpt", code))
    assert [file.name for file in tmp_path.iterdir()] == ["x.ckpt"]


def test_names_of_known_libraries_stay_data_even_where_they_are_called(tmp_path: Path) -> None:
    """`operator.getitem` of a pickled type hint, paths and the like: kept as records, never looked up."""
    call = [name("operator", "getitem"), b"}", b"K\x00", pickle.TUPLE2, pickle.REDUCE]  # would raise a KeyError
    with TorchArchive(with_pickle(tmp_path / "x.ckpt", program(*call))) as archive:
        assert isinstance(archive.content, Record)
    content = {"a": argparse.Namespace(b=1), "p": Path("x"), "d": collections.defaultdict(list, {1: 2}), "s": {3}}
    content |= {"n": np.float64(0.5), "b": b"x", "t": torch.float32, "device": torch.device("cpu")}
    torch.save(content, tmp_path / "y.ckpt")
    with TorchArchive(tmp_path / "y.ckpt") as archive:
        assert isinstance(archive.content["a"], Record)
        assert archive.content["a"].state == {"b": 1}
        assert archive.content["d"] == {1: 2}


@pytest.mark.parametrize(
    "named",
    [
        name("omegaconf", "X"),
        name("torch", "FloatStorage"),
        name("collections", "OrderedDict"),
        name("torch._utils", "_rebuild_tensor_v2"),
        name("torch._utils", "_rebuild_parameter"),
    ],
)
def test_a_pickle_cannot_change_the_classes_that_read_it(named: bytes, tmp_path: Path) -> None:
    changed = [b"N", b"}", b"U\x08__init__", b"N", pickle.SETITEM, pickle.TUPLE2, pickle.BUILD]
    said = refusal(with_pickle(tmp_path / "x.ckpt", program(named, *changed)))
    assert "is damaged: its pickle cannot be read" in said
    tensor = torch.arange(6).reshape(2, 3)[:, 1:]
    torch.save({"t": tensor}, tmp_path / "y.ckpt")
    with TorchArchive(tmp_path / "y.ckpt") as archive:
        assert torch.equal(archive.tensor(archive.content["t"], (2, 2), "t"), tensor.float())


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (b"", "damaged"),
        (b"garbage", "damaged"),
        (program(b"]", pickle.LONG_BINPUT + struct.pack("<I", 2**31 - 1)), "its memo has holes"),
        (program(pickle.BINBYTES8 + struct.pack("<Q", 2**62)), "damaged"),
        (program(name("torch._utils", "_rebuild_tensor_v2"), b")", pickle.REDUCE), "damaged"),
        (program(b"K\x01", pickle.BINPERSID), "damaged"),
    ],
)
def test_a_damaged_pickle_is_refused(code: bytes, sentence: str, tmp_path: Path) -> None:
    assert sentence in refusal(with_pickle(tmp_path / "x.ckpt", code))


def rewritten(source: Path, target: Path, drop: str = "", method: int = zipfile.ZIP_STORED, **changed: bytes) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", method) as new:
        for entry in old.namelist():
            short = entry.partition("/")[2]
            if not drop or short != drop:
                new.writestr(entry, changed.get(short, old.read(entry)))
    return target


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.save({"t": torch.ones(40, 50)}, tmp_path / "saved.ckpt")
    return tmp_path / "saved.ckpt"


def test_storages_are_read_within_their_bounds_only(saved: Path, tmp_path: Path) -> None:
    cases = {
        "is missing": rewritten(saved, tmp_path / "a.ckpt", drop="data/0"),
        "reaches beyond its data": rewritten(saved, tmp_path / "b.ckpt", **{"data/0": bytes(7999)}),
    }
    for sentence, file in cases.items():
        with TorchArchive(file) as archive, pytest.raises(ModelError, match=sentence):
            archive.tensor(archive.content["t"], (40, 50), "t")
    with TorchArchive(saved) as archive:
        stored = archive.content["t"]
        for offset, strides in ((1, (50, 1)), (-1, (50, 1)), (0, (51, 1)), (0, (-50, 1)), (0, (50,)), (0, "ab")):
            forged = StoredTensor(stored.storage, offset, (40, 50), strides)
            with pytest.raises(ModelError, match="damaged"):
                archive.tensor(forged, (40, 50), "t")
        for shape in ((10**5000,), (2**50, 1), tuple(range(100)), "ab"):  # in the message only as far as it is a shape
            with pytest.raises(ModelError, match=r"has t of shape \(\)"):
                archive.tensor(StoredTensor(stored.storage, 0, shape, (1,)), (40, 50), "t")
        unfolding = StoredTensor(stored.storage, 0, (400, 500), (0, 0))
        with pytest.raises(ModelError, match="damaged"):
            archive.tensor(unfolding, (400, 500), "t")


def test_compressed_entries_are_refused_unread(saved: Path, tmp_path: Path) -> None:
    assert "compressed" in refusal(rewritten(saved, tmp_path / "x.ckpt", method=zipfile.ZIP_DEFLATED))


def test_a_big_endian_file_is_refused(saved: Path, tmp_path: Path) -> None:
    assert "big-endian" in refusal(rewritten(saved, tmp_path / "x.ckpt", byteorder=b"big"))


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.99])
def test_a_truncated_file_is_refused(saved: Path, kept: float, tmp_path: Path) -> None:
    content = saved.read_bytes()
    (tmp_path / "x.ckpt").write_bytes(content[: int(len(content) * kept)])
    assert "is damaged: its end is missing" in refusal(tmp_path / "x.ckpt")


def test_a_file_with_flipped_bytes_is_refused(saved: Path, tmp_path: Path) -> None:
    content = bytearray(saved.read_bytes())
    where = content.index(torch.ones(2).numpy().tobytes())
    content[where + 100] ^= 0x55
    (tmp_path / "x.ckpt").write_bytes(content)
    with TorchArchive(tmp_path / "x.ckpt") as archive, pytest.raises(ModelError, match="Bad CRC"):
        archive.tensor(archive.content["t"], (40, 50), "t")


def test_what_is_no_zip_of_torch_is_refused(tmp_path: Path) -> None:
    torch.save({"t": torch.ones(3)}, tmp_path / "legacy.ckpt", _use_new_zipfile_serialization=False)
    (tmp_path / "letter.ckpt").write_text("Dear reader, I am a letter.")
    (tmp_path / "empty.ckpt").write_bytes(b"")
    with tarfile.open(tmp_path / "tar.ckpt", "w") as archive:
        archive.add(tmp_path / "letter.ckpt")
    for file in ("legacy", "letter", "empty", "tar"):
        assert "no zip archive" in refusal(tmp_path / f"{file}.ckpt")
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as zipped:
        zipped.write(tmp_path / "letter.ckpt", "letter")
    assert "not one that torch wrote" in refusal(tmp_path / "photos.zip")
    assert "No such file" in refusal(tmp_path / "missing.ckpt")
    assert "Is a directory" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"arch": "feature-pyramid"}, "architecture 'feature-pyramid'; only 'dino'"),
        ({"dino_patch_size": 32}, "backbone 'vit_small' with patch 32, which is not supported"),
        ({"model_type": "resnet50"}, "backbone 'resnet50' with patch 16, which is not supported"),
        ({"dino_feat_type": "VV"}, "'VV' features"),
        ({"model_type": "vit_base"}, "lacks the tensor net.model.cls_token"),
    ],
)
def test_an_unsupported_configuration_is_refused_by_name(
    changes: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    original_checkpoint.save(tmp_path / "x.ckpt", {}, **changes)
    with pytest.raises(ModelError, match=sentence):
        import_checkpoint(tmp_path / "x.ckpt", tmp_path / "run")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (torch.ones(2), "not a checkpoint of the original STEGO"),
        ({"state_dict": {}}, "not a checkpoint of the original STEGO"),
        ({"teacher": {}}, "not a checkpoint of the original STEGO"),
        ({"state_dict": {}, "hyper_parameters": {"n_classes": 27}}, "has no configuration"),
        ({"state_dict": {}, "hyper_parameters": {"cfg": {"arch": "dino"}}}, "lacks model_type in its configuration"),
    ],
)
def test_a_checkpoint_that_is_another_thing_is_refused(content: object, sentence: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "x.ckpt")
    with pytest.raises(ModelError, match=sentence):
        import_checkpoint(tmp_path / "x.ckpt", tmp_path / "run")

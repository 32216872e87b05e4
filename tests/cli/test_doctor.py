"""`stego doctor` names what is broken, whatever it is, and whether the rest can be used."""

import collections
import importlib.metadata
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from stego_cli.app import app
from stego_cli.doctor import examine, self_test
from stego_cli.errors import ModelError
from stego_cli.inference.devices.driver import Driver, Gpu
from stego_cli.inference.session import Session

DRIVER = Driver((Gpu("Card", 8 * 10**9),), (13, 0))


@pytest.fixture
def doctor(capfd):
    """`doctor(*arguments)`: exit code, and the findings by group and name."""

    def run(*arguments):
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            app(["doctor", "--json", *arguments], prog_name="stego")
        report = json.loads(capfd.readouterr().out)
        assert report["usable"] == (end.value.code == 0)
        return end.value.code, {(each["group"], each["name"]): each for each in report["findings"]}

    return run


def without(*modules, arguments=("--no-self-test",)):
    """Run the command where these modules cannot be imported; return exit code and what is said."""
    program = f"import sys; sys.modules.update(dict.fromkeys({modules!r})); sys.argv[0] = 'stego'\n"
    program += "from stego_cli.__main__ import main; main()"
    ended = subprocess.run([sys.executable, "-c", program, "doctor", *arguments], capture_output=True, text=True)
    assert "Traceback" not in ended.stdout + ended.stderr
    return ended.returncode, ended.stdout


@pytest.mark.slow
def test_a_whole_installation_passes_and_its_figures_are_measured(doctor):
    code, found = doctor()
    assert code == 0
    assert {each["status"] for (group, _), each in found.items() if group == "self-test"} == {"ok"}
    tested = {name: each["figures"] for (group, name), each in found.items() if group == "self-test"}
    assert set(tested) == {"decode", "model", "speed", "CRF", "mask", "limit"}
    assert tested["limit"]["limit"] in tested["limit"]["rates"]
    assert tested["model"]["right"] == 1
    assert tested["CRF"]["agreement"] >= 0.999
    assert {"cpu", "torch"} <= set(tested["CRF"]["milliseconds"])
    assert 1 < tested["speed"]["milliseconds"] < 20_000
    for name in ("numpy", "torch", "timm"):
        assert found["versions", name]["figures"]["version"] == importlib.metadata.version(name)
    assert "CPUExecutionProvider" in found["versions", "onnxruntime"]["figures"]["providers"]
    assert "baseline" in found["CRF engines", "cpu"]["figures"]["instruction_sets"]


def test_people_get_a_line_each_and_a_verdict(capfd):
    with pytest.raises(SystemExit) as end:
        app(["doctor", "--no-self-test"], prog_name="stego")
    said = capfd.readouterr().out
    assert end.value.code == 0
    assert f"  ok       numpy: {np.__version__}\n" in said
    assert "\nCRF engines:\n" in said
    assert "self-test" not in said
    assert "\nstego can be used: 0 problems, " in said


@pytest.mark.slow
def test_without_the_native_engine_there_is_a_warning_with_the_remedy(monkeypatch, doctor):
    monkeypatch.delattr("stego_cli.crf._native", raising=False)
    monkeypatch.setitem(sys.modules, "stego_cli.crf._native", None)
    code, found = doctor()
    assert code == 0
    engine = found["CRF engines", "cpu"]
    assert (engine["status"], engine["figures"]["usable"]) == ("warning", False)
    assert "without its native part" in engine["text"]
    assert "C++20 compiler" in engine["remedy"]
    assert "cpu" not in found["self-test", "CRF"]["figures"]["milliseconds"]
    assert found["self-test", "CRF"]["status"] == "ok"


@pytest.mark.slow
def test_without_any_engine_or_torch_the_problem_is_named():
    code, said = without("stego_cli.crf._native", "torch", "timm")
    assert code == 1
    assert "  problem  torch: cannot be used: it cannot be loaded" in said
    assert "Or give --no-crf." in said
    assert "stego cannot be used as it is: 1 problem, " in said


def test_a_missing_package_is_named_with_its_remedy(monkeypatch, doctor):
    def version(name):
        if name in ("timm", "pillow", "tensorboard"):
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(importlib.metadata, "version", version)
    code, found = doctor("--no-self-test")
    assert code == 1
    assert found["versions", "pillow"]["status"] == "problem"
    assert found["versions", "timm"]["status"] == "warning"
    assert found["versions", "timm"]["remedy"] == "`pip install timm`"
    assert found["optional packages", "tensorboard"]["status"] == "ok"
    assert found["versions", "onnxruntime"]["status"] == "warning"  # both builds seem to be installed


@pytest.mark.parametrize("module", ["onnxruntime", "numpy"])
@pytest.mark.slow
def test_a_package_that_cannot_be_loaded_is_a_problem_and_no_traceback(module):
    code, said = without(module)
    assert code == 1
    assert f"  problem  {module}: " in said
    assert "halted" in said


def test_an_onnx_runtime_without_a_provider_for_the_cpu_is_a_problem(monkeypatch, doctor):
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["AzureExecutionProvider"])
    code, found = doctor("--no-self-test")
    assert code == 1
    assert found["versions", "onnxruntime"]["status"] == "problem"
    assert "CPUExecutionProvider is missing" in found["versions", "onnxruntime"]["text"]


@pytest.mark.parametrize(
    ("driver", "said"),
    [
        (None, "no NVIDIA driver"),
        (Driver((), (13, 0)), "no NVIDIA GPU visible"),
        (Driver((), (13, 0), "system not yet initialized"), "does not start (system not yet initialized)"),
    ],
)
def test_without_a_gpu_the_reason_is_given(monkeypatch, doctor, driver, said):
    monkeypatch.setattr(examine, "find_driver", lambda: driver)
    assert said in doctor("--no-self-test")[1]["machine", "GPUs"]["text"]


def test_a_gpu_that_onnx_runtime_cannot_use_is_a_warning(monkeypatch, doctor):
    monkeypatch.setattr(examine, "find_driver", lambda: DRIVER)
    for providers, status in (
        (["CPUExecutionProvider"], "warning"),
        (["CUDAExecutionProvider", "CPUExecutionProvider"], "ok"),
    ):
        monkeypatch.setattr("onnxruntime.get_available_providers", lambda those=providers: those)
        code, found = doctor("--no-self-test")
        assert code == 0
        gpus = found["machine", "GPUs"]
        assert gpus["status"] == status
        assert gpus["text"].startswith("Card (8.0 GB); driver for CUDA 13.0")
        assert gpus["figures"]["gpus"] == [{"name": "Card", "memory": 8 * 10**9}]


@pytest.mark.parametrize("folder", ["file.txt/cache", "/proc/cache"])
def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch, doctor, folder):
    (tmp_path / "file.txt").write_text("not a folder")
    monkeypatch.setenv("STEGO_CACHE", str(tmp_path / folder))
    code, found = doctor("--no-self-test")
    assert code == 0
    assert found["disk", "cache"]["status"] == "warning"
    assert f"{tmp_path / folder} cannot be written: " in found["disk", "cache"]["text"]
    assert "STEGO_CACHE" in found["disk", "cache"]["remedy"]


def test_a_cache_that_is_not_there_yet_is_no_fault_and_is_not_made(tmp_path, monkeypatch, doctor):
    monkeypatch.setenv("STEGO_CACHE", str(tmp_path / "some/cache"))
    code, found = doctor("--no-self-test")
    assert code == 0
    assert found["disk", "cache"]["status"] == "ok"
    assert found["disk", "weights"]["figures"]["backbones"] == []
    assert "stego models pull" in found["disk", "weights"]["text"]
    assert not (tmp_path / "some").exists()


def test_little_memory_and_a_full_disk_are_warnings(monkeypatch, doctor):
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 5000))
    monkeypatch.setattr(examine, "memory", lambda: 10**9)
    code, found = doctor("--no-self-test")
    assert code == 0
    assert found["machine", "memory"]["status"] == "warning"
    assert found["disk", "space in this folder"]["text"] == "only 5.0 kB free"
    assert found["disk", "space in the cache"]["status"] == "warning"


def test_a_model_that_runs_on_the_cpu_beside_a_gpu_is_a_warning(monkeypatch):
    from_bytes = Session.from_bytes
    monkeypatch.setattr(Session, "from_bytes", lambda content, device, name: from_bytes(content, "cpu", name))
    monkeypatch.setattr(self_test, "find_driver", lambda: None)
    assert self_test.run_part("model").status == "ok"
    monkeypatch.setattr(self_test, "find_driver", lambda: DRIVER)
    assert self_test.run_part("model").status == "warning"
    assert "onnxruntime-gpu[cuda,cudnn]" in self_test.run_part("model").remedy


def unrefined(engine, image, log_probs, *_):
    return log_probs


def torn(file, content):
    file.write_bytes(content[:-40])


def refused(*_):
    raise ModelError("there is no such model", "Get another.")


@pytest.mark.parametrize(
    ("part", "broken", "name", "said"),
    [
        ("stego_cli.crf.Engine.refine", unrefined, "CRF", "wrong: "),
        ("stego_cli.doctor.self_test.write_bytes", torn, "mask", "failed: "),
        (
            "stego_cli.doctor.self_test.decode_whole",
            lambda file: np.zeros((480, 640, 3), np.uint8),
            "decode",
            "was decoded wrongly",
        ),
        (
            "stego_cli.doctor.self_test.colour_model",
            lambda: self_test.transformer_model(56, 112, 4),
            "model",
            "wrong on ",
        ),
        ("stego_cli.doctor.self_test.transformer_model", refused, "speed", "failed: there is no such model"),
    ],
)
def test_each_part_of_the_self_test_finds_its_own_fault(monkeypatch, part, broken, name, said):
    monkeypatch.setattr(part, broken)
    finding = self_test.run_part(name)
    assert finding.status == "problem"
    assert said in finding.text
    assert finding.remedy

"""What a command loads decides how fast it answers: held by name here, timed in benchmarks."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

pytestmark = pytest.mark.slow

HEAVY = (
    "torch",
    "timm",
    "onnx",
    "onnxruntime",
    "numpy",
    "PIL",
    "rich",
    "scipy",
    "pydensecrf",
    "huggingface_hub",
    "matplotlib",
)


def modules_after(*arguments: str, forbid: tuple[str, ...] = (), cwd: Path | None = None) -> tuple[int, set[str], str]:
    """Run the command in a fresh interpreter; importing what is forbidden fails there."""
    program = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({forbid!r}))\n"
        f"sys.argv = ['stego', *{list(arguments)!r}]\n"
        "from stego_cli.__main__ import main\n"
        "code = 0\n"
        "if __name__ == '__main__':\n"
        "    try:\n"
        "        main()\n"
        "    except SystemExit as error:\n"
        "        code = error.code or 0\n"
        "    print('LOADED', *{name.partition('.')[0] for name, module in sys.modules.items() if module})\n"
        "    sys.exit(code)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=cwd)
    loaded = ended.stdout.rpartition("LOADED")[2].split()
    return ended.returncode, set(loaded), ended.stdout + ended.stderr


@pytest.mark.parametrize(
    "command",
    [
        "",
        "segment",
        "train",
        "export-onnx",
        "correspond",
        "doctor",
        "gallery",
        "classes",
        "classes join",
        "convert",
        "models",
        "models pull",
    ],
)
def test_help_loads_nothing_heavy_and_shows_examples(command: str) -> None:
    code, loaded, said = modules_after(*command.split(), "--help")
    assert code == 0
    assert not loaded & set(HEAVY)
    assert "Usage: stego" in said
    assert "Examples:" in said or command == "models"


def test_segmenting_with_a_model_on_the_cpu_never_imports_torch(
    tiny_model: Path, photos_folder: Path, tmp_path: Path
) -> None:
    code, loaded, said = modules_after(
        "segment",
        str(photos_folder / "cat.jpg"),
        "--out",
        "masks",
        "--model",
        str(tiny_model),
        "--no-crf",
        "--device",
        "cpu",
        forbid=("torch", "timm"),
        cwd=tmp_path,
    )
    assert code == 0, said
    assert "torch" not in loaded
    assert (tmp_path / "masks" / "cat.png").is_file()


def test_evaluating_a_model_file_never_imports_torch(tiny_model: Path, photos_folder: Path, tmp_path: Path) -> None:
    for kind in ("imgs", "labels"):
        (tmp_path / "data" / kind / "val").mkdir(parents=True)
    with Image.open(photos_folder / "cat.jpg") as photo:
        photo.resize((84, 56)).save(tmp_path / "data/imgs/val/cat.png")
        photo.resize((84, 56)).convert("1").save(tmp_path / "data/labels/val/cat.png")
    model = ("--model", str(tiny_model), "--protocol", "full", "--device", "cpu", "--workers", "1")
    code, loaded, said = modules_after("evaluate", "data", *model, forbid=("torch", "timm"), cwd=tmp_path)
    assert code == 0, said
    assert "torch" not in loaded


def test_the_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    assert modules_after("--version")[2].startswith(f"stego {version('stego-cli')}\n")


@pytest.mark.parametrize(
    "arguments", [("segment",), ("train", "x"), ("nonsense",), ("segment", "x", "--out", "y", "-q")]
)
def test_wrong_use_ends_with_2_and_says_how_to_get_help(arguments: tuple[str, ...]) -> None:
    code, _, said = modules_after(*arguments)
    assert code == 2
    assert "--help" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("command", ["segment", "train"])
def test_a_folder_without_photographs_ends_with_4(command: str, tmp_path: Path, stego) -> None:
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "missing"):
        ended = stego(command, folder, "--out", "out")
        assert ended.returncode == 4
        assert folder in ended.stderr
        assert not (tmp_path / "out").exists()

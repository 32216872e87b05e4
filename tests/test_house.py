"""The house rules that a machine can hold: lint, types, packaging, and which room may import which."""

import ast
import os
import subprocess
import sys
import zipfile
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# An import points down this list only; rooms on one line do not import each other.
ROOMS = [
    {"stego_cli"},  # the public API: its module imports below, and nobody imports it
    {"stego_cli.__main__"},
    {"stego_cli.app"},
    {"stego_cli.commands", "stego_cli.api"},
    {"stego_cli.ui"},
    {"stego_cli.tasks"},
    {"export", "stego_cli.doctor", "stego_cli.correspond"},
    {"stego_cli.training"},
    {"stego_cli.gallery"},
    {"stego_cli.scoring"},
    {"stego_cli.datasets"},
    {"stego_cli.engines"},
    {"stego_cli.trees"},
    {"stego_cli.inference"},
    {"stego_cli.crf"},
    {"stego_cli.model"},
    {"stego_cli.sources"},
    {"stego_cli.images"},
    {"stego_cli.classes_toml"},
    {"stego_cli.class_operations"},
    {"stego_cli.class_edits"},
    {"stego_cli.stop", "stego_cli.progress", "stego_cli.settings", "stego_cli.class_files"},
    {"stego_cli.part_settings", "stego_cli.reading"},
    {"stego_cli.classes"},
    {"stego_cli.errors", "stego_cli.machine", "stego_cli.page", "stego_cli.palette", "stego_cli.processes"},
    {"stego_cli.text", "stego_cli.version", "stego_cli.checked_json", "stego_cli.hierarchy"},
    {"stego_cli.regular_file"},
]
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}


def sources() -> list[Path]:
    return sorted([*ROOT.glob("stego_cli/**/*.py"), *ROOT.glob("export/**/*.py")])


def name_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(file): file for file in sources()}


def room(module: str) -> str:
    parts = module.split(".")
    return parts[0] if parts[0] == "export" or len(parts) == 1 else ".".join(parts[:2])


def imports(file: Path) -> set[str]:
    """The project's modules that a file imports, at its top, inside a function, or for types alone."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in MODULES else node.module for name in below}
    return {name for name in names if name.split(".")[0] in ("stego_cli", "export")}


@pytest.mark.parametrize("command", [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]])
@pytest.mark.slow
def test_linter_formatter_and_types_have_nothing_to_say(command: list[str]) -> None:
    ended = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down_the_list_of_rooms(module: str) -> None:
    own = room(module)
    for name in imports(MODULES[module]):
        if room(name) != own:
            assert LEVEL[room(name)] > LEVEL[own], f"{module} imports {name}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    try:
        TopologicalSorter({module: imports(file) for module, file in MODULES.items()}).prepare()
    except CycleError as error:
        pytest.fail("a circle: " + " <- ".join(error.args[1]))


# The CRF's engines in torch are imported by name, when they are chosen; the GPU's pipeline when a session is on one.
_OF_THE_CRF = ("lattice", "spatial_stencil", "torch_engine", "cuda_engine", "gpu_lattice")
TORCH_ENGINES = {f"crf/{name}.py" for name in (*_OF_THE_CRF, "triton_kernels", "lattice_kernels")}
TORCH_MODULES = {*TORCH_ENGINES, "inference/devices/gpu_pipeline.py", "inference/devices/resample.py"}


@pytest.mark.parametrize("room", ["doctor", "inference", "crf", "images", "scoring"])
def test_rooms_that_must_start_fast_never_import_torch(room: str) -> None:
    for file in (ROOT / "stego_cli" / room).glob("**/*.py"):
        if str(file.relative_to(ROOT / "stego_cli")) in TORCH_MODULES:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not {module.split(".")[0] for module in modules} & {"torch", "timm", "triton"}, file


@pytest.mark.slow
def test_the_wheel_carries_both_packages_and_the_notices(tmp_path: Path) -> None:
    compiler = tmp_path / "compiler"
    compiler.write_text('#!/bin/sh\nexec c++ "$@" -O0\n')  # a minute less: what the wheel has in it is looked at alone
    compiler.chmod(0o755)
    ended = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)],
        env={**os.environ, "CC": str(compiler), "CXX": str(compiler)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    names = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    assert {str(file.relative_to(ROOT)) for file in sources()} <= names
    assert any(name.endswith("licenses/NOTICE") for name in names)
    for module in ("stego_cli/crf/_native.", "stego_cli/images/_native."):
        assert any(name.startswith(module) and name.endswith((".so", ".pyd")) for name in names)
    assert not any(name.startswith("tests/") or name.endswith((".cpp", ".hpp")) for name in names)

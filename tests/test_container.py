"""What can be known of the Containerfile without a container runtime: it is well formed, and names what there is."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Containerfile").read_text(encoding="utf-8")
KNOWN = {"FROM", "ENV", "RUN", "COPY", "WORKDIR", "USER", "ENTRYPOINT"}


def instructions():
    """Each instruction in one line, without comments, as (name, rest)."""
    lines = [line for line in TEXT.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def stages():
    """Instructions by stage."""
    found = {}
    for name, rest in instructions():
        if name == "FROM":
            image, _, stage = rest.partition(" AS ")
            found[stage] = [("FROM", image)]
        else:
            found[stage].append((name, rest))
    return found


def test_it_has_known_instructions_and_its_stages_come_from_one_base():
    assert {name for name, _ in instructions()} <= KNOWN
    assert [*stages()] == ["base", "cpu", "cuda"]
    assert re.fullmatch(r"docker\.io/library/python:3\.\d+-slim", dict(stages()["base"])["FROM"])
    for stage in ("cpu", "cuda"):
        assert stages()[stage][0] == ("FROM", "base")
        assert stages()[stage][-2:] == [("USER", "1000"), ("ENTRYPOINT", '["stego"]')]


def test_its_python_is_one_that_the_package_is_tested_with():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = re.search(r"python:(3\.\d+)", TEXT)[1]
    assert f"Programming Language :: Python :: {version}" in project["classifiers"]


def test_what_it_copies_is_there_and_not_ignored():
    kept = {line[1:] for line in (ROOT / ".containerignore").read_text().splitlines() if line.startswith("!")}
    copied = [word for name, rest in instructions() if name == "COPY" for word in rest.split()[:-1]]
    assert set(copied) == kept
    for source in copied:
        assert source == "dist/*.whl" or (ROOT / source).is_file()  # the wheel is built before


@pytest.mark.parametrize("stage", ["cpu", "cuda"])
def test_extras_that_it_installs_exist(stage):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    (named,) = re.findall(r'pip install "\$\(echo /wheels/\*\.whl\)\[([\w,-]+)\]"', dict_of_runs(stage))
    assert {"ray", "s3", "gs", "az", "http"} <= set(named.split(",")) <= set(extras)


def dict_of_runs(stage):
    return "\n".join(rest for name, rest in stages()[stage] if name == "RUN")


def test_its_commands_are_ones_that_a_shell_reads():
    runs = [rest for name, rest in instructions() if name == "RUN"]
    assert len(runs) == 4
    for run in runs:
        subprocess.run(["sh", "-n"], input=run, text=True, check=True)


def test_libraries_of_cuda_are_recognised_in_what_pip_lists():
    (program,) = re.findall(r"sed -n '([^']+)'", TEXT)
    listed = "numpy==2.4\nnvidia-cudnn-cu13==9.2\nnvidia-x @ file:///x.whl\nonnxruntime-gpu==1.31\n"
    ended = subprocess.run(["sed", "-n", program], input=listed, text=True, capture_output=True, check=True)
    assert ended.stdout == "nvidia-cudnn-cu13\nnvidia-x\n"


def test_the_page_builds_these_targets():
    page = (ROOT / "docs" / "how-to" / "cluster.md").read_text(encoding="utf-8")
    assert set(re.findall(r"podman build --target (\w+) --tag stego:\w+ \.", page)) == {"cpu", "cuda"}

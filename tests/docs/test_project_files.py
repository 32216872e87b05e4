"""Files that other tools read: workflows, pre-commit, CITATION.cff, project addresses; one version everywhere."""

import re
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest
import yaml

from stego_cli import __version__
from tests.support.processes import PATIENCE

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def check(*command: str) -> None:
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def schema(name: str, *files: Path) -> None:
    check(sys.executable, "-m", "check_jsonschema", "--builtin-schema", name, *map(str, files))


def test_workflows_follow_their_schema_and_have_time_limits():
    assert {file.stem for file in WORKFLOWS} == {"tests", "wheels", "publish", "docs"}
    schema("vendor.github-workflows", *WORKFLOWS)
    schema("custom.github-workflows-require-timeout", *WORKFLOWS)


def test_workflows_have_no_known_weakness():
    zizmor = Path(sysconfig.get_path("scripts")) / "zizmor"
    check(str(zizmor), "--offline", "--quiet", "--no-config", "--min-severity", "medium", *map(str, WORKFLOWS))


def test_workflows_test_every_version_of_python_that_the_package_names():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [line.rpartition(" ")[2] for line in project["classifiers"] if re.search(r":: 3\.\d+$", line)]
    tests = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8"))
    assert tests["jobs"]["tests"]["strategy"]["matrix"]["python"] == named


def test_the_markers_of_tests_are_described():
    options = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    described = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert [marker for marker in options["markers"] if f"| `{marker.partition(':')[0]}` |" not in described] == []


def test_pre_commit_accepts_its_configuration():
    check(sys.executable, "-m", "pre_commit", "validate-config")


def test_the_citation_is_valid_and_names_the_paper_and_the_version():
    schema("vendor.citation-file-format", ROOT / "CITATION.cff")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__
    assert citation["references"][0]["title"].startswith("Unsupervised Semantic Segmentation by Distilling")


def test_the_version_stands_in_one_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project.get("version", __version__) == __version__


@pytest.mark.parametrize("file", ["pyproject.toml", "CITATION.cff", "SECURITY.md"])
def test_the_repository_has_one_address(file):
    address = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]
    found = re.findall(r"https://github\.com/[\w-]+/[\w-]+", (ROOT / file).read_text(encoding="utf-8"))
    assert found
    assert set(found) == {address}

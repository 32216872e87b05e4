"""The job files of the page on clusters are what their schedulers read, and call commands that there are."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer
import yaml

from stego_cli.app import app
from stego_cli.inference.select import Shard

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "cluster.md").read_text(encoding="utf-8")
MANIFESTS = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)]
(SLURM,) = (block for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL) if "#SBATCH" in block)


def check(words):
    """The options of `stego segment ...` exist, and its shard is one."""
    assert words[:2] == ["stego", "segment"]
    options = {
        option for parameter in typer.main.get_command(app).commands["segment"].params for option in parameter.opts
    }
    assert {word for word in words if word.startswith("--")} <= options
    if "--shard" in words:
        Shard.parse(words[words.index("--shard") + 1])


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest["kind"])
def test_manifests_have_what_their_kind_needs(manifest):
    if manifest["kind"] == "RayJob":
        assert manifest["apiVersion"] == "ray.io/v1"
        check(shlex.split(manifest["spec"]["entrypoint"]))
        groups = [
            manifest["spec"]["rayClusterSpec"]["headGroupSpec"],
            *manifest["spec"]["rayClusterSpec"]["workerGroupSpecs"],
        ]
        pods = [group["template"]["spec"] for group in groups]
    else:
        assert (manifest["apiVersion"], manifest["kind"]) == ("batch/v1", "Job")
        pods = [manifest["spec"]["template"]["spec"]]
        (line,) = pods[0]["containers"][0]["args"]
        words = shlex.split(line.replace("$((JOB_COMPLETION_INDEX + 1))", "1"))
        check(words)
        assert words[words.index("--shard") + 1].endswith(f"/{manifest['spec']['completions']}")
    for pod in pods:
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            assert re.fullmatch(r"[\w./-]+/stego:(cpu|cuda)", container["image"])


def test_there_is_a_job_and_a_ray_job():
    assert [manifest["kind"] for manifest in MANIFESTS] == ["RayJob", "Job"]


def test_the_slurm_script_is_one_that_bash_reads_and_its_parts_are_those_of_the_array():
    subprocess.run(["bash", "-n"], input=SLURM, text=True, check=True)
    count = int(re.search(r"--array=1-(\d+)", SLURM)[1])
    (line,) = (line for line in SLURM.splitlines() if line.startswith("srun "))
    words = shlex.split(line.replace("$SLURM_ARRAY_TASK_ID", "1"))[1:]
    check(words)
    assert words[-1] == f"1/{count}"

"""What an engine refuses before anything is done."""

import pytest

from stego_cli.engines.table import ENGINES, engine
from stego_cli.errors import UsageError
from stego_cli.machine import cores, use_cores
from stego_cli.settings import SegmentSettings


def test_every_engine_of_the_table_has_masks():
    assert all(callable(engine(name).masks) for name in ENGINES)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--engine", "slurm"], "--engine: must be local or ray, got 'slurm'"),
        (["--ray-address", "head:6379"], "Give --engine ray too"),
        (["--engine", "ray", "--decoder", "gpu"], "--decoder gpu is for one machine"),
        (["--engine", "ray", "--ray-address", "ray://head:10001"], "ray job submit"),
        (["--engine", "ray", "--ray-address", "127.0.0.1:1"], "--ray-address: nothing answers at 127.0.0.1:1"),
        (["--engine", "ray", "--shard", "9/8"], "--shard: must be I/N"),
    ],
)
def test_settings_that_make_no_sense_are_refused(stego, photos_folder, tiny_model, tmp_path, options, said):
    result = stego("segment", photos_folder, "--out", tmp_path / "masks", "--model", tiny_model, *options)
    assert result.returncode == 2
    assert said in " ".join(result.stderr.split())
    assert list(tmp_path.glob("masks/**/*.png")) == []


def test_settings_say_so_in_python_too(tmp_path):
    with pytest.raises(UsageError, match="engine='ray'"):
        SegmentSettings(tmp_path, tmp_path / "masks", ray_address="head:6379")


def test_a_worker_uses_no_more_cores_than_it_was_given():
    whole = cores()
    use_cores(1)
    try:
        assert cores() == 1
    finally:
        use_cores(0)
    assert cores() == whole

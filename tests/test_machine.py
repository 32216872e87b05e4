import pytest

from stego_cli import machine


@pytest.mark.parametrize(("limit", "given"), [("1000000\n", 1_000_000), ("max\n", None), ("9" * 19, None)])
def test_memory_is_the_lesser_of_the_machines_and_the_containers(tmp_path, limit, given):
    whole = machine.memory([tmp_path / "missing"])
    assert whole > 1_000_000
    (tmp_path / "limit").write_text(limit)
    assert machine.memory([tmp_path / "limit"]) == (given or whole)


@pytest.mark.parametrize(
    ("files", "given"),
    [
        (["150000 100000\n"], 2),  # cgroup v2
        (["max 100000\n"], 7),
        (["250000\n", "100000\n"], 3),  # cgroup v1
        (["-1\n", "100000\n"], 7),
        (["900000 100000\n"], 7),
        ([], 7),
    ],
)
def test_cores_are_the_lesser_of_the_affinitys_and_the_containers(tmp_path, monkeypatch, files, given):
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda process: set(range(7)), raising=False)
    places = [tmp_path / str(index) for index in range(max(1, len(files)))]
    for place, text in zip(places, files, strict=False):
        place.write_text(text)
    assert machine.cores([places]) == given

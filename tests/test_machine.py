import pytest

from stego_cli import machine


@pytest.mark.parametrize(("limit", "given"), [("1000000\n", 1_000_000), ("max\n", None), ("9" * 19, None)])
def test_memory_is_the_machines_or_the_containers_whichever_is_less(tmp_path, monkeypatch, limit, given):
    monkeypatch.setattr(machine, "_CGROUP_MEMORY", (tmp_path / "missing",))
    whole = machine.memory()
    assert whole > 1_000_000
    (tmp_path / "limit").write_text(limit)
    monkeypatch.setattr(machine, "_CGROUP_MEMORY", (tmp_path / "limit",))
    assert machine.memory() == (given or whole)

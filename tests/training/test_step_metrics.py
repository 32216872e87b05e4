from dataclasses import replace

from stego_cli.training.step_metrics import StepMetrics

METRICS = StepMetrics(3, 0.12345678, (1.0, 2.0, 3.0), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), 7.00049)


def test_a_line_has_each_value_under_its_term() -> None:
    assert METRICS.as_line() == {
        "step": 3,
        "loss": 0.123457,
        "terms": {"negative": 1.0, "inter": 2.0, "intra": 3.0},
        "correspondences": {"negative": 0.1, "inter": 0.2, "intra": 0.3},
        "b": {"negative": 0.4, "inter": 0.5, "intra": 0.6},
        "rank": 7.0,
    }
    assert replace(METRICS, probe=-0.5).as_line()["probe"] == -0.5


def test_codes_have_collapsed_if_all_correspond_or_use_one_dimension() -> None:
    assert not METRICS.collapsed
    assert replace(METRICS, correspondences=(0.95, 0.96, 0.97)).collapsed
    assert replace(METRICS, rank=1.2).collapsed

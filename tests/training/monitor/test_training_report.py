import pytest

from stego_cli.training.monitor.training_report import verdict


@pytest.mark.parametrize(
    ("negative", "inter", "intra", "rank", "text"),
    [
        (0.95, 0.96, 0.97, 5.0, "collapsed"),
        (0.1, 0.2, 0.3, 1.1, "collapsed"),
        (0.1, 0.2, 0.3, 5.0, "As it should be"),
        (0.3, 0.2, 0.1, 5.0, "Unusual"),
    ],
)
def test_the_last_step_is_judged(negative: float, inter: float, intra: float, rank: float, text: str) -> None:
    last = {"correspondences": {"negative": negative, "inter": inter, "intra": intra}, "rank": rank}
    assert text in verdict([last])

import pytest

from stego_cli.inference.devices.driver import Driver, Gpu, find_driver


def test_every_card_has_its_name_and_memory(driver):
    driver(gpus=2, version=12080)
    assert find_driver() == Driver((Gpu("Card 40", 40 << 30), Gpu("Card 41", 41 << 30)), (12, 8))


@pytest.mark.parametrize(
    ("about", "found"),
    [
        ({"present": False}, None),
        ({"code": 100}, Driver((), (99, 0))),
        ({"gpus": 0}, Driver((), (99, 0))),
        ({"code": 803}, Driver((), (99, 0), "system not yet initialized")),
    ],
)
def test_without_a_usable_card_the_reason_is_told(driver, about, found):
    driver(**about)
    assert find_driver() == found

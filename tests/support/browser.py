"""A page in headless Chromium, and what a person does with its classes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --disable-extensions"
)


def chromium_with(profile: Path) -> Iterator[webdriver.Chrome]:
    """Yield a browser whose settings are in a folder of the test; it keeps what the page logs and asks for."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert chromium and driver, "these tests need chromium and chromium-driver"  # noqa: PT018  (one thing to install)
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS.split(), f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield browser
    browser.quit()


def wait(browser: webdriver.Chrome, until: Callable[[webdriver.Chrome], object]) -> None:
    """Wait for what a page comes to show; what was found is stale where the page loads itself anew in between."""
    WebDriverWait(browser, 20, 0.05, [StaleElementReferenceException]).until(until)


def wait_until_drawn(browser: webdriver.Chrome) -> None:
    wait(browser, lambda page: page.execute_script("return document.body?.dataset.ready") == "yes")


def open_page(browser: webdriver.Chrome, address: str, width: int = 1280) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(address)
    wait_until_drawn(browser)


def name_class(browser: webdriver.Chrome, number: int, name: str) -> None:
    """Type a name as a user does; what a keyboard lacks is put in by a script."""
    field = browser.find_element(By.CSS_SELECTOR, f"#class-{number} input.name")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'}); arguments[0].value = ''", field)
    if all(ord(letter) < 0x10000 for letter in name):
        field.send_keys(name, Keys.ENTER)
    else:
        browser.execute_script(
            "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change'))", field, name
        )


def choose(browser: webdriver.Chrome, *numbers: int) -> None:
    for number in numbers:
        tick = browser.find_element(By.CSS_SELECTOR, f"#class-{number} input[type=checkbox]")
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", tick)
        tick.send_keys(Keys.SPACE)


def drag(browser: webdriver.Chrome, number: int, target: int) -> None:
    """Drag a class onto another as a hand does: press on its handle, move, let go."""
    grip = browser.find_element(By.CSS_SELECTOR, f"#class-{number} .grip")
    card = browser.find_element(By.CSS_SELECTOR, f"#class-{target} .head")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", grip)
    hand = webdriver.ActionChains(browser, duration=50).click_and_hold(grip)
    hand.move_by_offset(5, 5).move_to_element(card).release().perform()


def complaints(browser: webdriver.Chrome) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]

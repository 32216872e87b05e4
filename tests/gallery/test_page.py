"""The page in a real browser: looked at, filtered, edited, saved; and the masks afterwards, right to the pixel."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from stego_cli.class_edits import ClassEdit, ClassEdits
from stego_cli.class_operations import dropped, joined, renamed, split
from stego_cli.classes_toml import read_classes, write_classes_file
from stego_cli.gallery.build import edits_as_json
from stego_cli.gallery.mask_tree import open_masks
from stego_cli.hierarchy import joined_at
from stego_cli.inference.session import Session
from stego_cli.progress import Quiet
from stego_cli.stop import Stop
from stego_cli.tasks.classes import applied, edit_classes
from stego_cli.tasks.gallery import GallerySettings, make_gallery, serve_gallery
from tests.support.browser import choose, chromium_with, complaints, drag, name_class, open_page, wait, wait_until_drawn
from tests.support.stripes import PICTURES, stripes

BAD = "</script><img src=x onerror=window.hacked=1>.png"
NAMES = [*(f"{number:02}.png" for number in range(30)), BAD, "line\nfeed \u202eturned.png"]
NASTY = '<img src=x onerror=window.hacked=1> "a"\\ [b] & é 😀'


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    yield from chromium_with(tmp_path_factory.mktemp("profile"))


@pytest.fixture
def gallery(make_masks) -> Path:
    masks = make_masks(NAMES)
    make_gallery(GallerySettings(masks), Quiet(), Stop())
    return masks.with_name("masks-gallery")


@pytest.fixture
def served(gallery: Path) -> Iterator[str]:
    yield from serving(gallery.with_name("masks"))


def serving(masks: Path) -> Iterator[str]:
    """Yield the address of a gallery that is being edited."""
    stop, addresses, settings = Stop(), [], GallerySettings(masks)
    make_gallery(settings, Quiet(), Stop())
    thread = threading.Thread(target=serve_gallery, args=(settings, addresses.append, Quiet(), stop))
    thread.start()
    while not addresses:
        time.sleep(0.01)
    yield addresses[0]
    stop.requested = 130
    thread.join()


def test_the_page_opens_from_a_disk_and_asks_for_nothing_else(browser, gallery):
    browser.get("about:blank")
    browser.get_log("performance")
    open_page(browser, (gallery / "index.html").as_uri())
    assert len(browser.find_elements(By.CSS_SELECTOR, ".card")) == 6
    assert browser.find_element(By.ID, "coverage").text == "0 % of the pixels are named"
    asked = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    addresses = [each["params"]["request"]["url"] for each in asked if each["method"] == "Network.requestWillBeSent"]
    assert any(address.endswith("data/index.js") for address in addresses)
    assert all(address.startswith(("file:", "data:")) for address in addresses)
    assert complaints(browser) == []


def test_photographs_are_filtered_paged_and_shown_with_the_class_under_the_pointer(browser, gallery):
    open_page(browser, (gallery / "index.html").as_uri())
    browser.find_element(By.ID, "tab-photographs").click()
    assert "page 1 of 2, 32 photographs" in browser.find_element(By.ID, "page-where").text
    browser.find_element(By.ID, "page-on").click()
    assert len(browser.find_elements(By.CSS_SELECTOR, "#grid figure")) == 8
    tree = open_masks(gallery.with_name("masks"))
    Select(browser.find_element(By.ID, "photo-class")).select_by_value("3")
    with_it = [entry for entry in tree.entries if 3 in (entry.pixels or {})]
    assert f"{len(with_it)} photographs" in browser.find_element(By.ID, "page-where").text
    pressed = browser.find_elements(By.CSS_SELECTOR, "#photo-legend [aria-pressed=true]")
    assert [chip.text for chip in pressed] == ["class 3"]
    pressed[0].click()
    assert "32 photographs" in browser.find_element(By.ID, "page-where").text
    chips = browser.find_elements(By.CSS_SELECTOR, "#photo-legend button")
    assert [chip.text for chip in chips] == [f"class {number}" for number in range(len(chips))]
    chips[3].click()
    assert f"{len(with_it)} photographs" in browser.find_element(By.ID, "page-where").text
    Select(browser.find_element(By.ID, "photo-class")).select_by_value("")
    Select(browser.find_element(By.ID, "photo-doubt")).select_by_value("0.05")
    assert "2 photographs" in browser.find_element(By.ID, "page-where").text
    Select(browser.find_element(By.ID, "photo-doubt")).select_by_value("1")
    browser.find_element(By.ID, "photo-name").send_keys("07")
    assert "1 photograph" in browser.find_element(By.ID, "page-where").text
    browser.find_element(By.CSS_SELECTOR, "#grid figure button").send_keys(Keys.ENTER)
    stage = browser.find_element(By.CSS_SELECTOR, "#viewer-stage .layers")
    wait(browser, lambda _: stage.find_element(By.TAG_NAME, "canvas").get_attribute("width") == "60")
    labels = next(tree.labels(entry) for entry in tree.entries if entry.path == "07.png")
    drawn = browser.execute_script(
        "const canvas = arguments[0]; return [...canvas.getContext('2d').getImageData(0, 0, 60, 40).data]",
        stage.find_element(By.TAG_NAME, "canvas"),
    )
    colours = np.array(tree.edits.colours, np.uint8)
    assert np.array_equal(np.array(drawn, np.uint8).reshape(40, 60, 4)[..., :3], colours[labels])
    webdriver.ActionChains(browser).move_to_element_with_offset(stage, 3, 3).perform()
    row, column = labels.shape[0] // 2, labels.shape[1] // 2
    assert browser.find_element(By.ID, "hover").text == f"class {labels[row, column]}"
    browser.find_element(By.ID, "viewer").send_keys(Keys.ESCAPE)
    assert not browser.find_element(By.ID, "viewer").is_displayed()
    assert complaints(browser) == []


def test_edits_in_the_served_page_are_saved_and_make_the_masks_right_to_the_pixel(browser, served, tmp_path):
    masks = tmp_path / "masks"
    before = {entry.path: open_masks(masks).labels(entry) for entry in open_masks(masks).entries}
    open_page(browser, served)
    name_class(browser, 0, "sky")
    name_class(browser, 3, "road")
    name_class(browser, 5, NASTY)
    choose(browser, 3, 1)
    browser.find_element(By.ID, "join").click()
    name_class(browser, 2, "mistake")
    browser.find_element(By.ID, "undo").click()
    choose(browser, 4)
    browser.find_element(By.ID, "drop").click()
    browser.find_element(By.ID, "undo").click()
    browser.find_element(By.ID, "redo").click()
    wanted = dropped(joined(renamed(ClassEdits(6), {0: "sky", 3: "road", 5: NASTY}), [3, 1]), [4])
    wait(browser, lambda _: (masks / "classes.toml").exists() and read_classes(masks / "classes.toml") == wanted)
    wait(browser, lambda page: page.find_element(By.ID, "save").text == "Saved")
    share = sum((labels != 2).sum() for labels in before.values()) / sum(labels.size for labels in before.values())
    assert browser.find_element(By.ID, "coverage").text == f"{int(100 * share)} % of the pixels are named"
    open_page(browser, served)
    assert browser.find_element(By.CSS_SELECTOR, "#class-5 input.name").get_attribute("value") == NASTY
    assert browser.execute_script("return window.hacked") is None
    assert complaints(browser) == []
    edit_classes(masks, applied(masks / "classes.toml"), Quiet(), Stop())
    tree = open_masks(masks)
    values = np.array([0, 3, 2, 3, 255, 5], np.uint8)
    for entry in tree.entries:
        assert np.array_equal(tree.labels(entry), values[before[entry.path]])
    assert tree.edits.names[5] == NASTY


@pytest.fixture
def served_model(coded_masks: Path) -> Iterator[str]:
    yield from serving(coded_masks)


def test_named_joined_split_and_applied_masks_and_model_are_right_to_the_pixel(browser, served_model, tmp_path):
    masks = tmp_path / "masks"
    open_page(browser, served_model)
    for number, name in enumerate(("warm", "leaf", "water")):
        name_class(browser, number, name)
    drag(browser, 2, 1)
    field = browser.find_element(By.CSS_SELECTOR, "#class-0 .split input")
    field.send_keys(Keys.BACKSPACE, "3")
    browser.find_element(By.CSS_SELECTOR, "#class-0 .split button").click()
    assert [each.get_attribute("data-number") for each in browser.find_elements(By.CSS_SELECTOR, ".card")] == list(
        "0341"
    )
    assert "part of what is class 0 now" in browser.find_element(By.ID, "class-4").text
    browser.find_element(By.CSS_SELECTOR, "#class-0 .pending button").click()
    assert len(browser.find_elements(By.CSS_SELECTOR, ".card")) == 2
    browser.find_element(By.ID, "undo").click()  # of taking it back
    name_class(browser, 3, "mistake")
    browser.find_element(By.ID, "undo").click()
    wanted = joined(split(renamed(ClassEdits(3), {0: "warm", 1: "leaf", 2: "water"}), 0, 3), [1, 2])
    wait(browser, lambda _: (masks / "classes.toml").exists() and read_classes(masks / "classes.toml") == wanted)
    assert "before until" in browser.find_element(By.ID, "next").text
    assert f"stego classes apply {masks}/classes.toml --to {masks}" in browser.find_element(By.ID, "next").text
    assert set(open_masks(masks).pixels) == {0, 1, 2}  # nothing is changed yet
    wait(browser, lambda page: page.find_element(By.ID, "save").text == "Saved")
    browser.find_element(By.ID, "apply").click()
    wait(browser, lambda page: page.find_element(By.ID, "status").text == "Applied: 4 masks changed.")
    wait_until_drawn(browser)
    assert not browser.find_element(By.ID, "next").is_displayed()
    assert len(browser.find_elements(By.CSS_SELECTOR, "#class-4 .row img")) > 0
    assert complaints(browser) == []
    tree, names = open_masks(masks), {0: "warm 1", 1: "leaf", 3: "warm 2", 4: "warm 3"}
    assert tree.edits == wanted
    assert tree.edits.names == names
    tops = {entry.path: tree.labels(entry)[0, 24::48].tolist() for entry in tree.entries}
    red, orange = tops["a.png"][:2]
    assert {red, orange} == {0, 3}
    assert tops == {
        "a.png": [red, orange, 1],
        "b.png": [orange, orange, 1],
        "none.png": [1, 1, 1],
        "x/c.png": [4, red, red],
    }
    for entry in tree.entries:
        assert np.array_equal(tree.labels(entry), np.repeat([tops[entry.path]], 40, 0).repeat(48, 1))
    model = masks / ".stego/model.onnx"
    edit_classes(model, applied(masks / "classes.toml"), Quiet(), Stop())
    session = Session.from_file(model, "cpu")
    assert session.info.class_names == tuple(names.values())
    picture = stripes(PICTURES["x/c.png"])[None]
    values = np.array(session.info.mask_values)[session.log_probs(picture)[0].argmax(0)]
    assert values[0, 24::48].tolist() == tops["x/c.png"]


def test_the_slider_joins_what_is_most_alike_in_one_step_and_leaves_names_apart(browser, coded_masks):
    make_gallery(GallerySettings(coded_masks), Quiet(), Stop())
    open_page(browser, (coded_masks.with_name("masks-gallery") / "index.html").as_uri())
    pairs = browser.execute_script("return [[1, 2], [0, 1], [4, 5], [3, 4], [0, 3]]")
    coarser = "return Edits.toml(Edits.coarser(arguments[0], arguments[1], arguments[2], arguments[3]))"

    def at(edits: ClassEdits, classes: int, fixed: tuple[tuple[int, ...], ...] = ()) -> str:
        return browser.execute_script(coarser, edits_as_json(edits), pairs, fixed, classes)

    six = ClassEdits(6)
    for classes in range(2, 7):
        groups = joined_at(pairs, classes)
        wanted = six
        for number in sorted(set(groups)):
            members = [each for each in range(6) if groups[each] == number]
            wanted = joined(wanted, members) if len(members) > 1 else wanted
        assert at(six, classes) == write_classes_file(wanted)
    named = renamed(joined(six, [5, 0], "sky"), {2: "tree"})
    assert at(named, 2) == write_classes_file(joined(joined(named, [5, 3, 4]), [2, 1]))
    assert at(dropped(six, [1]), 4) == write_classes_file(dropped(six, [1]))
    assert at(six, 6, ((3, 5),)) == write_classes_file(joined(six, [3, 5]))
    slider = browser.find_element(By.ID, "coarseness")
    slider.send_keys(Keys.ARROW_LEFT)
    assert browser.find_element(By.ID, "coarse-count").text == "2 of 3"
    assert len(browser.find_elements(By.CSS_SELECTOR, ".card")) == 2
    browser.find_element(By.ID, "undo").click()
    assert len(browser.find_elements(By.CSS_SELECTOR, ".card")) == 3


def test_a_name_that_is_taken_offers_the_join_and_a_join_of_all_is_refused(browser, served, tmp_path):
    open_page(browser, served)
    name_class(browser, 0, "sky")
    name_class(browser, 1, "sky")
    browser.find_element(By.CSS_SELECTOR, "#class-1 .wrong-name button").click()
    file = tmp_path / "masks/classes.toml"
    wanted = joined(renamed(ClassEdits(6), {0: "sky"}), [0, 1])
    wait(browser, lambda _: file.exists() and read_classes(file) == wanted)
    choose(browser, 0, 2, 3, 4, 5)
    browser.find_element(By.ID, "join").click()
    assert browser.find_element(By.ID, "status").text == "All classes would be one."
    browser.find_element(By.ID, "clear").click()
    drag(browser, 4, 5)
    wait(browser, lambda _: read_classes(file) == joined(wanted, [5, 4]))
    browser.find_element(By.CSS_SELECTOR, "#class-5 .chips button").send_keys(Keys.ENTER)
    wait(browser, lambda _: read_classes(file) == wanted)


def test_a_file_changed_by_hand_is_kept_and_the_page_says_so(browser, served, tmp_path):
    open_page(browser, served)
    text = write_classes_file(renamed(ClassEdits(6), {5: "by hand"}))
    (tmp_path / "masks/classes.toml").write_text(text)
    name_class(browser, 0, "sky")
    wait(browser, lambda page: "changed elsewhere" in page.find_element(By.ID, "status").text)
    assert (tmp_path / "masks/classes.toml").read_text() == text
    browser.get_log("browser")  # the refusal stands there


def test_the_page_from_a_disk_hands_over_the_same_file(browser, gallery, tmp_path):
    open_page(browser, (gallery / "index.html").as_uri())
    browser.execute_cdp_cmd("Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    name_class(browser, 0, "sky")
    name_class(browser, 3, NASTY)
    browser.find_element(By.ID, "save").click()
    file = tmp_path / "classes.toml"
    wait(browser, lambda _: file.exists())
    assert file.read_text() == write_classes_file(renamed(ClassEdits(6), {0: "sky", 3: NASTY}))


def test_the_page_writes_what_the_tool_writes(browser, gallery):
    open_page(browser, (gallery / "index.html").as_uri())
    edits = ClassEdits(
        12,
        {
            1: ClassEdit("a\n\t\r\x00\x1b\u202e\u2066\ufeff\"\\'é😀", (1, 2, 255), (10, 11)),
            10 - 1: ClassEdit(joins=(3,), value=100),
            2: ClassEdit("x"),
        },
        (0, 7),
    )
    assert browser.execute_script("return Edits.toml(arguments[0])", edits_as_json(edits)) == write_classes_file(edits)


@pytest.mark.parametrize("tab", ["classes", "photographs"])
def test_nothing_is_cut_off_at_400_pixels(browser, gallery, tab):
    open_page(browser, (gallery / "index.html").as_uri(), width=400)
    browser.find_element(By.ID, f"tab-{tab}").click()
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 400
    if tab == "photographs":
        browser.find_element(By.CSS_SELECTOR, "#grid figure button").click()
        assert (
            browser.execute_script(
                "const it = document.getElementById('viewer'); return it.scrollWidth - it.clientWidth"
            )
            <= 0
        )

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stego_cli.classes import ClassTable
from stego_cli.progress import Quiet
from stego_cli.scoring.comparison import Comparison
from stego_cli.scoring.confusion import make_grid
from stego_cli.scoring.matrix import matrix_svg, row_shares
from stego_cli.scoring.report_pictures import NO_CLASS_COLOUR, UNMATCHED_COLOUR, draw_extremes
from stego_cli.scoring.result import Score
from stego_cli.scoring.score_folders import score_folders
from stego_cli.scoring.score_report import report_page
from stego_cli.stop import Stop

TABLE = ClassTable(("sky & <sea>", "land"), ((10, 20, 30), (200, 100, 0)))


class Checked(HTMLParser):
    """Collects addresses, and notices tags that do not close in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def picture(address: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGB"))


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    label = np.array([[0] * 8 + [1] * 8 + [255] * 4] * 20, dtype=np.uint8)
    pred = np.array([[1] * 8 + [0] * 6 + [5] * 6] * 20, dtype=np.uint8)
    for name, ids in (("gt", label), ("pred", pred)):
        (tmp_path / name).mkdir()
        Image.fromarray(ids).save(tmp_path / name / "a&b.png")
    Image.fromarray(label).save(tmp_path / "gt" / "lost.png")
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (40, 40), (0, 128, 0)).save(tmp_path / "photos" / "a&b.jpg")
    grid = make_grid(2, 255, None)
    return Comparison(tmp_path / "pred", tmp_path / "gt", TABLE, grid, "hungarian", "honest", extremes=2)


def scored(comparison: Comparison) -> Score:
    return score_folders(comparison, None, Quiet(), Stop())


def test_the_page_holds_all_it_needs_and_escapes_names(comparison: Comparison) -> None:
    result = scored(comparison)
    page = report_page(result, draw_extremes(result, comparison, comparison.pred.parent / "photos"))
    checked = Checked()
    checked.feed(page)
    assert checked.open == []
    assert len(checked.addresses) == 4  # matrix, photograph, prediction, truth
    assert all(address.startswith("data:image/") for address in checked.addresses)
    assert "sky &amp; &lt;sea&gt;" in page
    assert "a&amp;b" in page
    assert "<sea>" not in page
    assert "lost.png: no mask for this label" in page
    assert not re.search(r"https?://", page)


def test_predictions_have_the_colours_of_their_classes(comparison: Comparison) -> None:
    result = scored(comparison)
    (shown,) = draw_extremes(result, comparison, None).best
    guess, truth = (np.asarray(Image.open(io.BytesIO(each.content)).convert("RGB")) for each in shown.pictures)
    assert [tuple(guess[0, x].tolist()) for x in (0, 9, 15)] == [TABLE.colours[0], TABLE.colours[1], UNMATCHED_COLOUR]
    assert [tuple(truth[0, x].tolist()) for x in (0, 9, 19)] == [*TABLE.colours, NO_CLASS_COLOUR]


def test_a_photograph_that_is_not_there_is_said(comparison: Comparison) -> None:
    result = scored(comparison)
    page = report_page(result, draw_extremes(result, comparison, comparison.pred))
    assert "photograph" in page
    (comparison.pred / "a&b.png").unlink()
    assert draw_extremes(result, comparison, comparison.pred).best[0].pictures[0].caption == "photograph not found"


def test_rows_of_the_matrix_are_shares() -> None:
    shares = row_shares(np.array([[6, 2], [0, 0]]), np.array([2, 0]))
    assert shares.tolist() == [[0.6, 0.2, 0.2], [0, 0, 0]]
    assert row_shares(np.array([[3, 1], [0, 5]]), np.zeros(2, dtype=int)).shape == (2, 2)


def test_the_matrix_is_darker_where_more_is() -> None:
    svg = matrix_svg(np.array([[0.9, 0.1], [0.0, 1.0]]), TABLE.names, TABLE.colours)
    cells = picture(re.findall(r'href="([^"]*)"', svg)[0]).sum(axis=2)
    assert cells[1, 1] < cells[0, 0] < cells[0, 1] < cells[1, 0]


def test_a_large_matrix_has_no_names_and_stays_small() -> None:
    names = tuple(f"class {index}" for index in range(256))
    svg = matrix_svg(np.eye(256), names, [(1, 2, 3)] * 256)
    assert "<text transform" not in svg
    assert len(svg) < 150_000

"""The notebook of the documentation, run from its first cell to its last in a kernel of its own."""

import base64
import io
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

from tests.support.found_classes import assert_classes_recur, assert_sky_is_one_class

NOTEBOOK = Path(__file__).parents[2] / "docs/notebooks/first_steps.ipynb"


@pytest.fixture(scope="module")
def ran(real_weights, tmp_path_factory):
    """The code cells after a run, and the folder of masks; what the notebook writes goes into a folder of the test."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    folder = tmp_path_factory.mktemp("notebook")
    setup = nbformat.v4.new_code_cell(f"import tempfile; tempfile.tempdir = {str(folder)!r}")
    notebook.cells.insert(0, setup)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": NOTEBOOK.parent}}).execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"], next(folder.glob("stego-*")) / "masks"


@pytest.fixture(scope="module")
def cells(ran):
    return ran[0]


def value(cell, kind):
    return next(output.data[kind] for output in cell.outputs if output.output_type == "execute_result")


def stream(cell, name):
    return "".join(output.text for output in cell.outputs if output.output_type == "stream" and output.name == name)


def find(cells, text):
    return next(cell for cell in cells if text in cell.source)


def test_every_photograph_gets_a_mask_and_the_pixels_are_those_of_model(cells):
    assert value(find(cells, "stego_cli.segment("), "text/plain") == "(13, [])"
    assert value(find(cells, ".all()"), "text/plain") == "True"
    assert value(find(cells, "len(run"), "text/plain") == "6"


def test_the_classes_are_those_that_a_person_sees(ran):
    assert_classes_recur(ran[1])
    assert_sky_is_one_class(ran[1])


def test_progress_is_shown_on_standard_error_and_is_no_error(cells):
    training = find(cells, "stego_cli.train(")
    assert "Training the head (40 steps) ..." in stream(training, "stderr")
    assert "Segmenting (13 photographs) ..." in stream(find(cells, "stego_cli.segment("), "stderr")
    assert stream(training, "stdout") == ""
    assert not any(output.output_type == "error" for cell in cells for output in cell.outputs)


def test_predictions_are_shown_as_pictures_with_a_legend(cells):
    for source in ('model.predict(photos / "lake.jpg")', "Image.open(photos"):
        shown = next(cell for cell in cells if source in cell.source and "lake =" not in cell.source)
        page = value(shown, "text/html")
        assert "class 0" in page
        png = base64.b64decode(re.search(r"base64,([^\"]+)", page)[1])
        with Image.open(io.BytesIO(png)) as overlay:
            assert max(overlay.size) <= 640
            assert len(np.unique(np.asarray(overlay).reshape(-1, 3), axis=0)) > 100
        assert "text/plain" in shown.outputs[-1].data


def test_an_error_names_the_remedy(cells):
    assert "Export a run with export_onnx first." in stream(cells[-1], "stdout")

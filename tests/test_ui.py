import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from stego_cli.errors import OutputError, Stopped, UsageError
from stego_cli.ui import Ui, show_error, write_line


def test_people_read_standard_error_and_nothing_else_is_written(capsys):
    ui = Ui()
    ui.note("a note")
    ui.warn("a warning")
    ui.event("photograph", path="a.jpg")
    with ui.stage("Training", 3, unit="steps") as stage:
        stage.advance(loss=0.25)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[:3] == ["a note", "Warning: a warning", "Training (3 steps) ..."]
    assert said.err.splitlines()[3].startswith("Training: ")
    assert said.err.endswith("loss 0.25\n")
    assert "\x1b" not in said.err


def test_with_json_standard_output_carries_one_object_a_line(capsys):
    ui = Ui(as_json=True)
    ui.note("né")
    ui.warn("look")
    with ui.stage("Segmenting", 2, unit="photographs"):
        ui.event("photograph", path="a\nb.jpg", status="done")
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"event": "note", "text": "né"},
        {"event": "warning", "text": "look"},
        {"event": "stage", "title": "Segmenting", "total": 2, "unit": "photographs"},
        {"event": "photograph", "path": "a\nb.jpg", "status": "done"},
    ]


def test_text_is_printed_as_it_is_but_for_what_would_steer_a_terminal(capsys):
    Ui().note("[red]no markup[/red] :smile: " + "long " * 60 + "\x1b[31m\r\n\t\x9b.")
    said = capsys.readouterr().err
    assert said.startswith("[red]no markup[/red] :smile: long long")
    assert said.endswith(r"\x1b[31m\x0d\n\x09\x9b." + "\n")
    assert said.count("\n") == 1


def test_a_table_shows_brackets_and_controls_as_text(capsys):
    Ui().table("", ("class", "pixels"), [("[bold]sky[/bold]", "3%"), ("a\x1b[1m", "4%")], out=True)
    said = capsys.readouterr()
    assert "[bold]sky[/bold]" in said.out
    assert r"a\x1b[1m" in said.out
    assert said.err == ""


def test_an_error_is_told_with_its_remedy_and_a_stop_is_not_called_an_error(capsys):
    show_error(UsageError("That cannot be.", "Do this."))
    show_error(Stopped(130, "Stopped: 3 of 4."))
    assert capsys.readouterr().err.splitlines() == ["Error: That cannot be.", "Do this.", "Stopped: 3 of 4."]


def test_a_stage_of_nothing_says_nothing(capsys):
    with Ui().stage("Segmenting", 0, unit="photographs") as stage:
        stage.advance()
    assert capsys.readouterr().err == ""


def test_a_line_for_machines_goes_out_at_once(capsys):
    write_line("one")
    assert capsys.readouterr().out == "one\n"


def test_standard_output_that_was_never_there_takes_everything(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    write_line("into nothing")


TALK = """
import sys
from stego_cli.ui import Ui, write_line
ui = Ui(as_json=True)
for index in range(2000):
    write_line("for machines " * 10)
    ui.note("for people " * 10)
open(sys.argv[1], "w").write("to the end")
"""


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_goes_away_ends_nothing(tmp_path, stream):
    command = [sys.executable, "-c", TALK, tmp_path / "proof"]
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: subprocess.PIPE}
    with subprocess.Popen(command, **streams) as process:
        pipe = getattr(process, stream)
        pipe.readline()
        pipe.close()
    assert process.returncode == 0
    assert (tmp_path / "proof").read_text() == "to the end"


def test_standard_output_on_a_full_disk_is_an_output_error(monkeypatch):
    with open("/dev/full", "w") as full:  # noqa: PTH123  (a device)
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(OutputError, match="No space left"):
            write_line("too much")
        write_line("and the rest is silence")


def test_a_notebook_gets_a_count_that_is_written_over(capsys, monkeypatch):
    notebook = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=None))
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    with Ui(glance=0).stage("Segmenting", 3, unit="photographs") as stage:
        for _ in range(3):
            stage.advance(loss=1)
    said = capsys.readouterr().err
    assert said.startswith("Segmenting (3 photographs) ...\n\rSegmenting: 1 of 3 photographs; loss 1\r")
    assert said.splitlines()[-1].startswith("Segmenting: ")

"""The site builds without a warning, needs no other host, and its reference covers every command and option."""

import html
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from stego_cli.app import app
from tests.support.processes import PATIENCE

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The site, built from a copy, so that the checkout stays as it is."""
    copy = tmp_path_factory.mktemp("site") / "checkout"
    hidden = shutil.ignore_patterns("__pycache__", "*.so")
    for folder in ("docs", "tools", "stego_cli", "export"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=hidden)
    shutil.copy(ROOT / "zensical.toml", copy)
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    ended = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "No issues found" in ended.stdout + ended.stderr
    return copy / "site"


def commands(command, name, parent=None):
    context = command.make_context(name, [], parent=parent, resilient_parsing=True)
    yield context
    for child in getattr(command, "commands", {}):
        yield from commands(command.get_command(context, child), child, context)


def section(page, anchor):
    """The text of the page from the heading with that anchor to the next one."""
    text = page.read_text(encoding="utf-8")
    found = re.search(rf'<h2 id="{anchor}">.*?(?=<h2 |</article>)', text, flags=re.DOTALL)
    assert found, anchor
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", found[0])).split())


@pytest.mark.site
def test_the_reference_has_every_command_with_every_option_and_its_help(site):
    page = site / "reference" / "commands" / "index.html"
    seen = 0
    for context in commands(typer.main.get_command(app), "stego"):
        text = section(page, context.command_path.removeprefix("stego ").replace(" ", "-"))
        assert text.startswith(context.command_path)
        for parameter in context.command.get_params(context):
            record = parameter.get_help_record(context)
            for option in [*parameter.opts, *parameter.secondary_opts] if record and record[0].startswith("-") else []:
                assert option in text
            if record and "`" not in record[1]:
                assert " ".join(record[1].split()) in text
                seen += 1
    assert seen > 80


@pytest.mark.site
def test_the_api_reference_has_every_public_name(site):
    import stego_cli

    text = (site / "reference" / "python-api" / "index.html").read_text(encoding="utf-8")
    for name in stego_cli.__all__:
        assert name.startswith("__") or f'id="stego_cli.{name}"' in text, name


@pytest.mark.site
def test_links_to_commands_lead_to_their_sections(site):
    page = (site / "reference" / "commands" / "index.html").read_text(encoding="utf-8")
    sources = [source.read_text(encoding="utf-8") for source in (ROOT / "docs").glob("**/*.md")]
    anchors = {anchor for source in sources for anchor in re.findall(r"commands\.md#([\w-]+)", source)}
    assert anchors
    assert [anchor for anchor in anchors if f'id="{anchor}"' not in page] == []


@pytest.mark.site
def test_pages_load_nothing_from_other_hosts(site):
    pages = list(site.glob("**/*.html"))
    assert len(pages) > 25
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|iframe|source)\b[^>]*\bsrc="([^"]*)"', text)
        loaded += re.findall(r'<link\b(?![^>]*rel="canonical")[^>]*\bhref="([^"]*)"', text)
        assert loaded
        assert not [address for address in loaded if re.match(r"(https?:)?//", address)], page
    styles = list(site.glob("**/*.css"))
    assert styles
    for style in styles:
        assert not re.search(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", style.read_text(encoding="utf-8")), style

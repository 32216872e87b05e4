"""The pages say what is there: links lead somewhere, every page is in the navigation, every event is described."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("**/*.md")])
NAMED = re.compile(r"\bdocs/[\w/-]+\.md")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def text_of(page: Path) -> str:
    """The page without code, in which brackets are no links and `#` is no heading."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", lambda code: code[0].replace("[", "").replace("]", ""), text)


def anchors(page: Path) -> set[str]:
    """The anchors that the site gives a page's headings."""
    titles = re.findall(r"^#+ (.+)$", text_of(page), flags=re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", re.sub(r"[`*]", "", title)).strip().lower() for title in titles]
    return {re.sub(r"[\s]+", "-", title) for title in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_pictures_lead_to_files_and_headings(page):
    for link in LINK.findall(text_of(page)):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link}: no such file"
        if anchor and target.name != "commands.md":  # its headings exist on the built site only: see test_site.py
            assert anchor in anchors(target), f"{link}: no such heading"


def test_every_page_is_in_the_navigation_once():
    def pages(entries):
        for entry in entries:
            for value in entry.values():
                yield from [value] if isinstance(value, str) else pages(value)

    listed = list(pages(tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]))
    assert sorted(listed) == sorted(page.relative_to(DOCS).as_posix() for page in DOCS.glob("**/*.md"))


def test_pages_that_the_code_names_exist():
    rooms = ("stego_cli", "export", "tests", "tools", "benchmarks")
    files = [
        file for room in rooms for ending in ("py", "cpp", "hpp", "md") for file in ROOT.glob(f"{room}/**/*.{ending}")
    ]
    named = [(file, page) for file in files for page in NAMED.findall(file.read_text(encoding="utf-8"))]
    assert named
    assert [(str(file), page) for file, page in named if not (ROOT / page).is_file()] == []


def test_every_event_is_described():
    described = (DOCS / "reference" / "exit-codes.md").read_text(encoding="utf-8")
    sources = [file.read_text(encoding="utf-8") for file in ROOT.glob("stego_cli/**/*.py")]
    events = {name for source in sources for name in re.findall(r"\.event\(\s*\"(\w+)\"", source)}
    assert {"photograph", "step"} <= events
    assert [name for name in events if f"`{name}`" not in described] == []


def test_the_two_set_up_commands_of_the_readme_are_those_that_are_run():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    commands = [line.strip() for line in lines if line.startswith("    python3 -m venv")]
    assert len(commands) == 2
    segment, test = commands
    assert segment.endswith(".venv/bin/pip install -q . && .venv/bin/stego segment tests/photos --out masks --overlay")
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1] == test

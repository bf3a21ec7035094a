"""The README's promises name tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "benchmarks/README.md",
    *(str(page.relative_to(ROOT)) for page in sorted((ROOT / "docs").rglob("*.md"))),
]
PROMISES = re.findall(r"\[`([^`]+)`\]\((tests/[^)]+)\)", (ROOT / "README.md").read_text())


def anchors(text: str) -> set[str]:
    """Return the names that a page's headings are linked by."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_there_are_promises():
    assert len(PROMISES) > 10


@pytest.mark.parametrize(("name", "file"), PROMISES)
def test_each_promise_has_its_test(name, file):
    text = (ROOT / file).read_text()
    assert name == file or f"def {name}(" in text


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text()
    for target, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", text):
        if not target.startswith("http"):
            found = (ROOT / page).parent / target if target else ROOT / page
            assert found.exists(), target
            assert not anchor or anchor in anchors(found.read_text()), f"{target}#{anchor}"


def prose(page: str) -> list[str]:
    """Return a page's lines without tables, code, titles and pictures."""
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.M | re.S)
    return [line for line in text.splitlines() if not line.startswith(("|", "    ", "#", "!"))]


@pytest.mark.parametrize("page", PAGES)
def test_prose_is_wrapped_at_80_columns(page):
    """A span of code and the target of a link are never parted, so they do not count."""
    lines = [re.sub(r"`[^`]*`|\]\([^)]*\)", "", line) for line in prose(page)]
    assert [line for line in lines if len(line) > 80] == []


def test_the_readme_is_short():
    assert len(re.findall(r"\w+", " ".join(prose("README.md")))) <= 700


def test_each_decision_and_each_protocol_is_in_its_index():
    for folder in ("decisions", "benchmarks"):
        index = (ROOT / "docs" / folder / "index.md").read_text()
        pages = {page.name for page in (ROOT / "docs" / folder).glob("*.md")} - {"index.md"}
        assert pages <= set(re.findall(r"\]\(([^)#]+)\)", index)), folder

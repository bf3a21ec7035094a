"""The README's promises name tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROMISES = re.findall(r"\[`([^`]+)`\]\((tests/[^)]+)\)", (ROOT / "README.md").read_text())


def test_there_are_promises():
    assert len(PROMISES) > 10


@pytest.mark.parametrize(("name", "file"), PROMISES)
def test_each_promise_has_its_test(name, file):
    text = (ROOT / file).read_text()
    assert name == file or f"def {name}(" in text


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))])
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        if not target.startswith("http"):
            assert ((ROOT / page).parent / target).exists(), target

"""The threat notes name tests that exist, and every border has one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NOTES = (ROOT / "docs" / "security.md").read_text()
CLAIMS = re.findall(r"\[`([^`]+)`\]\(\.\./(tests/[^)]+)\)", NOTES)


def test_there_are_claims() -> None:
    assert len(CLAIMS) > 25


@pytest.mark.parametrize(("name", "file"), CLAIMS)
def test_each_claim_has_its_test(name: str, file: str) -> None:
    assert name == file or f"def {name}(" in (ROOT / file).read_text()


def test_each_border_names_a_test() -> None:
    table = NOTES.split("## Borders")[1].split("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 12
    assert [row for row in rows if "](../tests/" not in row] == []

"""Known vulnerabilities fail `make lint` unless they are excepted with a reason and a date; advisories that cannot be had do not."""

from __future__ import annotations

import importlib.util
import json
import stat
import sys
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FILE = Path(__file__).parents[3] / ".ci" / "audit.py"
TODAY = date(2026, 11, 22)
GOOD = """
[[exception]]
id = "CVE-2018-18074"
package = "Requests"
reason = "Only sends to addresses that the operator sets, and follows no redirect."
until = 2026-12-31
"""
VULNERABLE = {
    "name": "requests",
    "version": "2.19.1",
    "vulns": [{"id": "PYSEC-2018-28", "aliases": ["CVE-2018-18074"], "fix_versions": ["2.20.0"], "description": "…"}],
}
UNKNOWN = {"name": "requests", "skip_reason": "Dependency not found on PyPI and could not be audited: requests (2.19.1)"}
SOUND = {"name": "idna", "version": "3.20", "vulns": []}


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", FILE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["audit"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pip_audit(tmp_path: Path) -> Any:
    """Make a program that says of the canary and of the locks what pip-audit would."""

    def write(canary: str, locks: str) -> str:
        program = tmp_path / "pip-audit"
        program.write_text(
            f"#!{sys.executable}\nimport sys\nprint({canary!r} if any('canary' in word for word in sys.argv) else {locks!r})\n"
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return str(program)

    return write


def said(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def test_the_exceptions_that_stand_there_may(audit: ModuleType) -> None:
    assert isinstance(audit.read_exceptions(audit.EXCEPTIONS.read_text(), date.today()), list)
    assert [one.id for one in audit.read_exceptions(GOOD, TODAY)] == ["CVE-2018-18074"]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (
            'reason = "Only sends to addresses that the operator sets, and follows no redirect."',
            "",
            "needs id, package, reason and until",
        ),
        ("Only sends to addresses that the operator sets, and follows no redirect.", "later", "gives no reason"),
        ("until = 2026-12-31", "", "needs id, package, reason and until"),
        ("2026-12-31", '"some day"', "has no date"),
        ("2026-12-31", "2026-11-21", "was to stand until 2026-11-21"),
    ],
)
def test_an_exception_without_reason_or_past_its_date_is_refused(audit: ModuleType, old: str, new: str, why: str) -> None:
    assert old in GOOD
    with pytest.raises(audit.BadException, match=why):
        audit.read_exceptions(GOOD.replace(old, new), TODAY)


def test_a_known_vulnerability_is_named_with_its_remedy(audit: ModuleType) -> None:
    assert list(audit.judge([SOUND, VULNERABLE, UNKNOWN], [])) == [
        "requests 2.19.1: PYSEC-2018-28 = CVE-2018-18074, mended in 2.20.0."
    ]
    assert list(audit.judge([VULNERABLE], audit.read_exceptions(GOOD, TODAY))) == []
    other = audit.read_exceptions(GOOD.replace("Requests", "urllib3"), TODAY)
    assert list(audit.judge([VULNERABLE], other))


@pytest.mark.parametrize(
    ("canary", "locks", "code", "words"),
    [
        (said(VULNERABLE), said(SOUND, VULNERABLE), 1, "requests 2.19.1: PYSEC-2018-28 = CVE-2018-18074"),
        (said(VULNERABLE), said(SOUND), 0, "1 packages looked at, 0 vulnerabilities"),
        (said(VULNERABLE), said(SOUND, UNKNOWN), 0, "not looked at: requests"),
        (said(UNKNOWN), said(UNKNOWN), 0, "were NOT looked at"),
        ("no network", "", 0, "were NOT looked at"),
    ],
)
def test_lint_fails_on_what_is_known_alone(
    audit: ModuleType, pip_audit: Any, capsys: pytest.CaptureFixture[str], canary: str, locks: str, code: int, words: str
) -> None:
    assert audit.audit(pip_audit(canary, locks)) == code
    assert words in capsys.readouterr().out


def test_without_pip_audit_nothing_was_looked_at(audit: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.audit("/nowhere/pip-audit") == 0
    assert "were NOT looked at" in capsys.readouterr().out

"""Verdicts as pages for people: one a day and table, and an index of the newest days. Counts only, no values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recpipe.config.place_settings import PlaceSettings
from recpipe.contract import TABLES
from recpipe.reports.render import render, write_page
from recpipe.validation.verdicts import Check, Verdict, newest_verdicts, number_text

INDEX_DAYS = 35
"""Newest days of each table on the index page."""

FACT_NAMES = {
    "rows": "rows",
    "bad_share": "share of bad rows",
    "median_rows_before": "median rows of the same weekday before",
    "volume_ratio": "rows ÷ that median",
    "share_of_usual_rows": "rows as a share of it, where a day of too few is refused",
    "users": "users",
    "eligible_items": "eligible items",
}
"""Facts shown above the checks, where they are known."""


def write_pages(places: PlaceSettings, verdicts: Sequence[Verdict]) -> Path:
    """Write the page of each verdict, and the index anew; return the index."""
    folder = page_folder(places)
    for verdict in verdicts:
        write_page(folder / f"{verdict.table}-{verdict.day}.html", verdict_page(verdict))
    newest = {table: newest_verdicts(places, table, INDEX_DAYS) for table in TABLES}
    return write_page(folder / "index.html", index_page({table: found for table, found in newest.items() if found}))


def page_folder(places: PlaceSettings) -> Path:
    """Return the folder of the pages."""
    return places.reports / "verdicts"


def verdict_page(verdict: Verdict) -> str:
    """Return the page of one verdict, what failed first."""
    state, said = _state(verdict)
    ordered = sorted(verdict.checks, key=lambda check: (check.passed, check.severity))
    checks = [(check, *_mark(check), _found(check)) for check in ordered]
    return render("verdict.html", verdict=verdict, state=state, said=said, facts=_facts(verdict), checks=checks)


def index_page(newest: dict[str, list[Verdict]]) -> str:
    """Return the page of the newest days: one line a day, one column a table."""
    by_day = {(verdict.table, verdict.day): _cell(verdict) for found in newest.values() for verdict in found}
    days = sorted({day for _, day in by_day}, reverse=True)[:INDEX_DAYS]
    return render("verdicts.html", tables=list(newest), days=[(day, [by_day.get((t, day)) for t in newest]) for day in days])


def _state(verdict: Verdict) -> tuple[str, str]:
    passed = f"{sum(check.passed for check in verdict.checks)} of {len(verdict.checks)} checks passed"
    if verdict.failed:
        return "error", f"Refused: {passed}. The day was not published."
    if verdict.warnings:
        return "warning", f"Passed with warnings: {passed}."
    return "passed", f"Passed: {passed}."


def _facts(verdict: Verdict) -> list[tuple[str, str]]:
    known = [(label, verdict.facts.get(name)) for name, label in FACT_NAMES.items()]
    return [(label, number_text(value)) for label, value in known if value is not None]


def _mark(check: Check) -> tuple[str, str]:
    """Return how a check is marked, and the word that says so."""
    if check.passed:
        return "passed", "passed"
    return check.severity, "failed" if check.severity == "error" else "warning"


def _found(check: Check) -> str:
    if check.passed and check.counted.get("unexpected") == 0:
        return f"{check.counted['total']:,} rows"
    return check.found.removeprefix("found ")


def _cell(verdict: Verdict) -> dict[str, Any]:
    return {
        "state": _state(verdict)[0],
        "page": f"{verdict.table}-{verdict.day}.html",
        "rows": verdict.facts.get("rows") or 0,
        "wrong": len(verdict.failed) + len(verdict.warnings),
    }

"""Verdicts as pages for people: one a day and table, and an index of the newest days. Counts only, no values."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from recpipe.config.settings import Settings
from recpipe.contract import TABLES
from recpipe.validation.verdicts import Check, Verdict, newest_verdicts, number_text, write_whole

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


def write_pages(settings: Settings, verdicts: Sequence[Verdict]) -> Path:
    """Write the page of each verdict, and the index anew; return the index."""
    folder = page_folder(settings)
    for verdict in verdicts:
        write_whole(folder / f"{verdict.table}-{verdict.day}.html", verdict_page(verdict))
    newest = {table: newest_verdicts(settings, table, INDEX_DAYS) for table in TABLES}
    write_whole(folder / "index.html", index_page({table: found for table, found in newest.items() if found}))
    return folder / "index.html"


def page_folder(settings: Settings) -> Path:
    """Return the folder of the pages."""
    return settings.places.reports / "verdicts"


def verdict_page(verdict: Verdict) -> str:
    """Return the page of one verdict."""
    state, said = _state(verdict)
    facts = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in _facts(verdict))
    ordered = sorted(verdict.checks, key=lambda check: (check.passed, check.severity))
    return _page(
        f"{verdict.table}, {verdict.day:%A} {verdict.day}",
        f'<p class="back"><a href="index.html">all verdicts</a></p>'
        f'<h1>{escape(verdict.table)} <span class="day">{verdict.day:%A}, {verdict.day}</span></h1>'
        f'<p class="verdict {state}">{said}</p><dl>{facts}</dl>'
        "<table><thead><tr><th></th><th>Expected</th><th>Column</th><th>Found</th></tr></thead>"
        f"<tbody>{''.join(_row(check) for check in ordered)}</tbody></table>",
    )


def index_page(newest: dict[str, list[Verdict]]) -> str:
    """Return the page of the newest days: one line a day, one column a table."""
    days = sorted({verdict.day for found in newest.values() for verdict in found}, reverse=True)[:INDEX_DAYS]
    by_day = {(verdict.table, verdict.day): verdict for found in newest.values() for verdict in found}
    head = "".join(f"<th>{escape(table)}</th>" for table in newest)
    lines = "".join(
        f"<tr><th class='date'>{day} <span>{day:%a}</span></th>"
        + "".join(_cell(by_day.get((table, day))) for table in newest)
        + "</tr>"
        for day in days
    )
    return _page(
        "Verdicts",
        "<h1>Verdicts</h1><p>Every day of every table is held against its suite before it is published. "
        "Green passed; amber was published with a warning; red was refused.</p>"
        f"<table class='index'><thead><tr><th>day</th>{head}</tr></thead><tbody>{lines}</tbody></table>",
    )


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


def _row(check: Check) -> str:
    state = "passed" if check.passed else check.severity
    word = "passed" if check.passed else "failed" if check.severity == "error" else "warning"
    remedy = f"<p class='remedy'>{escape(check.remedy)}</p>" if check.remedy and not check.passed else ""
    only_warns = " <small>only warns</small>" if check.severity == "warning" else ""
    return (
        f"<tr class='{state}'><td><span class='mark'>{word}</span></td><td>{escape(check.description)}.{only_warns}{remedy}</td>"
        f"<td><code>{escape(check.column)}</code></td><td class='found'>{escape(_found(check))}</td></tr>"
    )


def _found(check: Check) -> str:
    if check.passed and check.counted.get("unexpected") == 0:
        return f"{check.counted['total']:,} rows"
    return check.found.removeprefix("found ")


def _cell(verdict: Verdict | None) -> str:
    if verdict is None:
        return "<td></td>"
    state, _ = _state(verdict)
    wrong = len(verdict.failed) + len(verdict.warnings)
    rows = f"{verdict.facts.get('rows') or 0:,}"
    text = f"{rows} rows" if not wrong else f"{rows} rows · {wrong} {'finding' if wrong == 1 else 'findings'}"
    return f"<td class='{state}'><a href='{verdict.table}-{verdict.day}.html'>{text}</a></td>"


def _page(title: str, body: str) -> str:
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{escape(title)}</title>"
        f"<meta name='viewport' content='width=device-width, initial-scale=1'><style>{STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


STYLE = """
:root{--ink:#1f2733;--soft:#5d6b7c;--line:#e3e8ee;--ok:#1a7f4b;--warn:#a15c00;--bad:#b3261e}
body{margin:0;background:#f6f8fa;color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1040px;margin:2.5rem auto;padding:0 1.25rem}
h1{font-size:1.6rem;margin:.2rem 0 1rem}
h1 .day{color:var(--soft);font-weight:400;font-size:1.1rem;margin-left:.4rem}
a{color:#1f5fae;text-decoration:none}a:hover{text-decoration:underline}.back{margin:0;font-size:.9rem}
.verdict{padding:.7rem 1rem;border-radius:8px;border-left:5px solid;background:#fff;font-weight:600}
.verdict.passed{border-color:var(--ok);background:#eaf6ef;color:var(--ok)}
.verdict.warning{border-color:var(--warn);background:#fdf4e3;color:var(--warn)}
.verdict.error{border-color:var(--bad);background:#fdeceb;color:var(--bad)}
dl{display:flex;flex-wrap:wrap;gap:.75rem;margin:1rem 0 1.5rem}
dl div{background:#fff;border:1px solid var(--line);border-radius:8px;padding:.5rem .9rem}
dt{color:var(--soft);font-size:.8rem}dd{margin:0;font-size:1.15rem;font-variant-numeric:tabular-nums}
table{width:100%;border-collapse:collapse;background:#fff;border:1px solid var(--line);border-radius:8px;overflow:hidden}
th{text-align:left;font-size:.8rem;color:var(--soft);font-weight:600}
th,td{padding:.5rem .8rem;border-top:1px solid var(--line);vertical-align:top}thead th{border-top:0;background:#fafbfc}
code{font-size:.85rem;color:var(--soft)}.found{white-space:nowrap;font-variant-numeric:tabular-nums;text-align:right}
table:not(.index) thead th:last-child{text-align:right}small{color:var(--soft)}.remedy{margin:.2rem 0 0;color:var(--soft);font-size:.9rem}
.mark{display:inline-block;min-width:4.2rem;text-align:center;border-radius:99px;font-size:.78rem;font-weight:600;padding:.05rem .5rem}
tr.passed .mark{background:#eaf6ef;color:var(--ok)}tr.warning .mark{background:#fdf0d9;color:var(--warn)}
tr.error .mark{background:#fbdedc;color:var(--bad)}tr.error td{background:#fffafa}tr.warning td{background:#fffdf8}
.index td,.index th{text-align:left;white-space:nowrap}.index td.passed{background:#f2faf5}.index td.warning{background:#fdf4e3}
.index td.error{background:#fdeceb}.index td.passed a{color:var(--ok)}.index td.warning a{color:var(--warn)}
.index td.error a{color:var(--bad);font-weight:600}.date span{color:var(--soft);font-weight:400}
"""

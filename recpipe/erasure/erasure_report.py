"""The report of an erasure, for the shop's records: a page and a file of counts, in which no user is named."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from recpipe.config.settings import Settings

STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;margin:1rem 0}th,td{text-align:right;padding:.3rem .8rem;border-bottom:1px solid #ddd}"
    "th:first-child,td:first-child{text-align:left}h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:1.6rem}"
)
COLUMNS: Final = ("rows", "days", "files", "bytes")


def write_report(settings: Settings, counts: Mapping[str, Any]) -> str:
    """Write ``reports/erasures/<run>.json`` and its page, and return the page's path.

    A run that is tried again replaces its report; runs by hand have one each.
    """
    now = datetime.now(UTC)
    run = settings.run_name
    name = f"local-{now:%Y%m%dT%H%M%S%f}" if run == "local" else run
    folder = settings.reports / "erasures"
    folder.mkdir(parents=True, exist_ok=True)
    whole = {"run": name, "at": now.isoformat(timespec="seconds"), **counts}
    _write(folder / f"{name}.json", json.dumps(whole, indent=1) + "\n")
    _write(folder / f"{name}.html", "\n".join(_page(whole)) + "\n")
    return str(folder / f"{name}.html")


def _write(file: Path, text: str) -> None:
    part = file.with_name(f".{file.name}.{uuid4().hex[:12]}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(file)


def headline(counts: Mapping[str, Any]) -> str:
    """Return what an erasure did in a sentence."""
    asked, found = counts["users_asked"], counts["users_found"]
    if not found and not counts["rows"]:
        return f"{asked:,} users asked for, nothing of them found: they were erased before, or never here."
    also = f" (with {counts['accounts']:,} further accounts of theirs)" if counts["accounts"] else ""
    return (
        f"{asked:,} users asked for{also}, {found:,} ids found: {counts['rows']:,} rows removed, "
        f"{counts['files']:,} files ({counts['bytes']:,} bytes), {counts['folders']:,} folders of scratch, "
        f"{counts['vectors']:,} vectors of texts."
    )


def _page(whole: Mapping[str, Any]) -> Iterator[str]:
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Erasure</title>'
    yield f"<style>{STYLE}</style></head><body><h1>Erasure of users</h1>"
    yield f"<p>Run {escape(whole['run'])}, {escape(whole['at'])}. {escape(headline(whole))}</p>"
    yield f"<h2>Tables</h2><table><tr><th>table</th>{''.join(f'<th>{name}</th>' for name in COLUMNS)}</tr>"
    for table, counts in whole["tables"].items():
        yield f"<tr><td>{escape(table)}</td>{''.join(f'<td>{counts[name]:,}</td>' for name in COLUMNS)}</tr>"
    yield "</table><p>Rows and days that were taken out; files that held them, and entries of the table's log. In item_digests, "
    yield "rows are quotes that were blanked; the digest stays.</p>"
    yield "<h2>Left, and why</h2><ul>"
    yield from (f"<li>{escape(sentence)}</li>" for sentence in whole["left"])
    yield "</ul></body></html>"

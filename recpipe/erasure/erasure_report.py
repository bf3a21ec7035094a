"""The report of an erasure, for the shop's records: a page and a file of counts, in which no user is named."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from recpipe.config.settings import Settings
from recpipe.files import write_whole
from recpipe.reports.render import render, write_page

COLUMNS: Final = ("rows", "days", "files", "bytes")


def write_report(settings: Settings, counts: Mapping[str, Any]) -> str:
    """Write ``reports/erasures/<run>.json`` and its page, and return the page's path.

    A run that is tried again replaces its report; runs by hand have one each.
    """
    now = datetime.now(UTC)
    run = settings.run.run_name
    name = f"local-{now:%Y%m%dT%H%M%S%f}" if run == "local" else run
    folder = settings.places.reports / "erasures"
    whole = {"run": name, "at": now.isoformat(timespec="seconds"), **counts}
    page = render("erasure.html", whole=whole, headline=headline(counts), columns=COLUMNS)
    written = write_page(folder / f"{name}.html", page)
    write_whole(folder / f"{name}.json", json.dumps(whole, indent=1) + "\n")
    return str(written)


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

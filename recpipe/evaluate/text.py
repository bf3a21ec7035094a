"""Outcomes as text, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from recpipe.config import Settings
from recpipe.evaluate.outcomes import BASELINES, GROUPS, of_lists
from recpipe.lake import Lake

HEAD: Final[tuple[str, ...]] = ("lists of", "judged by", "cohort", "users", "published lists", "popularity", "item kNN")


def outcome_table(settings: Settings, days: Sequence[date]) -> str:
    """Return nDCG of some evaluated days by cohort, lists beside baselines, with 95 % intervals; 'too few' where so.

    Parameters
    ----------
    settings
        Where the lake is.
    days
        Days of the table ``outcomes``; those that were not evaluated are left out.
    """
    lines = [HEAD]
    reader = Lake.from_settings(settings).reader()
    for day in sorted(set(days)):
        lines += _lines(of_lists(reader.read("outcomes", day, day)).to_pylist(), f"ndcg@{settings.metric_k}")
    widths = [max(len(line[place]) for line in lines) for place in range(len(HEAD))]
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([f"nDCG@{settings.metric_k}, 95 % interval over users", *shown])


def _lines(rows: list[dict[str, Any]], metric: str) -> list[tuple[str, ...]]:
    baselines = [learner.name for learner in BASELINES]
    lines = []
    for cohort in GROUPS:
        found = {row["name"]: row for row in rows if row["cohort"] == cohort and row["metric"] == metric}
        if not found:
            continue
        mine = next((row for name, row in found.items() if name not in baselines), None)
        any_row = next(iter(found.values()))
        lists_day = date.fromordinal(any_row["day"].toordinal() - any_row["horizon_days"])
        cells = [_cell(row) for row in (mine, *(found.get(name) for name in baselines))]
        lines.append((str(lists_day), str(any_row["day"]), cohort, f"{any_row['users']:,}", *cells))
    return lines


def _cell(row: dict[str, Any] | None) -> str:
    if row is None or row["value"] is None:
        return "too few"
    return f"{row['value']:.4f} ({row['ci_low']:.4f}–{row['ci_high']:.4f})"

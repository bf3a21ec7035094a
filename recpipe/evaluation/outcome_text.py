"""Outcomes as text, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from recpipe.config.settings import Settings
from recpipe.evaluation.outcomes import BASELINES, GROUPS, of_lists
from recpipe.lake.lake import Lake

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
    lines: list[Sequence[str]] = [HEAD]
    reader = Lake.from_settings(settings).reader()
    for day in sorted(set(days)):
        lines += _lines(of_lists(reader.read("outcomes", day, day)).to_pylist(), f"ndcg@{settings.evaluation.metric_k}")
    return f"nDCG@{settings.evaluation.metric_k}, 95 % interval over users\n{aligned(lines)}"


def replay_table(settings: Settings, day: date) -> str:
    """Return nDCG of a day of ``replays`` by how much was known, learners beside baselines, with 95 % intervals; empty if there is none.

    Parameters
    ----------
    settings
        Where the lake is, and the cut-off.
    day
        A day of the table.
    """
    from recpipe.evaluation.replay.replay_text import replay_lines

    rows = Lake.from_settings(settings).reader().read("replays", day, day).to_pylist()
    return aligned(replay_lines(rows, settings.evaluation.metric_k)) if rows else ""


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as lines whose columns begin below one another."""
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


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

"""A replay as lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recpipe.evaluation.replay.replay_groups import GROUPS
from recpipe.evaluation.replay.replay_stages import names_of
from recpipe.reports.marks import Point, point_of
from recpipe.reports.newcomers import form_label, size_label

Row = Mapping[str, Any]


def replay_lines(rows: Sequence[Row], metric_k: int) -> list[tuple[str, ...]]:
    """Return the rows of one day as cells for a terminal, the head first: a line a group, a column a name of lists."""
    names, found = names_in(rows), points_in(rows, metric_k)
    lines = [("items known", "persons", *map(form_label, names))]
    for group in GROUPS:
        cells = [found.get((group, name)) for name in names]
        persons = max((cell.users for cell in cells if cell), default=0)
        lines.append((size_label(group), f"{persons:,}", *map(number_of, cells)))
    return lines


def names_in(rows: Sequence[Row]) -> list[str]:
    return names_of(list(dict.fromkeys(row["name"] for row in rows)))


def points_in(rows: Sequence[Row], metric_k: int) -> dict[tuple[str, str], Point]:
    return {(row["group"], row["name"]): point_of(row) for row in rows if row["metric"] == f"ndcg@{metric_k}"}


def number_of(cell: Point | None) -> str:
    return "too few" if cell is None or cell.value is None else f"{cell.value:.4f} ({cell.low:.4f}–{cell.high:.4f})"

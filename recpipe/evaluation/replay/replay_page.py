"""The page of a replay: the picture, what it says in a sentence, all numbers, and how it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recpipe.config.settings import Settings
from recpipe.evaluation.replay.replay_groups import GROUPS
from recpipe.evaluation.replay.replay_measures import Replay
from recpipe.evaluation.replay.replay_stages import BASELINES, names_of
from recpipe.files import write_whole
from recpipe.reports.marks import Point, point_of
from recpipe.reports.newcomers import form_label, newcomer_png, newcomer_svg, size_label
from recpipe.reports.numbers import Cell, cell_of
from recpipe.reports.render import render, write_page
from recpipe.reports.series import TOGETHER, label

Row = Mapping[str, Any]


def write_report(settings: Settings, found: Replay) -> Path:
    """Write the page and the picture of a replay, each whole or not at all; return the path of the page."""
    rows, metric = found.rows.to_pylist(), f"nDCG@{settings.metric_k}"
    page = write_page(settings.reports / f"replay-{found.day}.html", report_page(settings, found))
    note = (
        f"{found.came:,} persons registered after {found.trained_until}; trained on days up to it, looked at up to {found.day}. "
        "What is known: first items met."
    )
    picture = newcomer_png(_points(rows, settings.metric_k), GROUPS, _names(rows), metric, note)
    write_whole(page.with_suffix(".png"), picture)
    return page


def report_page(settings: Settings, found: Replay) -> str:
    """Return the page as HTML; it holds no user id and loads nothing."""
    rows, k = found.rows.to_pylist(), settings.metric_k
    head, lines = number_table(rows, k)
    return render(
        "replay.html",
        found=found,
        settings=settings,
        leads=headline(rows, k),
        picture=newcomer_svg(_points(rows, k), GROUPS, _names(rows), f"nDCG@{k}"),
        head=head,
        lines=lines,
    )


def headline(rows: Sequence[Row], metric_k: int) -> list[str]:
    """Return what a replay says in sentences: of each trained learner, with 1 to 10 items known and with nothing known."""
    said = []
    found = _by_name(rows)
    for name in _names(rows)[: -len(BASELINES)]:
        row = found.get((TOGETHER, f"ndcg@{metric_k}", name, ""))
        if row is None or row["value"] is None:
            said.append(f"{form_label(name)}: {row['users'] if row else 0} persons are too few to say how newcomers are served.")
            continue
        ratios = [_ratio(found.get((TOGETHER, f"ndcg_ratio@{metric_k}", name, against))) for against in BASELINES]
        of = " and ".join(f"{ratio} × {label(against)}" for ratio, against in zip(ratios, BASELINES, strict=True) if ratio)
        said.append(
            f"With 1 to 10 items known, the lists of the {form_label(name)} have an nDCG@{metric_k} of {row['value']:.4f} "
            f"({row['ci_low']:.4f}–{row['ci_high']:.4f}, {row['users']:,} persons)" + (f": {of}." if of else ".")
        )
    return said


def replay_lines(rows: Sequence[Row], metric_k: int) -> list[tuple[str, ...]]:
    """Return the rows of one day as cells for a terminal, the head first: a line a group, a column a name of lists."""
    names, found = _names(rows), _points(rows, metric_k)
    lines = [("items known", "persons", *map(form_label, names))]
    for group in GROUPS:
        cells = [found.get((group, name)) for name in names]
        persons = max((cell.users for cell in cells if cell), default=0)
        lines.append((size_label(group), f"{persons:,}", *map(_number, cells)))
    return lines


def number_table(rows: Sequence[Row], metric_k: int) -> tuple[list[str], list[tuple[str, str, list[Cell]]]]:
    """Return the table of the page: names of the columns, and of each line what is known, whose lists, and its cells."""
    found = _by_name(rows)
    columns = [("nDCG", f"ndcg@{metric_k}", ""), ("hit rate", f"hit_rate@{metric_k}", "")]
    columns += [(f"× {label(against)}", f"ndcg_ratio@{metric_k}", against) for against in BASELINES]
    lines = []
    for group in GROUPS:
        for place, name in enumerate(_names(rows)):
            mine = [found.get((group, metric, name, against)) for _, metric, against in columns]
            cells = [cell_of(row, ".2f" if row and row["against"] else ".4f", "too few" if row else "") for row in mine]
            title = "" if place else f"{size_label(group)} known"
            lines.append((title, form_label(name), [Cell(f"{mine[0]['users'] if mine[0] else 0:,}"), *cells]))
    return ["known", "", "persons", *(title for title, *_ in columns)], lines


def _names(rows: Sequence[Row]) -> list[str]:
    return names_of(list(dict.fromkeys(row["name"] for row in rows)))


def _by_name(rows: Sequence[Row]) -> dict[tuple[str, str, str, str], Row]:
    return {(row["group"], row["metric"], row["name"], row["against"]): row for row in rows}


def _points(rows: Sequence[Row], metric_k: int) -> dict[tuple[str, str], Point]:
    return {(row["group"], row["name"]): point_of(row) for row in rows if row["metric"] == f"ndcg@{metric_k}"}


def _number(cell: Point | None) -> str:
    return "too few" if cell is None or cell.value is None else f"{cell.value:.4f} ({cell.low:.4f}–{cell.high:.4f})"


def _ratio(row: Row | None) -> str:
    if row is None or row["value"] is None:
        return ""
    high = f"{row['ci_high']:.2f}" if row["ci_high"] is not None else "more"
    return f"{row['value']:.2f} ({row['ci_low']:.2f}–{high})"

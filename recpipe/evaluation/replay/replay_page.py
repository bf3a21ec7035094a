"""The page of a replay: the picture, what it says in a sentence, all numbers, and how it was made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recpipe.config.settings import Settings
from recpipe.evaluation.replay.replay_groups import GROUPS
from recpipe.evaluation.replay.replay_measures import Replay
from recpipe.evaluation.replay.replay_stages import BASELINES
from recpipe.evaluation.replay.replay_text import Row, names_in, points_in
from recpipe.files import write_whole
from recpipe.reports.newcomers import form_label, newcomer_png, newcomer_svg, size_label
from recpipe.reports.numbers import Cell, cell_of
from recpipe.reports.render import render, write_page
from recpipe.reports.series import TOGETHER, label


def write_report(settings: Settings, found: Replay) -> Path:
    """Write the page and the picture of a replay, each whole or not at all; return the path of the page."""
    rows, metric = found.rows.to_pylist(), f"nDCG@{settings.evaluation.metric_k}"
    page = write_page(settings.places.reports / f"replay-{found.day}.html", report_page(settings, found))
    note = (
        f"{found.came:,} persons registered after {found.trained_until}; trained on days up to it, looked at up to {found.day}. "
        "What is known: first items met."
    )
    picture = newcomer_png(points_in(rows, settings.evaluation.metric_k), GROUPS, names_in(rows), metric, note)
    write_whole(page.with_suffix(".png"), picture)
    return page


def report_page(settings: Settings, found: Replay) -> str:
    """Return the page as HTML; it holds no user id and loads nothing."""
    rows, k = found.rows.to_pylist(), settings.evaluation.metric_k
    head, lines = number_table(rows, k)
    return render(
        "replay.html",
        found=found,
        settings=settings,
        leads=headline(rows, k),
        picture=newcomer_svg(points_in(rows, k), GROUPS, names_in(rows), f"nDCG@{k}"),
        head=head,
        lines=lines,
    )


def headline(rows: Sequence[Row], metric_k: int) -> list[str]:
    """Return what a replay says in sentences: of each trained learner, with 1 to 10 items known and with nothing known."""
    said = []
    found = _by_name(rows)
    for name in names_in(rows)[: -len(BASELINES)]:
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


def number_table(rows: Sequence[Row], metric_k: int) -> tuple[list[str], list[tuple[str, str, list[Cell]]]]:
    """Return the table of the page: names of the columns, and of each line what is known, whose lists, and its cells."""
    found = _by_name(rows)
    columns = [("nDCG", f"ndcg@{metric_k}", ""), ("hit rate", f"hit_rate@{metric_k}", "")]
    columns += [(f"× {label(against)}", f"ndcg_ratio@{metric_k}", against) for against in BASELINES]
    lines = []
    for group in GROUPS:
        for place, name in enumerate(names_in(rows)):
            mine = [found.get((group, metric, name, against)) for _, metric, against in columns]
            cells = [cell_of(row, ".2f" if row and row["against"] else ".4f", "too few" if row else "") for row in mine]
            title = "" if place else f"{size_label(group)} known"
            lines.append((title, form_label(name), [Cell(f"{mine[0]['users'] if mine[0] else 0:,}"), *cells]))
    return ["known", "", "persons", *(title for title, *_ in columns)], lines


def _by_name(rows: Sequence[Row]) -> dict[tuple[str, str, str, str], Row]:
    return {(row["group"], row["metric"], row["name"], row["against"]): row for row in rows}


def _ratio(row: Row | None) -> str:
    if row is None or row["value"] is None:
        return ""
    high = f"{row['ci_high']:.2f}" if row["ci_high"] is not None else "more"
    return f"{row['value']:.2f} ({row['ci_low']:.2f}–{high})"

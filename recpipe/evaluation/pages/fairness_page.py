"""The groups on the page of a day: exposure of items, and quality for users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from recpipe.config.outcome_settings import EvaluationSettings
from recpipe.reports.charts import PALETTE, figure_of, styled, svg_of
from recpipe.reports.marks import draw_dot, draw_dots, legend_above, name_rows, point_of
from recpipe.reports.numbers import Cell, cell_of

Row = dict[str, Any]
HALF_ROW = 0.3


@dataclass(frozen=True)
class Groups:
    """A section of the page: gaps (rows), a chart, and a table of names of columns and of lines of a group and its cells."""

    gaps: list[Row]
    picture: Markup
    head: tuple[str, ...]
    lines: list[tuple[str, list[Cell]]]


def who_is_shown(evaluation: EvaluationSettings, rows: Sequence[Row]) -> Groups | None:
    """Return the section about groups of items; None if there are none."""
    k = evaluation.metric_k
    metric = f"exposure@{k}"
    groups = [row["group"] for row in rows if row["metric"] == metric]
    if not groups:
        return None
    found = {(row["group"], row["metric"]): row for row in rows}
    shares = (metric, "catalogue_share", "sales_share", "met_share")
    forms = dict.fromkeys(shares, ".1%") | {f"exposure_to_sales@{k}": ".2f", f"exposure_to_met@{k}": ".2f"}
    lines = [(group, [cell_of(found.get((group, name)), form, "–") for name, form in forms.items()]) for group in groups]
    head = ("group", "exposure", "of the catalogue", "of sales", "of what was met", "exposure / sales", "exposure / met")
    return Groups([], _shown_plot(groups, found, metric), head, lines)


def who_is_served(evaluation: EvaluationSettings, rows: Sequence[Row]) -> Groups | None:
    """Return the section about groups of users; None if there are none."""
    k = evaluation.metric_k
    mine = [row for row in rows if row["metric"] == f"group_ndcg@{k}"]
    if not mine:
        return None
    names = {
        f"group_{name}@{k}": f"{title}@{k}" for name, title in (("ndcg", "nDCG"), ("recall", "recall"), ("hit_rate", "hit rate"))
    }
    found = {(row["group"], row["metric"]): row for row in rows}
    lines = [
        (row["group"], [Cell(f"{row['users']:,}"), *(cell_of(found.get((row["group"], name)), ".4f", "–") for name in names)])
        for row in mine
    ]
    gaps = [row for row in rows if row["metric"] == f"gap_ndcg@{k}"]
    return Groups(gaps, _served_plot(mine, f"nDCG@{k}"), ("group", "users", *names.values()), lines)


@styled()
def _shown_plot(groups: Sequence[str], rows: dict[tuple[str, str], Row], metric: str) -> Markup:
    figure, axes = figure_of(0.36 * len(groups) + 1.1)
    for y, group in enumerate(groups):
        for name, title, below, shade, size in (
            (metric, "exposure", 0.0, "green", 7),
            ("met_share", "met since", 0.17, "knn", 5),
        ):
            if row := rows.get((group, name)):
                said = f"{title}, {group}: {cell_of(row, '.1%').text}"
                draw_dot(axes, point_of(row), y + below, shade, said=said, size=size, name=title)
        for name, title, shade in (("sales_share", "sales", "popularity"), ("catalogue_share", "catalogue", "blue")):
            value = rows.get((group, name), {}).get("value")
            if value is not None:
                axes.plot([value, value], [y - HALF_ROW, y + HALF_ROW], color=PALETTE[shade], linewidth=2, label=title)
    name_rows(axes, groups)
    axes.set_xlabel("share of the whole")
    legend_above(axes)
    return svg_of(figure, "Exposure of groups of items beside their share of catalogue, sales and what was met")


@styled()
def _served_plot(rows: Sequence[Row], metric: str) -> Markup:
    figure, axes = figure_of(0.34 * len(rows) + 1.0)
    groups = {row["group"]: f"{row['group']} ({row['users']:,})" for row in rows}
    draw_dots(axes, {(row["group"], "lists"): point_of(row) for row in rows}, groups, {"lists": metric})
    axes.set_xlabel(f"{metric}, mean over users, 95 % interval")
    return svg_of(figure, f"{metric} of groups of users")

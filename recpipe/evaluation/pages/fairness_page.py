"""The groups on the page of a day: exposure of items, and quality for users."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, Final

from recpipe.config.settings import Settings
from recpipe.reports.charts import FAINT, INK, STYLE, figure_of, svg_of

Row = dict[str, Any]

EXPOSURE, MET, SALES, CATALOGUE = "#1f6f5c", "#c98a2b", "#7d8794", "#4f7fb0"
HALF_ROW: Final = 0.3


def shown_section(settings: Settings, rows: Sequence[Row]) -> str:
    """Return plot, table and note of the groups of items; empty if there are none."""
    metric = f"exposure@{settings.metric_k}"
    groups = [row["group"] for row in rows if row["metric"] == metric]
    if not groups:
        return ""
    by_group = {(row["group"], row["metric"]): row for row in rows}
    columns = [metric, "catalogue_share", "sales_share", "met_share", f"exposure_to_sales@{settings.metric_k}"]
    columns.append(f"exposure_to_met@{settings.metric_k}")
    plot = _shown_plot(groups, by_group, metric)
    return plot + _table(
        ("group", "exposure", "of the catalogue", "of sales", "of what was met", "exposure / sales", "exposure / met"),
        [(group, [by_group.get((group, name)) for name in columns]) for group in groups],
    )


def shown_note(settings: Settings) -> str:
    """Say what the numbers of item groups are."""
    return (
        f"Exposure: share of the attention in the first {settings.metric_k} places, where a place of rank r has 1 / log2(r + 1). Beside "
        f"it the group's share of the items on sale, of all events up to the lists (sales), and of what these users newly met since. "
        f"A ratio above 1: shown more than it sells, or is met. 95 % intervals over users. docs/fairness.md has the definitions."
    )


def served_section(settings: Settings, rows: Sequence[Row]) -> str:
    """Return plot and note of the groups of users; empty if there are none."""
    metric = f"group_ndcg@{settings.metric_k}"
    mine = [row for row in rows if row["metric"] == metric]
    if not mine:
        return ""
    names = [f"{name}@{settings.metric_k}" for name in ("group_ndcg", "group_recall", "group_hit_rate")]
    by_group = {(row["group"], row["metric"]): row for row in rows}
    gaps = [row for row in rows if row["metric"] == f"gap_ndcg@{settings.metric_k}"]
    head = ("group", "users", *(f"{name}@{settings.metric_k}" for name in ("nDCG", "recall", "hit rate")))
    lines = [(row["group"], [row["users"], *(by_group.get((row["group"], name)) for name in names)]) for row in mine]
    said = "".join(f"<p>{_gap(settings, row)}</p>" for row in gaps)
    return said + _served_plot(mine, f"nDCG@{settings.metric_k}") + _table(head, lines)


def served_note(settings: Settings) -> str:
    """Say what the numbers of user groups are."""
    return (
        f"Users of each group who newly met an item. Fewer than {settings.min_users}: too few. Groups of fewer than so many users with a "
        f"list stand in the rest. The gap's interval is of all pairs at once: 0 in it says that the groups may be alike."
    )


def _gap(settings: Settings, row: Row) -> str:
    kind = escape(row["group"])
    if row["value"] is None:
        return f"By {kind}: fewer than two groups have {settings.min_users} users, so there is no gap to speak of."
    verdict = "more than chance" if row["ci_low"] > 0 else "no more than chance can make"
    return (
        f"By {kind}: the greatest gap of nDCG@{settings.metric_k} between two groups is <b>{row['value']:.4f}</b> "
        f"(95 % interval {row['ci_low']:.4f} to {row['ci_high']:.4f}): {verdict}."
    )


def _shown_plot(groups: Sequence[str], rows: dict[tuple[str, str], Row], metric: str) -> str:
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        figure, axes = figure_of(8.6, 0.36 * len(groups) + 1.1)
        for y, group in enumerate(groups):
            _draw_interval(axes, rows.get((group, metric)), y, EXPOSURE, 7, "exposure")
            _draw_interval(axes, rows.get((group, "met_share")), y + 0.17, MET, 5, "met since")
            for name, colour, label in (("sales_share", SALES, "sales"), ("catalogue_share", CATALOGUE, "catalogue")):
                value = (rows.get((group, name)) or {}).get("value")
                if value is not None:
                    axes.plot([value, value], [y - HALF_ROW, y + HALF_ROW], color=colour, linewidth=2, label=label)
        _finish(axes, groups, "share of the whole")
        return svg_of(figure, "Exposure of groups of items beside their share of catalogue, sales and what was met")


def _served_plot(rows: Sequence[Row], metric: str) -> str:
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        figure, axes = figure_of(8.6, 0.34 * len(rows) + 1.0)
        for y, row in enumerate(rows):
            _draw_interval(axes, row, y, EXPOSURE, 7, metric)
            if row["value"] is None:
                axes.text(0.012, y, "too few users", va="center", color="#7d8794", transform=axes.get_yaxis_transform())
        _finish(
            axes,
            [f"{row['group']} ({row['users']:,})" for row in rows],
            f"{metric}, mean over users, 95 % interval",
            legend=False,
        )
        return svg_of(figure, f"{metric} of groups of users")


def _draw_interval(axes: Any, row: Row | None, y: float, colour: str, size: float, label: str) -> None:
    if row is None or row["value"] is None:
        return
    if row["ci_low"] is not None and row["ci_high"] is not None:
        axes.plot([row["ci_low"], row["ci_high"]], [y, y], color=colour, linewidth=3, alpha=0.45, solid_capstyle="round")
    axes.plot([row["value"]], [y], "o", color=colour, markersize=size, label=label)


def _finish(axes: Any, labels: Sequence[str], what: str, *, legend: bool = True) -> None:
    axes.set_yticks(range(len(labels)), [_short(label) for label in labels], color=INK)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.set_xlabel(what)
    axes.grid(axis="x", color=FAINT, linewidth=0.8)
    handles = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    if legend and handles:
        axes.legend(handles.values(), handles, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4, frameon=False, borderaxespad=0)


def _short(label: str) -> str:
    """Return a label of a length that leaves room for the picture; a dollar would begin a formula there."""
    return (label if len(label) <= 40 else f"{label[:39]}…").replace("$", r"\$")


def _table(head: Sequence[str], lines: Sequence[tuple[str, Sequence[Row | int | None]]]) -> str:
    top = "".join(f"<th>{name}</th>" for name in head)
    body = "".join(f"<tr><td>{escape(group)}</td>{''.join(map(_cell, cells))}</tr>" for group, cells in lines)
    return f"<div class='scroll'><table class='groups'><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"


def _cell(row: Row | int | None) -> str:
    if isinstance(row, int):
        return f"<td>{row:,}</td>"
    if row is None or row["value"] is None:
        return "<td class='none'>–</td>"
    form = ".2f" if row["metric"].startswith("exposure_to") else ".4f" if row["metric"].startswith("group") else ".1%"
    ends = [format(row[end], form) if row[end] is not None else "more" for end in ("ci_low", "ci_high")]
    small = "" if row["ci_low"] is None and row["ci_high"] is None else f"<br><small>{ends[0]} – {ends[1]}</small>"
    return f"<td>{format(row['value'], form)}{small}</td>"

"""The picture of a replay: how well newcomers are served by what is known of them, beside the baselines."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

from recpipe.evaluation.replay.replay_groups import GROUPS, TOGETHER
from recpipe.reports.charts import FAINT, INK, STYLE, figure_of, svg_of

LABELS: Final[Mapping[str, str]] = {
    "pair_network": "pair network",
    "stack": "stack of closed forms",
    "item_knn": "item kNN, best form",
    "popularity": "popularity, best window",
}
COLOURS: Final[Mapping[str, str]] = {
    "pair_network": "#1f6f5c",
    "stack": "#3f7fb5",
    "item_knn": "#c98a2b",
    "popularity": "#7d8794",
}
OTHER: Final = "#8a5a9e"
TITLE: Final = "How well a newcomer is served, by how much is known"


def label(name: str) -> str:
    """Return the name of lists for people."""
    return LABELS.get(name, name.replace("_", " "))


def short(name: str) -> str:
    """Return the name of lists without what is said of their form.

    >>> short("item_knn"), short("stack")
    ('item kNN', 'stack of closed forms')
    """
    return label(name).split(",")[0]


def group_label(group: str) -> str:
    """Return a group's name for people.

    >>> group_label("k=0"), group_label("k=1"), group_label("k=10"), group_label("k>=1")
    ('nothing', '1 item', '10 items', '1 to 10')
    """
    if group == TOGETHER:
        return "1 to 10"
    size = int(group[2:])
    return "nothing" if size == 0 else "1 item" if size == 1 else f"{size} items"


def replay_svg(rows: Sequence[Mapping[str, Any]], metric_k: int, names: Sequence[str]) -> str:
    """Return the picture as an SVG element (rows of one day of ``replays``; names from left to right)."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        return svg_of(_drawn(rows, metric_k, names), TITLE)


def replay_png(rows: Sequence[Mapping[str, Any]], metric_k: int, names: Sequence[str], note: str) -> bytes:
    """Return the picture as a PNG with a title and a note below it, to stand alone."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        figure = _drawn(rows, metric_k, names)
        figure.patch.set(alpha=1, facecolor="white")
        figure.suptitle(TITLE, x=0.012, ha="left", fontsize=14, fontweight="bold", color=INK)
        figure.supxlabel(note, x=0.012, ha="left", fontsize=9, color="#5d6b75")
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=150, metadata={"Software": None})
        return picture.getvalue()


def _drawn(rows: Sequence[Mapping[str, Any]], metric_k: int, names: Sequence[str]) -> Any:
    figure, axes = figure_of(8.6, 4.2)
    found = {(row["group"], row["name"]): row for row in rows if row["metric"] == f"ndcg@{metric_k}"}
    step = 0.62 / max(len(names) - 1, 1)
    for place, name in enumerate(names):
        for at, group in enumerate(GROUPS):
            row = found.get((group, name))
            if row and row["value"] is not None:
                _draw(axes, row, at + step * (place - (len(names) - 1) / 2), name)
        axes.plot([], [], "o-", color=COLOURS.get(name, OTHER), linewidth=3, label=label(name))
    axes.axvspan(len(GROUPS) - 1.5, len(GROUPS) - 0.5, color=FAINT, alpha=0.35, linewidth=0)
    axes.set_xticks(range(len(GROUPS)), [_tick(group, found, names) for group in GROUPS])
    axes.set_xlim(-0.5, len(GROUPS) - 0.5)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(f"nDCG@{metric_k}, 95 % interval over persons")
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4, frameon=False, borderaxespad=0.4, columnspacing=1.2, fontsize=9.5
    )
    return figure


def _draw(axes: Any, row: Mapping[str, Any], x: float, name: str) -> None:
    colour = COLOURS.get(name, OTHER)
    axes.plot([x, x], [row["ci_low"], row["ci_high"]], color=colour, linewidth=3.2, alpha=0.45, solid_capstyle="round")
    axes.plot([x], [row["value"]], "o", color=colour, markersize=6.5)


def _tick(group: str, found: Mapping[tuple[str, str], Mapping[str, Any]], names: Sequence[str]) -> str:
    users = max((found[group, name]["users"] for name in names if (group, name) in found), default=0)
    few = all(found.get((group, name), {}).get("value") is None for name in names)
    return f"{group_label(group)}\n{users:,} persons" + ("\ntoo few" if few else "")

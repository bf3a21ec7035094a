"""The chart of a replay: how well newcomers are served by what is known of them, beside the baselines."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from recpipe.reports.charts import INK, LINE, SOFT, figure_of, png_of, styled, svg_of
from recpipe.reports.marks import Interval, draw_dots
from recpipe.reports.series import TOGETHER, label

TITLE: Final = "How well a newcomer is served, by how much is known"
FORMS: Final = {"item_knn": "item kNN, best form", "popularity": "popularity, best window"}


def form_label(name: str) -> str:
    """Return whose lists they are, with what is said of a baseline's form."""
    return FORMS.get(name, label(name))


def size_label(group: str) -> str:
    """Return how many items are known in a group.

    >>> size_label("k=0"), size_label("k=1"), size_label("k=10"), size_label("k>=1")
    ('nothing', '1 item', '10 items', '1 to 10')
    """
    return {"k=0": "nothing", "k=1": "1 item", TOGETHER: "1 to 10"}.get(group, f"{group[2:]} items")


def known(group: str) -> str:
    """Say how much was known of a newcomer.

    >>> known("k=0"), known("k=1"), known("k=10"), known("k>=1")
    ('nothing known', '1 item', '10 items', '1 to 10 items')
    """
    return {"k=0": "nothing known", TOGETHER: "1 to 10 items"}.get(group, size_label(group))


@styled()
def newcomer_svg(cells: Mapping[tuple[str, str], Interval], groups: Sequence[str], names: Sequence[str], metric: str) -> Markup:
    """Return the chart as an SVG element.

    Parameters
    ----------
    cells
        The metric by (group, name).
    groups, names
        From left to right.
    metric
        Name on the axis.
    """
    return svg_of(_drawn(cells, groups, names, metric), TITLE)


@styled()
def newcomer_png(
    cells: Mapping[tuple[str, str], Interval], groups: Sequence[str], names: Sequence[str], metric: str, note: str
) -> bytes:
    """Return the chart as a PNG with a title and a note below it, to be seen by itself."""
    figure = _drawn(cells, groups, names, metric)
    figure.suptitle(TITLE, x=0.012, ha="left", fontsize=14, fontweight="bold", color=INK)
    figure.supxlabel(note, x=0.012, ha="left", fontsize=9, color=SOFT)
    picture = io.BytesIO()
    png_of(figure, picture, dpi=150)
    return picture.getvalue()


def _drawn(cells: Mapping[tuple[str, str], Interval], groups: Sequence[str], names: Sequence[str], metric: str) -> Any:
    figure, axes = figure_of(4.6)
    said = {group: f"{known(group)}\n{_persons(cells, group, names)}" for group in groups}
    draw_dots(axes, cells, said, {name: form_label(name) for name in names}, upright=True, unit="persons")
    if TOGETHER in groups:
        middle = list(groups).index(TOGETHER)
        axes.axvspan(middle - 0.5, middle + 0.5, color=LINE, alpha=0.5, linewidth=0, zorder=0)
    axes.set_ylabel(f"{metric}, 95 % interval over persons")
    return figure


def _persons(cells: Mapping[tuple[str, str], Interval], group: str, names: Sequence[str]) -> str:
    found = [cells[group, name] for name in names if (group, name) in cells]
    few = all(cell.value is None for cell in found)
    return f"{max((cell.users for cell in found), default=0):,} persons" + ("\ntoo few" if few else "")

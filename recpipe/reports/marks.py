"""Marks of charts: dots and lines with the intervals around them, and the axes that they are held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

from recpipe.reports.charts import PALETTE, SOFT, told
from recpipe.reports.series import colour, label


class Interval(Protocol):
    """A value with its interval; None where too few were measured."""

    @property
    def value(self) -> float | None: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...
    @property
    def users(self) -> int: ...


@dataclass(frozen=True)
class Point:
    """One `Interval`."""

    value: float | None
    low: float | None
    high: float | None
    users: int


def point_of(row: Mapping[str, Any]) -> Point:
    """Return the point of a row of ``outcomes`` or ``replays``."""
    return Point(row["value"], row["ci_low"], row["ci_high"], row["users"])


def draw_dots(
    axes: Any,
    cells: Mapping[tuple[str, str], Interval],
    groups: Mapping[str, str],
    names: Mapping[str, str],
    *,
    upright: bool = False,
    unit: str = "users",
) -> None:
    """Draw a dot and its interval for each group and name, and a legend if there are several names.

    Parameters
    ----------
    cells
        By (group, name).
    groups, names
        What is said of each: of groups on their axis, from top to bottom or from left to right; of names in the legend.
    upright
        Whether values rise upwards; else they run to the right.
    unit
        Who was measured.
    """
    step = min(0.22, 0.62 / max(len(names) - 1, 1))
    for place, (name, title) in enumerate(names.items()):
        for at, (group, about) in enumerate(groups.items()):
            if (cell := cells.get((group, name))) is not None:
                across = at + step * (place - (len(names) - 1) / 2)
                said = sentence_of(f"{title}, {about}".partition("\n")[0], cell, unit)
                draw_dot(axes, cell, across, colour(name), said=said, upright=upright)
        if len(names) > 1:
            axes.plot([], [], "o-", color=PALETTE[colour(name)], linewidth=3, label=title)
    if upright:
        axes.set_xticks(range(len(groups)), list(groups.values()))
        axes.set_xlim(-0.5, len(groups) - 0.5)
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
    else:
        name_rows(axes, list(groups.values()))
        for at, group in enumerate(groups):
            if all(cells[group, name].value is None for name in names if (group, name) in cells):
                axes.text(0.012, at, "too few users", va="center", color=SOFT, transform=axes.get_yaxis_transform())
    legend_above(axes)


def draw_dot(
    axes: Any, cell: Interval, across: float, shade: str, *, said: str, upright: bool = False, size: float = 7, name: str = ""
) -> None:
    """Draw one dot and its interval; nothing where there is no value.

    Parameters
    ----------
    axes, cell
        Where, and what.
    across
        Place on the axis of the groups.
    shade
        Name of a colour in ``page.css``.
    said
        What is told to whoever points at it.
    upright
        Whether the value rises upwards.
    size
        Of the dot, in points.
    name
        In the legend.
    """
    if cell.value is None:
        return
    way = 1 if upright else -1
    if cell.low is not None and cell.high is not None:
        ends = ([across] * 2, [cell.low, cell.high])
        axes.plot(*ends[::way], color=PALETTE[shade], linewidth=3, alpha=0.45, solid_capstyle="round")
    middle = ([across], [cell.value])
    axes.plot(*middle[::way], "o", color=PALETTE[shade], markersize=size, gid=told(said), label=name)


def draw_lines(axes: Any, days: Sequence[date], series: Mapping[str, Sequence[Interval | None]], most_days: int = 8) -> None:
    """Draw a line and its band of intervals for each name over some days; a day without a value leaves a gap.

    Parameters
    ----------
    axes
        Where.
    days
        Rising.
    series
        One point or None for each day, by name; the first name is drawn strongest and on top.
    most_days
        Days that are named on the axis, at most.
    """
    at = [day.toordinal() for day in days]
    for place, (name, points) in enumerate(series.items()):
        look = {"color": PALETTE[colour(name)], "zorder": 2 + 1 / (1 + place)}
        value, low, high = (_column(points, field) for field in ("value", "low", "high"))
        said = [sentence_of(f"{label(name)}, {day}", p, form=".3f") for day, p in zip(days, points, strict=True) if p]
        width, line = (1.4, "o--") if place else (2.2, "o-")
        axes.plot(
            at, value, line, linewidth=width, markersize=2 * width, gid=told(*filter(None, said)), label=label(name), **look
        )
        if len(at) == 1:  # a band has no width there
            axes.plot(at * 2, low + high, linewidth=3, alpha=0.3, solid_capstyle="round", **look)
        axes.fill_between(at, low, high, color=look["color"], alpha=0.1 if place else 0.18, linewidth=0)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y")
    name_days(axes, days, most_days)


def sentence_of(what: str, cell: Interval, unit: str = "users", form: str = ".4f") -> str:
    """Return a value and its interval in words; empty where too few were measured.

    >>> sentence_of("popularity, 1 item", Point(0.5, 0.25, 0.75, 1200), "persons")
    'popularity, 1 item: 0.5000 (0.2500 to 0.7500), 1,200 persons'
    """
    if cell.value is None:
        return ""
    between = "" if cell.low is None or cell.high is None else f" ({cell.low:{form}} to {cell.high:{form}})"
    return f"{what}: {cell.value:{form}}{between}, {cell.users:,} {unit}"


def name_days(axes: Any, days: Sequence[date], most: int = 8) -> None:
    """Name days below an axis of their ordinals, the newest always."""
    shown = list(days)[:: -max(1, -(-len(days) // most))][::-1]
    axes.set_xticks([day.toordinal() for day in shown], [f"{day.day} {day:%b}" for day in shown])
    first, last = (day.toordinal() for day in (days[0], days[-1]))
    beside = (last - first) / 25 or 1
    axes.set_xlim(first - beside, last + beside)


def name_rows(axes: Any, labels: Sequence[str]) -> None:
    """Name the rows of a chart whose values run to the right, from top to bottom; a long name is cut to leave room."""
    axes.set_yticks(range(len(labels)), [name if len(name) <= 40 else f"{name[:39]}…" for name in labels])
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.grid(axis="x")


def legend_above(axes: Any) -> None:
    """Put a legend above the axes, each name once."""
    handles = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    if handles:
        axes.legend(handles.values(), handles, loc="lower left", bbox_to_anchor=(0, 1), borderpad=0, ncols=4)


def _column(points: Sequence[Interval | None], field: str) -> list[float]:
    values = [getattr(point, field) if point else None for point in points]
    return [float("nan") if value is None else value for value in values]

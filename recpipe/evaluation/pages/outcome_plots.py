"""Pictures of outcomes, as SVG text that stands in a page by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from recpipe.evaluation.drift import Drift
from recpipe.reports.charts import ALARM, COLOURS, FAINT, STYLE, figure_of, svg_of

LABELS: Final = {"lists": "published lists", "item_knn": "item kNN", "popularity": "popularity"}


@dataclass(frozen=True)
class Point:
    """A value with its interval; None where too few users were measured."""

    value: float | None
    low: float | None
    high: float | None
    users: int


def cohort_plot(points: Mapping[tuple[str, str], Point], cohorts: Sequence[str], metric: str) -> str:
    """Draw a metric with its interval for each cohort: the lists beside the baselines.

    Parameters
    ----------
    points
        By (cohort, series); the series are those of `COLOURS`.
    cohorts
        From top to bottom.
    metric
        Name on the axis.
    """
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        figure, axes = figure_of(8.6, 0.62 * len(cohorts) + 1.0)
        for row, cohort in enumerate(cohorts):
            for place, series in enumerate(COLOURS):
                _draw_point(axes, points.get((cohort, series)), row + 0.22 * (place - 1), series, label=row == 0)
            if all(points.get((cohort, series), Point(None, None, None, 0)).value is None for series in COLOURS):
                axes.text(0.012, row, "too few users", va="center", color="#7d8794", transform=axes.get_yaxis_transform())
        axes.set_yticks(range(len(cohorts)), cohorts)
        axes.set_ylim(len(cohorts) - 0.5, -0.5)
        axes.set_xlim(left=0)
        axes.set_xlabel(f"{metric}, mean over users, 95 % interval")
        axes.grid(axis="x", color=FAINT, linewidth=0.8)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="upper left", bbox_to_anchor=(0, 1.0 + 0.42 / len(cohorts)), ncols=3, frameon=False, borderaxespad=0)
        return svg_of(figure, f"{metric} of each cohort beside the baselines")


def _draw_point(axes: Any, point: Point | None, y: float, series: str, *, label: bool) -> None:
    if point is None or point.value is None or point.low is None or point.high is None:
        return
    colour, size = COLOURS[series], 8 if series == "lists" else 6
    axes.plot([point.low, point.high], [y, y], color=colour, linewidth=3, alpha=0.45, solid_capstyle="round")
    axes.plot([point.value], [y], "o", color=colour, markersize=size, label=LABELS[series] if label else None)


def trend_plot(days: Sequence[date], series: Mapping[str, Sequence[Point | None]], metric: str) -> str:
    """Draw a metric over the evaluated days; days that were not evaluated leave a gap.

    Parameters
    ----------
    days
        Rising.
    series
        One point or None for each day, by series.
    metric
        Name on the axis.
    """
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        figure, axes = figure_of(8.6, 2.7)
        for name, found in series.items():
            _draw_line(axes, days, found, name)
        axes.set_ylabel(metric)
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", color=FAINT, linewidth=0.8)
        _day_axis(axes, days)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, frameon=False, borderaxespad=0)
        return svg_of(figure, f"{metric} over the evaluated days")


def _draw_line(axes: Any, days: Sequence[date], found: Sequence[Point | None], name: str) -> None:
    nan = float("nan")

    def column(field: str) -> list[float]:
        values = [getattr(point, field) if point else None for point in found]
        return [nan if value is None else value for value in values]

    width = 2.2 if name == "lists" else 1.4
    axes.plot(list(days), column("value"), "o-", color=COLOURS[name], linewidth=width, markersize=2 * width, label=LABELS[name])
    axes.fill_between(list(days), column("low"), column("high"), color=COLOURS[name], alpha=0.12, linewidth=0)


def drift_plot(drift: Drift, limit: float, days: Sequence[date], values: Sequence[float | None]) -> str:
    """Draw the parts of the drift signal against the limit, and the signal over the evaluated days."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        figure, (left, right) = figure_of(8.6, 2.3, columns=2)
        parts = {"items met": drift.items, "kinds of events": drift.event_types, "users who came": drift.supports}
        colours = [ALARM if value > limit else COLOURS["lists"] for value in parts.values()]
        bars = left.barh(list(parts), list(parts.values()), color=colours, height=0.55)
        left.bar_label(bars, fmt="%.2f", padding=4)
        left.invert_yaxis()
        left.set_xlim(0, 1.18 * max(limit, *parts.values()))
        left.axvline(limit, color=ALARM, linestyle="--", linewidth=1.2)
        left.set_xlabel("population stability index")
        numbers = [float("nan") if value is None else value for value in values]
        right.plot(list(days), numbers, "o-", color=COLOURS["lists"], markersize=4)
        right.axhline(limit, color=ALARM, linestyle="--", linewidth=1.2, label="limit")
        right.set_ylim(0, 1.35 * max([limit, *(value for value in values if value is not None)]))
        right.legend(loc="upper left", frameon=False)
        right.grid(axis="y", color=FAINT, linewidth=0.8)
        _day_axis(right, days)
        return svg_of(figure, "Parts of the drift signal, and the signal over the evaluated days")


def _day_axis(axes: Any, days: Sequence[date]) -> None:
    step = max(1, -(-len(days) // 8))
    shown = list(days)[::-1][::step][::-1]  # the newest day is always named
    axes.set_xticks(shown, [f"{day.day} {day:%b}" for day in shown])
    if len(days) == 1:
        axes.set_xlim(days[0].toordinal() - 719163 - 1, days[0].toordinal() - 719163 + 1)

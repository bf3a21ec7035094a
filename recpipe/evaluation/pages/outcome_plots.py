"""Charts of outcomes: by cohort, over the evaluated days, and of what drifts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from markupsafe import Markup

from recpipe.evaluation.drift import Drift
from recpipe.reports.charts import GREEN, RED, figure_of, styled, svg_of
from recpipe.reports.marks import Point, draw_dots, draw_lines, legend_above, name_days
from recpipe.reports.series import BESIDE_BASELINES, label


@styled()
def cohort_plot(points: Mapping[tuple[str, str], Point], metric: str) -> Markup:
    """Draw a metric with its interval for each cohort: the lists beside the baselines.

    Parameters
    ----------
    points
        By (cohort, name of `BESIDE_BASELINES`); cohorts from top to bottom.
    metric
        Name on the axis.
    """
    cohorts = {cohort: cohort for cohort, _ in points}
    figure, axes = figure_of(0.62 * len(cohorts) + 1.1)
    draw_dots(axes, points, cohorts, {name: label(name) for name in BESIDE_BASELINES})
    axes.set_xlabel(f"{metric}, mean over users, 95 % interval")
    return svg_of(figure, f"{metric} of each cohort beside the baselines")


@styled()
def trend_plot(days: Sequence[date], series: Mapping[str, Sequence[Point | None]], metric: str) -> Markup:
    """Draw a metric over the evaluated days; days that were not evaluated leave a gap.

    Parameters
    ----------
    days
        Rising.
    series
        One point or None for each day, by name.
    metric
        Name on the axis.
    """
    figure, axes = figure_of(3.0)
    draw_lines(axes, days, series)
    legend_above(axes)
    axes.set_ylabel(metric)
    return svg_of(figure, f"{metric} over the evaluated days")


@styled()
def drift_plot(drift: Drift, limit: float, days: Sequence[date], values: Sequence[float | None]) -> Markup:
    """Draw the parts of the drift signal against the limit, and the signal over the evaluated days."""
    figure, (left, right) = figure_of(2.6, columns=2)
    parts = {"items met": drift.items, "kinds of events": drift.event_types, "users who came": drift.supports}
    bars = left.barh(list(parts), list(parts.values()), color=[RED if v > limit else GREEN for v in parts.values()], height=0.55)
    left.bar_label(bars, fmt="%.2f", padding=4)
    left.invert_yaxis()
    left.set_xlim(0, 1.18 * max(limit, *parts.values()))
    left.axvline(limit, color=RED, linestyle="--", linewidth=1.2)
    left.set_xlabel("population stability index")
    numbers = [float("nan") if value is None else value for value in values]
    right.plot([day.toordinal() for day in days], numbers, "o-", color=GREEN, markersize=4)
    right.axhline(limit, color=RED, linestyle="--", linewidth=1.2, label="limit")
    right.set_ylim(0, 1.35 * max([limit, *(value for value in values if value is not None)]))
    right.grid(axis="y")
    name_days(right, days, most=6)
    right.legend(loc="upper left")
    return svg_of(figure, "Parts of the drift signal, and the signal over the evaluated days")

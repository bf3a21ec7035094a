"""Contents of the page of quality: the newest replay of newcomers, the pooled nights, and curves by cohort."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final

from markupsafe import Markup

from recpipe.airflow.web.page_words import COHORTS
from recpipe.readers.outcome_curves import Curves, Measured, Point, Pooled, Replayed
from recpipe.reports.charts import SOFT, figure_of, styled, svg_of
from recpipe.reports.marks import draw_lines
from recpipe.reports.newcomers import newcomer_svg
from recpipe.reports.series import BASELINES, BESIDE_BASELINES, TOGETHER, label

METRICS: Final = {
    "ndcg": ("nDCG@{k}", "How high in the list stands what users then met: 1 is perfect order."),
    "recall": ("Recall@{k}", "Share of what users newly met that stood among the first {k}."),
    "coverage": ("Coverage@{k}", "Share of the available items that stand in at least one list."),
}
SHOWN: Final = ("all", "zero", "few", "warm")
Series = tuple[tuple[str, tuple[Measured | None, ...]], ...]
"""By name one point or None for each day."""


@dataclass(frozen=True)
class Section:
    """One metric: a chart a cohort."""

    title: str
    about: str
    charts: tuple[tuple[str, Markup], ...]


@dataclass(frozen=True)
class Table:
    """Pooled nights for people: what is pooled, and a row a cohort with a cell a name of lists."""

    title: str
    names: list[str]
    rows: list[tuple[str, list[str]]]


def sections(curves: Curves, k: int) -> list[Section]:
    """Return the charts of every metric that was measured; all cohorts of a metric share one scale."""
    found = []
    for metric, (title, about) in METRICS.items():
        mine = {(cohort, series): points for (name, cohort, series), points in curves.items() if name == metric}
        points = [point for series in mine.values() for point in series]
        if not points:
            continue
        days = tuple(sorted({point.day for point in points}))
        top = max((end for point in points for end in (point.value, point.high) if end is not None), default=0.0)
        charts = []
        for cohort in SHOWN:
            by_day = {name: {point.day: point for point in mine.get((cohort, name), [])} for name in BESIDE_BASELINES}
            series = tuple((name, tuple(map(there.get, days))) for name, there in by_day.items())
            charts.append((COHORTS[cohort], curve_svg(title.format(k=k), COHORTS[cohort], days, series, top or 1.0)))
        found.append(Section(title.format(k=k), about.format(k=k), tuple(charts)))
    return found


@lru_cache(maxsize=64)  # a night changes them once a day
@styled()
def curve_svg(metric: str, cohort: str, days: tuple[date, ...], series: Series, top: float) -> Markup:
    """Return one chart: a line and its band of intervals a series, up to a height that charts share."""
    figure, axes = figure_of(2.4, 3.7)
    if any(point is not None and point.value is not None for _, points in series for point in points):
        draw_lines(axes, days, dict(series), most_days=4)
    else:
        draw_lines(axes, days, {}, most_days=4)
        axes.text(0.5, 0.5, "too few users to say", ha="center", color=SOFT, transform=axes.transAxes)
    axes.set_ylim(0, 1.05 * top)
    axes.set(xlabel="day of the lists", ylabel=metric)
    return svg_of(figure, f"{metric}, {cohort}, over the days of the lists")


@lru_cache(maxsize=4)
def newcomers(replayed: Replayed, k: int) -> Markup:
    """Return the chart of a replay: a dot and its interval for each group and name."""
    cells = {(point.group, point.name): point for point in replayed.points if not point.against}
    groups = list(dict.fromkeys(group for group, _ in cells))
    return newcomer_svg(cells, groups, _ordered(name for _, name in cells), f"nDCG@{k}")


def ratios(replayed: Replayed) -> list[str]:
    """Say how what was trained compares with the baselines where 1 to 10 items are known."""
    said = []
    for point in replayed.points:
        if point.group != TOGETHER or point.against not in BASELINES:
            continue
        if point.value is None or point.low is None:
            said.append(f"{label(point.name)}: {point.users:,} persons are too few to compare it with {label(point.against)}.")
            continue
        high = f"{point.high:.2f}" if point.high is not None else "more"
        said.append(
            f"{label(point.name)}: {point.value:.2f} times {label(point.against)} (95 % interval {point.low:.2f} to {high}, the same "
            f"{point.users:,} persons)."
        )
    return said


def table_of(pooled: Pooled) -> Table:
    """Return the pooled nights of a window."""
    names = _ordered(point.name for point in pooled.points)
    found = {(point.group, point.name): point for point in pooled.points}
    cohorts = list(dict.fromkeys(point.group for point in pooled.points))
    rows = [(COHORTS.get(cohort, cohort), [_cell(found.get((cohort, name))) for name in names]) for cohort in cohorts]
    nights = f"{pooled.nights:,} {'night' if pooled.nights == 1 else 'nights'}"
    return Table(f"The last {pooled.window_days} days of lists: {nights}", [label(name) for name in names], rows)


def _ordered(names: Iterable[str]) -> list[str]:
    """Return whose lists there are, each once: what was trained, then the baselines."""
    found = list(dict.fromkeys(names))
    return [*(name for name in found if name not in BASELINES), *(name for name in BASELINES if name in found)]


def _cell(point: Point | None) -> str:
    users = point.users if point else 0
    persons = f"{users:,} {'person' if users == 1 else 'persons'}"
    if point is None or point.value is None or point.low is None or point.high is None:
        return f"too few ({persons})"
    return f"{point.value:.4f} ({point.low:.4f} to {point.high:.4f}, {persons})"

"""Curves as SVG that stands in a page by itself: colours come from the page's style, so that they follow light and dark."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import Final

from markupsafe import Markup, escape

from recpipe.airflow.web.page_words import COHORTS
from recpipe.readers.outcome_curves import Curves, Measured

SERIES: Final = {"lists": "published lists", "item_knn": "item kNN", "popularity": "popularity"}
METRICS: Final = {
    "ndcg": ("nDCG@{k}", "How high in the list stands what users then met: 1 is perfect order."),
    "recall": ("Recall@{k}", "Share of what users newly met that stood among the first {k}."),
    "coverage": ("Coverage@{k}", "Share of the available items that stand in at least one list."),
}
SHOWN: Final = ("all", "zero", "few", "warm")

WIDTH, HEIGHT = 340, 210
LEFT, RIGHT, TOP, BOTTOM = 50, 10, 10, 38


@dataclass(frozen=True)
class Section:
    """One metric: a chart a cohort."""

    title: str
    about: str
    charts: tuple[tuple[str, Markup], ...]


@dataclass(frozen=True)
class _Scale:
    first: date
    last: date
    step: float
    steps: int

    def x(self, day: date) -> float:
        span = (self.last - self.first).days
        inner = WIDTH - LEFT - RIGHT
        return LEFT + inner * ((day - self.first).days / span if span else 0.5)

    def y(self, value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / (self.step * self.steps))


def sections(curves: Curves, k: int) -> list[Section]:
    """Return the charts of every metric that was measured; all cohorts of a metric share one scale."""
    found = []
    for metric, (title, about) in METRICS.items():
        mine = {(cohort, series): points for (name, cohort, series), points in curves.items() if name == metric}
        if mine:
            scale = _scale([point for points in mine.values() for point in points])
            drawn = tuple(
                (COHORTS[cohort], draw(title.format(k=k), COHORTS[cohort], {s: mine.get((cohort, s), []) for s in SERIES}, scale))
                for cohort in SHOWN
            )
            found.append(Section(title.format(k=k), about.format(k=k), drawn))
    return found


def draw(metric: str, cohort: str, series: dict[str, list[Measured]], scale: _Scale) -> Markup:
    """Return one chart: a line and its band of intervals a series, with axes."""
    parts = [_axes(scale, metric)]
    measured = {name: [p for p in points if p.value is not None] for name, points in series.items()}
    if any(measured.values()):
        parts += [_series(name, measured[name], scale) for name in reversed(series) if measured[name]]
    else:
        parts.append(
            f'<text class="none" x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{(TOP + HEIGHT - BOTTOM) / 2:.0f}">too few users to say</text>'
        )
    label = escape(f"{metric}, {cohort}, over the days of the lists")
    return Markup(f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>')  # noqa: S704  # numbers, and escaped text


def _scale(points: list[Measured]) -> _Scale:
    days = [point.day for point in points]
    highest = max((value for point in points for value in (point.value, point.high) if value is not None), default=1.0)
    step = round_step((highest or 1.0) / 4)
    return _Scale(min(days), max(days), step, math.ceil(round((highest or 1.0) / step, 6)))


def round_step(value: float) -> float:
    """Return the next of 1, 2, 2.5, 5 and 10 times a power of ten, so that the ticks are round.

    >>> round_step(0.028), round_step(0.06), round_step(0.25)
    (0.05, 0.1, 0.25)
    """
    power = 10.0 ** math.floor(math.log10(value))
    return next(round(step * power, 10) for step in (1, 2, 2.5, 5, 10) if step * power >= value * (1 - 1e-9))


def _axes(scale: _Scale, metric: str) -> str:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for step in range(scale.steps + 1):
        value = scale.step * step
        y = scale.y(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick y" x="{LEFT - 6}" y="{y + 3.5:.1f}">{value:.3g}</text>')
    parts += [f'<text class="tick x" x="{scale.x(day):.1f}" y="{bottom + 15}">{day.day} {day:%b}</text>' for day in _ticks(scale)]
    middle = (LEFT + right) / 2
    parts.append(f'<text class="axis" x="{middle:.0f}" y="{HEIGHT - 4}">day of the lists</text>')
    parts.append(f'<text class="axis" transform="translate(9 {(TOP + bottom) / 2:.0f}) rotate(-90)">{escape(metric)}</text>')
    return "".join(parts)


def _ticks(scale: _Scale) -> list[date]:
    span = (scale.last - scale.first).days
    steps = min(3, span)
    return (
        [date.fromordinal(scale.first.toordinal() + round(span * step / steps)) for step in range(steps + 1)]
        if steps
        else [scale.first]
    )


def _series(name: str, points: list[Measured], scale: _Scale) -> str:
    line = " ".join(f"{scale.x(p.day):.1f},{scale.y(p.value or 0):.1f}" for p in points)
    dots = "".join(
        f'<circle cx="{scale.x(p.day):.1f}" cy="{scale.y(p.value or 0):.1f}" r="2.6"><title>{escape(_told(name, p))}</title></circle>'
        for p in points
    )
    return f'<g class="series {name}">{_band(points, scale)}<polyline points="{line}"/>{dots}</g>'


def _band(points: list[Measured], scale: _Scale) -> str:
    known = [(scale.x(p.day), scale.y(p.low), scale.y(p.high)) for p in points if p.low is not None and p.high is not None]
    if len(known) == 1:
        x, low, high = known[0]
        return f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'
    if not known:
        return ""
    edge = [f"{x:.1f},{high:.1f}" for x, _, high in known] + [f"{x:.1f},{low:.1f}" for x, low, _ in reversed(known)]
    return f'<polygon class="band" points="{" ".join(edge)}"/>'


def _told(name: str, point: Measured) -> str:
    between = "" if point.low is None or point.high is None else f" ({point.low:.3f} to {point.high:.3f})"
    return f"{SERIES[name]}, {point.day}: {point.value:.3f}{between}, {point.users:,} users"

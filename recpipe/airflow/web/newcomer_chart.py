"""The service to newcomers: the chart of the newest replay, and the pooled nights as a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup, escape

from recpipe.airflow.web.page_charts import round_step
from recpipe.airflow.web.page_words import COHORTS
from recpipe.readers.outcome_curves import Point, Pooled, Replayed

LABELS: Final = {
    "lists": "published lists",
    "pair_network": "pair network",
    "stack": "stack of closed forms",
    "item_knn": "item kNN",
    "popularity": "popularity",
}
BASELINES: Final = ("item_knn", "popularity")
TOGETHER: Final = "k>=1"
WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 12, 52


def label(name: str) -> str:
    """Return the name of lists for people."""
    return LABELS.get(name, name.replace("_", " "))


def known(group: str) -> str:
    """Say how much was known of a newcomer.

    >>> known("k=0"), known("k=1"), known("k=10"), known("k>=1")
    ('nothing known', '1 item', '10 items', '1 to 10 items')
    """
    if group == TOGETHER:
        return "1 to 10 items"
    return {"k=0": "nothing known", "k=1": "1 item"}.get(group, f"{group[2:]} items")


def names_of(points: tuple[Point, ...]) -> list[str]:
    """Return whose lists there are: what was trained, then the baselines."""
    found = list(dict.fromkeys(point.name for point in points))
    return [*(name for name in found if name not in BASELINES), *(name for name in BASELINES if name in found)]


def draw(replayed: Replayed, k: int) -> Markup:
    """Return the chart: a dot and its interval for each group and name."""
    points = tuple(point for point in replayed.points if not point.against)
    groups, names = list(dict.fromkeys(point.group for point in points)), names_of(points)
    highest = max((end for point in points for end in (point.value, point.high) if end is not None), default=1.0) or 1.0
    step = round_step(highest / 4)
    steps = int(-(-round(highest / step, 6) // 1))
    inner, slot = HEIGHT - TOP - BOTTOM, (WIDTH - LEFT - RIGHT) / max(len(groups), 1)

    def y(value: float) -> float:
        return TOP + inner * (1 - value / (step * steps))

    parts = [_grid(y(step * at), step * at) for at in range(steps + 1)]
    for place, group in enumerate(groups):
        mine = {point.name: point for point in points if point.group == group}
        middle = LEFT + slot * (place + 0.5)
        parts.append(_ticks(middle, group, max(point.users for point in mine.values())))
        if all(point.value is None for point in mine.values()):
            parts.append(f'<text class="none" x="{middle:.1f}" y="{TOP + inner / 2:.1f}">too few</text>')
        for at, name in enumerate(names):
            x = middle + slot * 0.62 * ((at + 0.5) / len(names) - 0.5)
            parts.append(_dot(mine[name], x, y) if name in mine else "")
    title = escape(f"nDCG@{k} of newcomers by how much is known of them")
    return Markup(f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">{"".join(parts)}</svg>')  # noqa: S704  # numbers, and escaped text


def _grid(y: float, value: float) -> str:
    line = f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return f'{line}<text class="tick y" x="{LEFT - 6}" y="{y + 3.5:.1f}">{value:.3g}</text>'


def _ticks(x: float, group: str, users: int) -> str:
    bottom = HEIGHT - BOTTOM
    return (
        f'<text class="x" x="{x:.1f}" y="{bottom + 18}">{escape(known(group))}</text>'
        f'<text class="tick x" x="{x:.1f}" y="{bottom + 34}">{users:,} persons</text>'
    )


def _dot(point: Point, x: float, y: Callable[[float], float]) -> str:
    if point.value is None:
        return ""
    between = whisker = ""
    if point.low is not None and point.high is not None:
        between = f" ({point.low:.4f} to {point.high:.4f})"
        whisker = f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{y(point.low):.1f}" y2="{y(point.high):.1f}"/>'
    told = escape(f"{label(point.name)}, {known(point.group)}: {point.value:.4f}{between}, {point.users:,} persons")
    dot = f'<circle cx="{x:.1f}" cy="{y(point.value):.1f}" r="4"><title>{told}</title></circle>'
    return f'<g class="series dots {escape(point.name)}">{whisker}{dot}</g>'


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


@dataclass(frozen=True)
class Table:
    """Pooled nights for people: what is pooled, and a row a cohort with a cell a name of lists."""

    title: str
    names: list[str]
    rows: list[tuple[str, list[str]]]


def table_of(pooled: Pooled) -> Table:
    """Return the pooled nights of a window."""
    names = names_of(pooled.points)
    found = {(point.group, point.name): point for point in pooled.points}
    cohorts = list(dict.fromkeys(point.group for point in pooled.points))
    rows = [(COHORTS.get(cohort, cohort), [_cell(found.get((cohort, name))) for name in names]) for cohort in cohorts]
    nights = f"{pooled.nights:,} {'night' if pooled.nights == 1 else 'nights'}"
    return Table(f"The last {pooled.window_days} days of lists: {nights}", [label(name) for name in names], rows)


def _cell(point: Point | None) -> str:
    users = point.users if point else 0
    persons = f"{users:,} {'person' if users == 1 else 'persons'}"
    if point is None or point.value is None or point.low is None or point.high is None:
        return f"too few ({persons})"
    return f"{point.value:.4f} ({point.low:.4f} to {point.high:.4f}, {persons})"

"""The page about one evaluated day: what became of the lists, beside the baselines, with how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from markupsafe import Markup

from recpipe.config.settings import Settings
from recpipe.evaluation.outcomes import ALL, DRIFT, GROUPS, Outcomes, of_lists, value_of
from recpipe.evaluation.pages.fairness_page import who_is_served, who_is_shown
from recpipe.evaluation.pages.outcome_plots import cohort_plot, drift_plot, trend_plot
from recpipe.lake.lake import Lake
from recpipe.reports.marks import Point, point_of
from recpipe.reports.numbers import Cell, cell_of
from recpipe.reports.render import render, write_page
from recpipe.reports.series import BASELINES, BESIDE_BASELINES, LABELS

TREND_DAYS: Final = 60
COHORT_NAMES: Final = {"all": "all users", "zero": "zero: no event yet", "few": "few: new, few items", "warm": "warm: long known"}
FORMS: Final = {"ndcg": ".4f", "recall": ".4f", "hit_rate": ".4f", "coverage": ".1%", "novelty": ".2f"}
"""The metrics of the table, and how each is written."""

Row = dict[str, Any]


def write_report(settings: Settings, found: Outcomes, warnings: Sequence[str]) -> Path:
    """Write the page of a day, whole or not at all, and return its path. It holds no user id and loads nothing."""
    page = report_page(settings, found, warnings, _history(settings, found.day))
    return write_page(settings.places.reports / f"outcomes-{found.day}.html", page)


def report_page(settings: Settings, found: Outcomes, warnings: Sequence[str], history: Mapping[date, list[Row]]) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    settings
        Cut-off, limits, fewest users.
    found
        What was measured.
    warnings
        Sentences.
    history
        Rows of ``outcomes`` of the evaluated days up to this one, by day.
    """
    rows, groups, k = found.rows.to_pylist(), found.groups.to_pylist(), settings.evaluation.metric_k
    drift = [next((row["value"] for row in each if row["metric"] == DRIFT), None) for each in history.values()]
    return render(
        "outcomes.html",
        settings=settings.evaluation,
        found=found,
        warnings=warnings,
        listed=value_of(rows, ALL, f"coverage@{k}", found.model_version),
        measured=value_of(rows, ALL, f"ndcg@{k}", found.model_version),
        tiles=_tiles(found, rows, k),
        cohorts=_cohorts(rows, k),
        nights=_nights(found, k),
        pooled=_pooled(found, k),
        trend=_trend(history, k),
        drift=drift_plot(found.drift, settings.evaluation.max_drift, list(history), drift),
        shown=who_is_shown(settings.evaluation, groups),
        served=who_is_served(settings.evaluation, groups),
        lines=_lines(rows, k),
        labels=LABELS,
        since=found.lists_day + timedelta(days=1),
        inputs=sorted(found.inputs, key=lambda entry: (entry.table, entry.first_day, entry.last_day)),
    )


def _history(settings: Settings, day: date) -> dict[date, list[Row]]:
    """Return the rows of the evaluated days up to a day, oldest first."""
    rows = Lake.from_settings(settings).reader().read("outcomes", day - timedelta(days=TREND_DAYS - 1), day)
    by_day: dict[date, list[Row]] = {}
    for row in of_lists(rows).to_pylist():
        by_day.setdefault(row["day"], []).append(row)
    return dict(sorted(by_day.items()))


def _tiles(found: Outcomes, rows: list[Row], k: int) -> list[tuple[str, Cell]]:
    """Return the numbers that lead the page, each with its name; none where no list was published."""
    mine = {metric: value_of(rows, ALL, metric, found.model_version) for metric in (f"ndcg@{k}", f"coverage@{k}", DRIFT)}
    popular = value_of(rows, ALL, f"ndcg@{k}", "popularity")
    if None in (mine[f"ndcg@{k}"], popular, mine[f"coverage@{k}"]):
        return []
    return [
        (f"nDCG@{k} of the lists", cell_of(mine[f"ndcg@{k}"], ".4f")),
        (f"nDCG@{k} of popularity", cell_of(popular, ".4f")),
        ("of the catalogue shown", cell_of(mine[f"coverage@{k}"], ".1%")),
        ("drift signal", cell_of(mine[DRIFT], ".2f")),
    ]


def _cohorts(rows: list[Row], k: int) -> Markup:
    found = _by_series(rows)
    points = {
        (f"{cohort} ({_users(rows, cohort, f'ndcg@{k}'):,})", series): point_of(row)
        for cohort in GROUPS
        for series in BESIDE_BASELINES
        if (row := found.get((cohort, f"ndcg@{k}", series))) is not None
    }
    return cohort_plot(points, f"nDCG@{k}")


def _nights(found: Outcomes, k: int) -> dict[int, int]:
    """Return how many nights had a measured newcomer, by the window in days of lists; empty where nights were not pooled."""
    nights: dict[int, int] = {}
    for row in _pooled_rows(found, k):
        nights[row["window_days"]] = max(nights.get(row["window_days"], 0), row["nights"])
    return nights


def _pooled(found: Outcomes, k: int) -> Markup:
    points = {
        (f"{row['cohort']}, {row['window_days']} days ({row['users']:,})", row["name"]): point_of(row)
        for row in _pooled_rows(found, k)
        if row["name"] in BESIDE_BASELINES
    }
    return cohort_plot(points, f"nDCG@{k}") if points else Markup()


def _pooled_rows(found: Outcomes, k: int) -> list[Row]:
    rows = [] if found.pooled is None else found.pooled.to_pylist()
    return [row for row in rows if row["metric"] == f"pooled_ndcg@{k}"]


def _trend(history: Mapping[date, list[Row]], k: int) -> Markup:
    nights = [_by_series(rows) for rows in history.values()]
    series: dict[str, list[Point | None]] = {
        name: [point_of(rows[ALL, f"ndcg@{k}", name]) if (ALL, f"ndcg@{k}", name) in rows else None for rows in nights]
        for name in BESIDE_BASELINES
    }
    return trend_plot(list(history), series, f"nDCG@{k}, all users")


def _lines(rows: list[Row], k: int) -> list[tuple[str, str, str, list[Cell]]]:
    """Return the lines of the table: cohort, whose lists, users, and a cell a metric."""
    found = _by_series(rows)
    return [
        (
            "" if place else COHORT_NAMES[cohort],
            series,
            f"{_users(rows, cohort, f'ndcg@{k}'):,}",
            [cell_of(found.get((cohort, f"{name}@{k}", series)), form) for name, form in FORMS.items()],
        )
        for cohort in GROUPS
        for place, series in enumerate(BESIDE_BASELINES)
    ]


def _users(rows: list[Row], cohort: str, metric: str) -> int:
    return max((row["users"] for row in rows if row["cohort"] == cohort and row["metric"] == metric), default=0)


def _by_series(rows: list[Row]) -> dict[tuple[str, str, str], Row]:
    """Return rows by cohort, metric and whose lists they are about; the published ones are whatever is no baseline."""
    first: dict[tuple[str, str, str], Row] = {}
    for row in rows:
        first.setdefault((row["cohort"], row["metric"], row["name"] if row["name"] in BASELINES else "lists"), row)
    return first

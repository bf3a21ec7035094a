"""The outcomes of the lists of a day: the rows of ``outcomes``, beside popularity and item kNN on the same users."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.contract import COHORTS, OUTCOMES, RECOMMENDATIONS
from recpipe.dataset.as_of import Known, read_known
from recpipe.dataset.cohorts import UserDay, users_of
from recpipe.days import ONE_DAY, days_between
from recpipe.errors import MissingDay
from recpipe.evaluation.drift import Drift, measure_drift
from recpipe.evaluation.exploration_value import logged, measured
from recpipe.evaluation.fairness import Shown, measure_groups
from recpipe.evaluation.newcomer_outcomes import LISTS, Listed, newcomer_rows
from recpipe.evaluation.ranked_lists import Published, published, rank_lists
from recpipe.evaluation.truth import new_items, seen_items
from recpipe.lake.day_record import Input
from recpipe.lake.lake import Lake
from recpipe.lake.reader import Reader
from recpipe.metrics.beyond_accuracy import coverage, novelty
from recpipe.metrics.intervals import Gain, Interval, mean_interval, paired_gain, seed_of
from recpipe.metrics.ndcg import ndcg
from recpipe.metrics.ranking import Truth, hit_rate, hits, recall
from recpipe.models.item_knn import ItemKNN
from recpipe.models.popularity import Popularity
from recpipe.pipeline.task_outcomes import outcome_row
from recpipe.ranking.exposure import Quotas, read_quotas
from recpipe.rules.day_rules import DayRules, day_rules
from recpipe.rules.load import read_rules

log = logging.getLogger(__name__)

ALL: Final = "all"
GROUPS: Final = (ALL, *COHORTS)
DRIFT: Final = "drift"
BASELINES: Final = (Popularity(), ItemKNN())


@dataclass(frozen=True)
class Outcomes:
    """What was measured of one day's lists.

    Attributes
    ----------
    day, lists_day
        Last day of the behaviour, day of the lists.
    model_version
        Version that made the lists.
    rows
        Rows of the table ``outcomes`` that speak of all items and users.
    groups
        Its rows that speak of groups (`recpipe.evaluation.fairness`).
    drift
        Parts of the drift signal.
    gain
        nDCG of the lists over that of popularity, paired over all users measured.
    newcomers
        Rows of the table ``newcomer_outcomes``: what each measured user of the cohorts zero and few got.
    inputs
        What was read.
    pooled
        Rows of ``outcomes`` that pool nights; None until these nights were read (`recpipe.evaluation.pooled`).
    """

    day: date
    lists_day: date
    model_version: str
    rows: pa.Table
    groups: pa.Table
    drift: Drift
    gain: Gain
    newcomers: pa.Table
    inputs: tuple[Input, ...]
    pooled: pa.Table | None = None


@dataclass(frozen=True)
class _Case:
    """Everything that the metrics of a day are made from; users are those with a list."""

    settings: Settings
    day: date
    known: Known
    made: Published
    truth: Truth

    @property
    def k(self) -> int:
        return self.settings.evaluation.metric_k


def measure_day(settings: Settings, day: date) -> Outcomes:
    """Measure the lists of ``day`` − ``settings.evaluation.horizon_days`` by what users newly met since, up to ``day``.

    Raises
    ------
    MissingDay
        If the lists, or the events of one of the days since, are not published.
    """
    lists_day = day - timedelta(days=settings.evaluation.horizon_days)
    lake = Lake.from_settings(settings)
    lake.require("recommendations", lists_day)
    require_events(lake, lists_day, day)
    reader = lake.reader()
    known = read_known(reader, settings, lists_day)
    users = users_of(known, settings, lists_day)
    item_ids = known.evidence.catalogue.item_ids
    lists_rows = reader.read("recommendations", lists_day, lists_day)
    made = published(lists_rows, item_ids, settings.evaluation.metric_k)
    rows, made = _known_users(made, users)
    truth = _of_rows(new_items(reader, users, item_ids, lists_day + ONE_DAY, day), rows)
    case = _Case(settings, day, known, made, truth)
    drift = measure_drift(reader, known.evidence, users, settings, lists_day, day)
    ours, catalogue = read_rules(settings), known.evidence.catalogue
    people = users.user_ids, users.person_ids
    rules = day_rules(ours, reader, lists_day, catalogue.item_ids, catalogue.categories, *people)
    quotas = read_quotas(settings, known.evidence, rules.categories, reader, lists_day)
    lists = dict(_all_lists(case, users, rows, rules, quotas))
    found = [*_measured(case, lists), _drift_row(case, drift), *_explored(case, lists_rows)]
    table = pa.Table.from_pylist(
        [outcome_row(settings.evaluation, RECOMMENDATIONS.name, day, *entry) for entry in found], schema=OUTCOMES.schema
    )
    groups = _of_groups(case, lists_day, rules.categories, reader)
    newcomers = _of_newcomers(case, users.support.k[rows], lists)
    return Outcomes(day, lists_day, made.model_version, table, groups, drift, _gain(case, lists), newcomers, _inputs(reader))


def require_events(lake: Lake, lists_day: date, day: date) -> None:
    """Require that the events of every day after ``lists_day``, up to ``day``, are published; MissingDay if not."""
    complete = {record.day for record in lake.days("events") if record.complete}
    missing = [since for since in days_between(lists_day + ONE_DAY, day) if since not in complete]
    if missing:
        raise MissingDay(
            f"The lists of {lists_day} cannot be judged by {day}: events of {missing[0]} are not published. Run the DAG "
            f"ingest_clickstream for {missing[0]} first."
        )


def _known_users(made: Published, users: UserDay) -> tuple[NDArray[np.intp], Published]:
    """Return the rows of the listed users among all of the day; who was taken back by a correction is left out."""
    row = np.searchsorted(users.user_ids, made.user_ids) if len(users) else np.zeros(len(made.user_ids), np.intp)
    row = np.minimum(row, max(len(users) - 1, 0))
    keep = users.user_ids[row] == made.user_ids if len(users) else np.zeros(len(row), bool)
    return row[keep], Published(made.user_ids[keep], made.cohort[keep], made.lists[keep], made.model_version)


def _of_rows(truth: Truth, rows: NDArray[np.intp]) -> Truth:
    """Return the truth of some users; rows rise, as ids are sorted on both sides."""
    keep = np.zeros(len(truth), bool)
    keep[rows] = True
    return truth.rows(keep)


def _all_lists(
    case: _Case, users: UserDay, rows: NDArray[np.intp], rules: DayRules, quotas: Quotas | None
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield (name, lists): those that were published, and those of the baselines for the same users."""
    seen = seen_items(users)
    yield case.made.model_version, case.made.lists
    for learner in BASELINES:
        yield learner.name, rank_lists(learner, case.known.evidence, users, rows, seen, case.settings, rules, quotas)


_Entry = tuple[str, str, str, Interval]


def _measured(case: _Case, found: dict[str, NDArray[np.int64]]) -> Iterator[_Entry]:
    """Yield (cohort, metric, name, interval) of every metric, name and cohort."""
    evidence = case.known.evidence
    events = np.bincount(evidence.popularity_item, minlength=len(evidence.catalogue))
    taken = case.truth.size
    for name, lists in found.items():
        hit = hits(lists, case.truth)
        by_user = _quality(hit, taken, case.k) | {"novelty": novelty(lists, case.k, events)}
        for cohort in GROUPS:
            mine = np.ones(len(lists), bool) if cohort == ALL else case.made.cohort == cohort
            for metric, values in by_user.items():
                yield cohort, f"{metric}@{case.k}", name, _interval(case, values[mine], cohort, metric)
            yield cohort, f"coverage@{case.k}", name, _coverage(case, lists[mine])


def _quality(hit: NDArray[np.bool_], taken: NDArray[np.int64], k: int) -> dict[str, NDArray[np.float64]]:
    return {"ndcg": ndcg(hit, taken, k), "recall": recall(hit, taken, k), "hit_rate": hit_rate(hit, taken, k)}


def _of_groups(case: _Case, lists_day: date, categories: Sequence[tuple[str, ...]], reader: Reader) -> pa.Table:
    """Return what is said of groups of items and of users, of the published lists alone."""
    quality = _quality(hits(case.made.lists, case.truth), case.truth.size, case.k)
    shown = Shown(case.settings, case.day, lists_day, case.known.evidence, categories, case.made, case.truth, quality)
    rows = [
        outcome_row(case.settings.evaluation, RECOMMENDATIONS.name, case.day, ALL, row.metric, case.made.model_version, row.found)
        | {"group": row.group}
        for row in measure_groups(shown, reader)
    ]
    return pa.Table.from_pylist(rows, schema=OUTCOMES.schema)


def _of_newcomers(case: _Case, k: NDArray[np.int64], found: dict[str, NDArray[np.int64]]) -> pa.Table:
    """Return what each measured user of the cohorts zero and few got, from the published list and from the baselines."""
    taken, made = case.truth.size, case.made
    quality = {
        LISTS if name == made.model_version else name: _quality(hits(lists, case.truth), taken, case.k)
        for name, lists in found.items()
    }
    listed = Listed(made.user_ids, made.cohort, k, taken)
    return newcomer_rows(case.settings.evaluation, case.day, listed, quality)


def _gain(case: _Case, found: dict[str, NDArray[np.int64]]) -> Gain:
    """Return how much better the lists are than popularity for the same users."""
    taken, settings = case.truth.size, case.settings
    mine, popular = (
        ndcg(hits(found[name], case.truth), taken, case.k)[taken > 0] for name in (case.made.model_version, BASELINES[0].name)
    )
    return paired_gain(
        mine,
        popular,
        settings.evaluation.bootstrap_draws,
        seed_of(settings.training.seed, case.day, "gain"),
        settings.evaluation.min_users,
    )


def _interval(case: _Case, values: NDArray[np.float64], cohort: str, metric: str) -> Interval:
    """Return the interval of a metric; the name has no part in the seed, so that equal lists have equal intervals."""
    settings = case.settings
    rng = seed_of(settings.training.seed, case.day, cohort, metric)
    return mean_interval(values, settings.evaluation.bootstrap_draws, rng, settings.evaluation.min_users)


def _coverage(case: _Case, lists: NDArray[np.int64]) -> Interval:
    """Return coverage, without an interval: users drawn with replacement can only show fewer items than all of them do."""
    if len(lists) < max(case.settings.evaluation.min_users, 1):
        return Interval(None, None, None, len(lists))
    items = int(case.known.evidence.catalogue.available.sum())
    return Interval(coverage(lists, case.k, items), None, None, len(lists))


def _drift_row(case: _Case, drift: Drift) -> _Entry:
    enough = drift.users >= case.settings.evaluation.min_users
    return ALL, DRIFT, case.made.model_version, Interval(drift.value if enough else None, None, None, drift.users)


def _explored(case: _Case, lists: pa.Table) -> Iterator[_Entry]:
    """Yield what the published lists' draws of new items came to."""
    rows = logged(lists, case.made.user_ids, case.known.evidence.catalogue.item_ids, case.truth)
    for cohort, metric, interval in measured(rows, case.made.cohort, case.day, case.settings):
        yield cohort, metric, case.made.model_version, interval


def _inputs(reader: Reader) -> tuple[Input, ...]:
    return tuple(dict.fromkeys(reader.inputs))


def of_lists(rows: pa.Table) -> pa.Table:
    """Return the rows of ``outcomes`` that speak of one night's lists and of no group; those published before the columns were added do."""
    lists = pc.equal(pc.fill_null(rows["table"], RECOMMENDATIONS.name), RECOMMENDATIONS.name)
    return rows.filter(pc.and_(lists, pc.and_(pc.is_null(rows["group"]), pc.is_null(rows["window_days"]))))


def value_of(rows: Sequence[dict[str, Any]], cohort: str, metric: str, name: str) -> dict[str, Any] | None:
    """Return the row of ``outcomes`` of a cohort, metric and name; None if there is none."""
    for row in rows:
        if (row["cohort"], row["metric"], row["name"]) == (cohort, metric, name):
            return row
    return None

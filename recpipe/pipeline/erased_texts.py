"""The check of a published day for erased users, and their words where no id is beside them: quotes and searches.

Tables that quote carry no user, so the question is turned round: what no event stands for any more goes. That holds
whoever was erased and whenever an erasure was stopped. A quote of a day that was delivered anew since goes too, as nobody
can say whose it was; that day is stale anyway.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import date
from functools import partial
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from recpipe.config.settings import Settings
from recpipe.contract import EVENTS, ITEM_DIGESTS, REVIEW_INSIGHTS, SEARCH_RECOMMENDATIONS
from recpipe.lake.erased_rows import (
    READING,
    USER_TABLES,
    Removed,
    by_day,
    drop_history,
    remove_rows,
    remove_users,
    rewrite,
    users_in,
)
from recpipe.lake.lake import Lake
from recpipe.lake.tombstones import erased_users

log = logging.getLogger(__name__)


def check_published(settings: Settings, table: str, days: Sequence[date]) -> bool:
    """Take erased users out of days that were just published from something that was read before they were erased.

    To be called after the commit: the list is written before an erasure looks through the tables, so either it finds the
    rows of the commit there, or this finds the users in the list. Costs nothing while nobody was ever erased.

    Returns
    -------
    bool
        Whether rows were taken out.
    """
    erased = erased_users(settings)
    if not erased or not days:
        return False
    lake = Lake.from_settings(settings)
    removed = Removed()
    if table in USER_TABLES:
        removed = remove_users(lake, table, users_in(lake, table, erased, days))
    elif table in TEXT_TABLES:
        removed = remove_texts(lake, table, days)
    # also where nothing is left to remove: an erasure may have done so between the commit and the register's row
    lake.recount(table, () if removed.anything else days)
    if not removed.anything:
        return False
    drop_history(lake, table)
    log.warning(
        "%s of %s held %d rows of users who were erased while it was made: they are out again.", table, days[0], removed.rows
    )
    return True


TEXT_TABLES: Final = (REVIEW_INSIGHTS.name, ITEM_DIGESTS.name, SEARCH_RECOMMENDATIONS.name)
"""Tables that hold words of users under no user id."""


QUOTES: Final = {"praise_event_id": "praise", "complaint_event_id": "complaint"}


def remove_texts(lake: Lake, table: str, days: Sequence[date] = ()) -> Removed:
    """Take out of a table of `TEXT_TABLES`, or of some of its days, what no event stands for any more."""
    if lake.delta(table) is None:
        return Removed()
    return {
        REVIEW_INSIGHTS.name: _remove_insights,
        ITEM_DIGESTS.name: _blank_quotes,
        SEARCH_RECOMMENDATIONS.name: _remove_searches,
    }[table](lake, days)


def _remove_insights(lake: Lake, days: Sequence[date]) -> Removed:
    removed = Removed()
    known = _pairs(lake, EVENTS.name, "event_id", _of(days, ds.field("event_type") == "review"))
    lone = _pairs(lake, REVIEW_INSIGHTS.name, "event_id", _of(days)) - known
    for day, ids in by_day(sorted(lone)).items():
        _remove_of_day(lake, REVIEW_INSIGHTS.name, day, "event_id", ids, removed)
    return removed


def _blank_quotes(lake: Lake, days: Sequence[date]) -> Removed:
    """Take quotes out of digests; the counts, which are of all reviewers of an item, stay."""
    removed = Removed()
    for column, quote in QUOTES.items():
        lone = pa.array(sorted(_lone_quotes(lake, column, days)), pa.string())
        if len(lone):
            make = partial(_without_quotes, column=column, quote=quote, lone=lone)
            rewrite(lake, ITEM_DIGESTS.name, ds.field(column).isin(lone), make, removed)
    return removed


def _without_quotes(
    dataset: ds.Dataset, days: ds.Expression, *, column: str, quote: str, lone: pa.Array
) -> Iterator[pa.RecordBatch]:
    for batch in dataset.scanner(filter=days, **READING).to_batches():
        gone = pc.is_in(batch[column], lone)
        for name in (column, quote):
            place = batch.schema.get_field_index(name)
            batch = batch.set_column(place, batch.schema.field(name), pc.if_else(gone, pa.scalar(None, pa.string()), batch[name]))
        yield batch


def _lone_quotes(lake: Lake, column: str, days: Sequence[date]) -> set[str]:
    return {one for _, one in _pairs(lake, ITEM_DIGESTS.name, column, _of(days))} - {
        one for _, one in _pairs(lake, EVENTS.name, "event_id", ds.field("event_type") == "review")
    }


def _remove_searches(lake: Lake, days: Sequence[date]) -> Removed:
    removed = Removed()
    for day, texts in _lone_searches(lake, days).items():
        _remove_of_day(lake, SEARCH_RECOMMENDATIONS.name, day, "query", texts, removed)
    return removed


def _lone_searches(lake: Lake, days: Sequence[date]) -> dict[date, list[str]]:
    from recpipe.text.queries import normalise

    listed = _pairs(lake, SEARCH_RECOMMENDATIONS.name, "query", _of(days))
    if not listed:
        return {}
    typed = _pairs(lake, EVENTS.name, "query", _of(days, ds.field("event_type") == "search"))
    return by_day(sorted(listed - {(day, normalise(text)) for day, text in typed}))


def _of(days: Sequence[date], only: ds.Expression | None = None) -> ds.Expression | None:
    if not days:
        return only
    there = ds.field("day").isin(list(days))
    return there if only is None else there & only


def _pairs(lake: Lake, table: str, column: str, only: ds.Expression | None = None) -> set[tuple[date, str]]:
    """Return the values of a column by day, each once; null is none."""
    delta, found = lake.delta(table), set[tuple[date, Any]]()
    if delta is None:
        return found
    where = ds.field(column).is_valid() if only is None else only & ds.field(column).is_valid()
    for batch in lake.dataset(delta, table).to_batches(columns=["day", column], filter=where):
        found.update(zip(batch["day"].to_pylist(), batch[column].to_pylist(), strict=True))
    return found


def _remove_of_day(lake: Lake, table: str, day: date, column: str, values: list[str], removed: Removed) -> None:
    remove_rows(lake, table, (ds.field("day") == day) & ds.field(column).isin(values), removed)

"""What erased users wrote, where it stands without their id: quotes of reviews, texts of searches, vectors of both.

Tables that quote carry no user, so the question is turned round: what no event stands for any more goes. That holds
whoever was erased and whenever an erasure was stopped. A quote of a day that was delivered anew since goes too, as nobody
can say whose it was; that day is stale anyway.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence, Set
from datetime import date
from functools import partial
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from recpipe.config import Settings
from recpipe.contract import EVENTS, ITEM_DIGESTS, REVIEW_INSIGHTS, SEARCH_RECOMMENDATIONS
from recpipe.lake import Lake
from recpipe.privacy.erased_rows import READING, Removed, by_day, remove_rows, rewrite

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


# --- reviews


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


# --- searches


def _remove_searches(lake: Lake, days: Sequence[date]) -> Removed:
    removed = Removed()
    for day, texts in _lone_searches(lake, days).items():
        _remove_of_day(lake, SEARCH_RECOMMENDATIONS.name, day, "query", texts, removed)
    return removed


def _lone_searches(lake: Lake, days: Sequence[date]) -> dict[date, list[str]]:
    from recpipe.tasks.wishes import normalise

    listed = _pairs(lake, SEARCH_RECOMMENDATIONS.name, "query", _of(days))
    if not listed:
        return {}
    typed = _pairs(lake, EVENTS.name, "query", _of(days, ds.field("event_type") == "search"))
    return by_day(sorted(listed - {(day, normalise(text)) for day, text in typed}))


# --- vectors


def vector_keys(settings: Settings, lake: Lake, users: Set[str]) -> set[bytes]:
    """Return the keys under which the encoder's cache holds what users typed and wrote, whole and in parts.

    Has to be asked before the events of the users go: the cache holds no text.
    """
    delta = lake.delta(EVENTS.name)
    if delta is None or not users:
        return set()
    rows = lake.dataset(delta, EVENTS.name).to_table(
        columns=["query", "text"], filter=ds.field("user_id").isin(sorted(users))
    )  # fmt: skip
    texts = {*_of_searches(settings, _values(rows["query"])), *_of_reviews(_values(rows["text"]))}
    return {hashlib.sha256(text.encode()).digest() for text in texts}


def _of_searches(settings: Settings, queries: Iterable[str]) -> Iterator[str]:
    from recpipe.tasks.search_words import load_words
    from recpipe.tasks.wishes import normalise, read_wish

    words = load_words(settings)
    for query in queries:
        listed = normalise(query)
        yield from (query, listed, read_wish(listed, words).rest)


def _of_reviews(texts: Iterable[str]) -> Iterator[str]:
    from recpipe.tasks.aspects import clauses

    for text in texts:
        yield text
        yield from (text[start:end] for start, end in clauses(text))


# --- reading


def _values(column: pa.ChunkedArray) -> list[str]:
    return [text for text in column.unique().to_pylist() if text]


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

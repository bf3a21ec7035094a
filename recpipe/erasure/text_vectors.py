"""Vectors of texts of erased users, by the keys of the encoder's cache."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Set

import pyarrow as pa
import pyarrow.dataset as ds

from recpipe.config.table_settings import SearchSettings
from recpipe.contract import EVENTS
from recpipe.lake.lake import Lake


def vector_keys(searches: SearchSettings, lake: Lake, users: Set[str]) -> set[bytes]:
    """Return the keys under which the encoder's cache holds what users typed and wrote, whole and in parts.

    Has to be asked before the events of the users go: the cache holds no text.
    """
    delta = lake.delta(EVENTS.name)
    if delta is None or not users:
        return set()
    rows = lake.dataset(delta, EVENTS.name).to_table(
        columns=["query", "text"], filter=ds.field("user_id").isin(sorted(users))
    )  # fmt: skip
    texts = {*_of_searches(searches, _values(rows["query"])), *_of_reviews(_values(rows["text"]))}
    return {hashlib.sha256(text.encode()).digest() for text in texts}


def _of_searches(searches: SearchSettings, queries: Iterable[str]) -> Iterator[str]:
    from recpipe.tables.search.search_words import load_words
    from recpipe.tables.search.wishes import read_wish
    from recpipe.text.queries import normalise

    words = load_words(searches)
    for query in queries:
        listed = normalise(query)
        yield from (query, listed, read_wish(listed, words).rest)


def _of_reviews(texts: Iterable[str]) -> Iterator[str]:
    from recpipe.tables.reviews.aspects import clauses

    for text in texts:
        yield text
        yield from (text[start:end] for start, end in clauses(text))


def _values(column: pa.ChunkedArray) -> list[str]:
    return [text for text in column.unique().to_pylist() if text]

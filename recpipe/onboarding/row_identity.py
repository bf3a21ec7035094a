"""The identity of an event: a delivered id, columns that are one together, or all that was delivered of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from recpipe.onboarding.guesses.name_scores import bare
from recpipe.onboarding.proposal import Line
from recpipe.onboarding.table_choice import Chosen

PLACES: Final = (
    "lineno",
    "linenumber",
    "line",
    "lineid",
    "position",
    "pos",
    "seq",
    "sequence",
    "rowno",
    "itemno",
    "lineitem",
    "orderitem",
)
"""Names of columns that count the lines of an order."""


def identity(events: Chosen, scratch: Path) -> Line:
    """Return what identifies an event, counted over all rows."""
    rows = events.sample.source.rows
    own = events.delivered("event_id")
    if own:
        return Line(
            "event_id_from",
            None,
            f"{own} is the id of an event: {_different(events, [own], scratch):,} different in {rows:,} rows",
        )
    order = events.delivered("order_id")
    for place in (column.name for column in events.sample.columns if bare(column.name) in PLACES and order):
        if (different := _different(events, [order, place], scratch)) >= 0.999 * rows:
            return Line(
                "event_id_from", [order, place], f"{order} and {place} together come {different:,} times in {rows:,} rows"
            )
    names = [column.name for column in events.sample.columns if "." not in column.name]
    alike = rows - _different(events, names, scratch)
    question = (
        f"Are {alike:,} rows that are alike in every column copies? They count once; deliver an event_id if they are not."
        if alike
        else ""
    )
    return Line(
        "event_id_from",
        None,
        f"no id is delivered: all of its columns make an event, and {alike:,} of {rows:,} rows are alike",
        question,
    )


def _different(events: Chosen, names: Sequence[str], scratch: Path) -> int:
    """Count different values of some columns over all rows; what does not fit into memory goes to disk."""
    import duckdb

    told = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": "512MiB",
        "temp_directory": str(scratch),
        "threads": 2,
    }
    with duckdb.connect(":memory:", config=config) as connection:
        connection.execute("SET enable_progress_bar = false")
        files = [str(file) for file in events.sample.source.files]
        query = f"SELECT COUNT(DISTINCT hash({told})) FROM read_parquet(?, union_by_name = true, hive_partitioning = false)"  # noqa: S608
        found = connection.execute(query, [files]).fetchone()
    return int(found[0]) if found else 0

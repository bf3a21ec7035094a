"""One pass over all events: which days, hours and kinds there are, and when each item and user is first met."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.config.shop_settings import ShopSettings
from recpipe.onboarding.sample_rows import Shape, read_rows
from recpipe.onboarding.sources import Source

TOLD: Final = ("title", "category", "brand", "description")
"""Columns of items that a log may bring along."""
MOST_PARTS: Final = 16


@dataclass
class Survey:
    """What a pass over a log has counted.

    Attributes
    ----------
    rows
        Events.
    days
        Events by day of the shop.
    hours
        (24,) events by hour of the shop's clock.
    without_time, not_utf8, without_user
        Events whose time cannot be read or is missing; that hold text that is not UTF-8; of nobody.
    kinds
        Events by delivered type.
    ratings
        Lowest and highest rating; None if there are none.
    items, users
        Id -> first day, as a table of ``id`` and ``day``.
    """

    rows: int = 0
    days: Counter[date] = field(default_factory=Counter)
    hours: NDArray[np.int64] = field(default_factory=lambda: np.zeros(24, dtype=np.int64))
    without_time: int = 0
    not_utf8: int = 0
    without_user: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    ratings: tuple[float, float] | None = None
    items: pa.Table = field(default_factory=lambda: _first_days([]))
    users: pa.Table = field(default_factory=lambda: _first_days([]))

    @property
    def first(self) -> date:
        """The first day."""
        return min(self.days)

    @property
    def last(self) -> date:
        """The last day."""
        return max(self.days)


def survey(settings: Settings, source: Source, shape: Shape, kind: str, say: Callable[[int], None] = lambda rows: None) -> Survey:
    """Pass over all events of a source.

    Parameters
    ----------
    settings
        As proposed: columns, zone.
    source, shape
        The log.
    kind
        The delivered column of event types; empty if there is none.
    say
        Told the rows of each batch, for a progress bar.
    """
    found = Survey()
    items: list[pa.Table] = []
    users: list[pa.Table] = []
    for rows in read_rows(settings, "events", source, shape):
        columns = rows.columns
        found.rows += len(rows)
        found.not_utf8 += int(np.logical_or.reduce(list(rows.not_utf8.values())).sum()) if rows.not_utf8 else 0
        local = local_times(columns["ts"], settings.shop)
        days = local.cast(pa.date32(), safe=False)
        _count(found, columns, local, days)
        for one in pc.value_counts(columns["event_type"].drop_null()).to_pylist() if kind else ():
            found.kinds[str(one["values"])] += one["counts"]
        items = _joined(items, _pairs(columns["item_id"], days))
        users = _joined(users, _pairs(columns["user_id"], days))
        say(len(rows))
    found.items, found.users = _first_days(items), _first_days(users)
    return found


def local_times(times: pa.Array, shop: ShopSettings) -> pa.Array:
    """Return instants as times of the shop's clock."""
    return pc.local_timestamp(times.cast(pa.timestamp("us", shop.zone.key)))


def _count(found: Survey, columns: dict[str, pa.Array], local: pa.Array, days: pa.Array) -> None:
    for one in pc.value_counts(days.drop_null()).to_pylist():
        found.days[one["values"]] += one["counts"]
    found.hours += np.bincount(pc.hour(local.drop_null()).to_numpy(), minlength=24)
    found.without_time += days.null_count
    found.without_user += columns["user_id"].null_count
    ends = pc.min_max(columns["rating"]).as_py()
    if ends["min"] is not None:
        low, high = found.ratings or (ends["min"], ends["max"])
        found.ratings = min(low, ends["min"]), max(high, ends["max"])


def _pairs(ids: pa.Array, days: pa.Array) -> pa.Table:
    pairs = pa.table({"id": ids, "day": days})
    return pairs.filter(pc.and_(pc.is_valid(pairs["id"]), pc.is_valid(pairs["day"])))


def _joined(parts: list[pa.Table], part: pa.Table) -> list[pa.Table]:
    """Add a part; many are joined to one, so that what is held grows with the ids and not with the rows."""
    parts = [*parts, _first_days([part])]
    return [_first_days(parts)] if len(parts) > MOST_PARTS else parts


def _first_days(parts: list[pa.Table]) -> pa.Table:
    """Return the first day of each id."""
    if not parts:
        return pa.table({"id": pa.array([], pa.string()), "day": pa.array([], pa.date32())})
    grouped = pa.concat_tables(parts).group_by("id", use_threads=False).aggregate([("day", "min")])
    return pa.table({"id": grouped["id"], "day": grouped["day_min"]})

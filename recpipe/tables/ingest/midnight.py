"""The midnight at which an export is cut: told from the half hours in which its events happened."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.config.shop_settings import ShopSettings
from recpipe.days import ONE_DAY, day_start

HALF_HOUR: Final = timedelta(minutes=30)
DAY: Final = 48
"""Half hours of a day."""
FURTHEST: Final = 30
"""Half hours from the shop's midnight to any other: zones go from 12 hours behind UTC to 14 before it, and seldom so far apart."""
LEAST_EVENTS: Final = 24
INSIDE: Final = 0.98
"""Share of the events that lie within one day, for an export to seem cut at that day's midnight."""
OUTSIDE: Final = 0.03
"""Share of the events that lie outside of the shop's day, below which they are late and nothing more."""


@dataclass
class HalfHours:
    """Events by the half hour that they happened in, from a day before the shop's day to a day after it.

    Attributes
    ----------
    counts
        (3 · DAY,) events; the shop's midnight is at DAY.
    beyond
        Events before and after that.
    """

    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(3 * DAY, dtype=np.int64))
    beyond: int = 0

    def add(self, times: pa.Array, start: datetime) -> None:
        """Count some times (UTC) of a day that starts at a moment; null is none."""
        times = times.drop_null()
        since = pc.cast(times, pa.int64()).to_numpy() - int(start.timestamp() * 1_000_000)
        place = since // int(HALF_HOUR.total_seconds() * 1_000_000) + DAY
        near = (place >= 0) & (place < 3 * DAY)
        self.counts += np.bincount(place[near], minlength=3 * DAY)
        self.beyond += int((~near).sum())


@dataclass(frozen=True)
class OtherMidnight:
    """The midnight at which an export seems to be cut.

    Attributes
    ----------
    hours
        Hours after the shop's midnight; below 0: before it.
    outside
        Share of the events that lie outside of the shop's day.
    utc_hours
        How far the clock of that midnight is before UTC.
    """

    hours: float
    outside: float
    utc_hours: float

    def sentence(self, settings: Settings, day: date) -> str:
        """Say so to a person."""
        where = "midnight UTC" if not self.utc_hours else f"the midnight of a clock {self.utc_hours:+g} hours from UTC"
        part = "last" if self.hours < 0 else "first"
        return (
            f"The days of this export seem to be cut at {where}, and the shop's zone is {settings.shop.timezone}: {self.outside:.0%} of "
            f"the events lie outside of the shop's {day}, and hardly any in its {part} {abs(self.hours):g} hours. Set RECPIPE_TIMEZONE, "
            f"or have the export cut at the shop's midnight; if its times are of another zone and do not say so, deliver them with it."
        )


def other_midnight(shop: ShopSettings, day: date, found: HalfHours) -> OtherMidnight | None:
    """Return the midnight at which the events of a day seem to be cut; None if that is the shop's, or nobody can tell."""
    total = int(found.counts.sum()) + found.beyond
    start, end = day_start(day, shop.zone), day_start(day + ONE_DAY, shop.zone)
    length = round((end - start) / HALF_HOUR)
    outside = 1 - int(found.counts[DAY : DAY + length].sum()) / max(1, total)
    if total < LEAST_EVENTS or outside < OUTSIDE:
        return None
    shifts = [shift for shift in range(-FURTHEST, FURTHEST + 1) if shift and _share(found, shift, total) >= INSIDE]
    if not shifts:
        return None
    utc = round((datetime.combine(day, time(), UTC) - start) / HALF_HOUR)
    shift = utc if utc in shifts else max(shifts, key=lambda shift: (_share(found, shift, total), shift % 2 == 0, -abs(shift)))
    return OtherMidnight(shift / 2, outside, (utc - shift) / 2)


def _share(found: HalfHours, shift: int, total: int) -> float:
    return float(found.counts[DAY + shift : 2 * DAY + shift].sum()) / total

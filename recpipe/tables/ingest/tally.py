"""The count of delivered rows of a table and day by result, and the share of bad rows above which a day is refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recpipe.config.settings import Settings
from recpipe.config.shop_settings import ShopSettings
from recpipe.errors import BadDelivery
from recpipe.tables.ingest.midnight import HalfHours, OtherMidnight, other_midnight
from recpipe.tables.ingest.rows.row_checks import REPLACED, TAKEN_IN, Judged


@dataclass
class Tally:
    """What became of the delivered rows of one table on one day."""

    delivered_rows: int = 0
    rows: int = 0
    bad_rows: int = 0
    set_aside_rows: int = 0
    erased_rows: int = 0
    first_ts: float | None = None
    last_ts: float | None = None
    copies: int = 0
    replaced: int = 0
    largest_user_share: float = 0.0
    half_hours: HalfHours = field(default_factory=HalfHours)
    snapshot: dict[str, int] = field(default_factory=dict)
    files: list[tuple[str, int]] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def bad_share(self) -> float:
        """Share of bad rows among those that were not set aside."""
        return self.bad_rows / max(1, self.judged_rows - self.set_aside_rows)

    @property
    def judged_rows(self) -> int:
        """Delivered rows but those of erased users, which nothing else is said of."""
        return self.delivered_rows - self.erased_rows

    def add(self, judged: Judged) -> None:
        """Count a judged batch."""
        out = np.bincount(judged.which[judged.which >= 0], minlength=len(judged.findings))
        for finding, count in zip(judged.findings, out.tolist(), strict=True):
            if finding.set_aside:
                self.set_aside_rows += count
            else:
                self.bad_rows += count
                self.reasons[f"{finding.reason} ({finding.column})"] += count
        self.delivered_rows += len(judged.rows)
        self.rows += int((judged.which == TAKEN_IN).sum())
        self.erased_rows += int((judged.which < TAKEN_IN).sum())
        if "ts" in judged.rows.columns:
            self._see_half_hours(judged)

    def _see_half_hours(self, judged: Judged) -> None:
        # a row that lies outside of the day for its time alone says where the export was cut, as do those taken in
        telling = [place for place, finding in enumerate(judged.findings) if finding.column == "ts"]
        rows = np.isin(judged.which, [TAKEN_IN, *telling])
        self.half_hours.add(judged.rows.columns["ts"].filter(pa.array(rows)), judged.bounds.start)

    def add_repeated(self, copies: int, replaced: int, *, aside: bool) -> None:
        """Count rows that were taken in at first, and are copies of another row or earlier states of its key.

        Copies do no harm and are set aside; so are earlier states, where the table is a feed of changes.
        """
        self.rows -= copies + replaced
        self.copies += copies
        self.replaced += replaced
        self.set_aside_rows += copies + (replaced if aside else 0)
        if not aside:
            self.bad_rows += replaced
            self.reasons[REPLACED] += replaced

    def note_snapshot(self, unchanged: int, withdrawn: int, gone: int) -> None:
        """Note what became of a whole: rows that say nothing new are not published, and what is withdrawn was not delivered."""
        self.rows += withdrawn - unchanged
        self.snapshot = {"unchanged_rows": unchanged, "withdrawn_rows": withdrawn, "gone_rows": gone}

    def see(self, rows: pa.RecordBatch) -> None:
        """Note the first and last time of some rows that are taken in."""
        if "ts" in rows.schema.names and rows.num_rows:
            ends = pc.min_max(rows["ts"]).as_py()
            first, last = ends["min"].timestamp(), ends["max"].timestamp()
            self.first_ts = first if self.first_ts is None else min(first, self.first_ts)
            self.last_ts = last if self.last_ts is None else max(last, self.last_ts)

    def facts(self, midnight: OtherMidnight | None = None) -> dict[str, float | int | None]:
        """Return the counts for the audit; times are seconds since 1970, UTC. No key is left that comes twice."""
        return {
            **({"erased_rows": self.erased_rows} if self.erased_rows else {}), **self.snapshot,
            "delivered_rows": self.judged_rows, "rows": self.rows, "bad_rows": self.bad_rows,
            "set_aside_rows": self.set_aside_rows, "repeated_keys": 0, "bad_share": self.bad_share,
            "first_ts": self.first_ts, "last_ts": self.last_ts, "copied_rows": self.copies, "replaced_rows": self.replaced,
            "copied_share": self.copies / max(1, self.rows + self.copies), "largest_user_share": self.largest_user_share,
            "other_midnight_hours": midnight.hours if midnight else 0.0,
        }  # fmt: skip


def refuse_bad_share(settings: Settings, table: str, day: date, tally: Tally) -> None:
    """Refuse a day of which too many rows are bad.

    Raises
    ------
    BadDelivery
        With the reasons, the commonest first, and what helps against the first.
    """
    if tally.bad_share <= settings.intake.max_bad_share:
        return
    shoppers = tally.judged_rows - tally.set_aside_rows
    reasons = ", ".join(f"{count:,} × {reason}" for reason, count in tally.reasons.most_common() if count)
    raise BadDelivery(
        f"{tally.bad_rows:,} of {shoppers:,} rows of {table} of {day} are bad: {tally.bad_share:.1%}, where at most "
        f"{settings.intake.max_bad_share:.1%} may be ({reasons}). Nothing was published. {_remedy(settings, table, day, tally)}"
    )


def midnight_of(shop: ShopSettings, table: str, day: date, tally: Tally) -> OtherMidnight | None:
    """Return the midnight at which the events of a day seem to be cut, where that is not the shop's; of other tables None."""
    return other_midnight(shop, day, tally.half_hours) if table == "events" else None


def _remedy(settings: Settings, table: str, day: date, tally: Tally) -> str:
    if tally.reasons[REPLACED] * 2 > tally.bad_rows:
        return (
            "Events that differ have one id: name in RECPIPE_EVENT_ID_FROM the delivered columns that tell them apart (event_id may "
            "be one of them), or deliver ids of which each is one event's; then run the day again."
        )
    if (midnight := midnight_of(settings.shop, table, day, tally)) is not None and tally.reasons["after the end of the day (ts)"]:
        return midnight.sentence(settings, day)
    return "Mend the delivery and run the day again, or raise RECPIPE_MAX_BAD_SHARE."

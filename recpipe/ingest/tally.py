"""What became of the delivered rows of a table and day, in numbers, and the share of bad rows above which a day is refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recpipe.config import Settings
from recpipe.errors import BadDelivery
from recpipe.ingest.checks import DUPLICATE, TAKEN_IN, Judged


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
    snapshot: dict[str, int] = field(default_factory=dict)
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

    def add_duplicates(self, count: int) -> None:
        """Count rows that were taken in at first and repeat another one's key."""
        self.rows -= count
        self.bad_rows += count
        self.reasons[DUPLICATE] += count

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

    def facts(self) -> dict[str, float | int | None]:
        """Return the counts for the audit; times are seconds since 1970, UTC. No key is left that comes twice."""
        return {
            **({"erased_rows": self.erased_rows} if self.erased_rows else {}), **self.snapshot,
            "delivered_rows": self.judged_rows, "rows": self.rows, "bad_rows": self.bad_rows,
            "set_aside_rows": self.set_aside_rows, "repeated_keys": 0, "bad_share": self.bad_share,
            "first_ts": self.first_ts, "last_ts": self.last_ts,
        }  # fmt: skip


def refuse_bad_share(settings: Settings, table: str, day: date, tally: Tally) -> None:
    """Refuse a day of which too many rows are bad.

    Raises
    ------
    BadDelivery
        With the reasons, the commonest first.
    """
    if tally.bad_share <= settings.max_bad_share:
        return
    shoppers = tally.judged_rows - tally.set_aside_rows
    reasons = ", ".join(f"{count:,} × {reason}" for reason, count in tally.reasons.most_common() if count)
    raise BadDelivery(
        f"{tally.bad_rows:,} of {shoppers:,} rows of {table} of {day} are bad: {tally.bad_share:.1%}, where at most "
        f"{settings.max_bad_share:.1%} may be ({reasons}). Nothing was published. Mend the delivery and run the day again, "
        f"or raise RECPIPE_MAX_BAD_SHARE."
    )

"""The audit of staged days against their suite, with its verdicts and their pages."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import groupby
from operator import itemgetter
from statistics import median
from typing import TYPE_CHECKING

import pyarrow as pa

from recpipe.config.settings import Settings
from recpipe.config.shop_settings import IntakeSettings, ShopSettings
from recpipe.contract import EVENTS, TABLES
from recpipe.errors import RecpipeError
from recpipe.lake.lake import Lake
from recpipe.validation.frames import DayCount, row_frame
from recpipe.validation.gx import failing, unexpected_counts
from recpipe.validation.own_expectations import with_own
from recpipe.validation.rule import Rule
from recpipe.validation.suites import SHARE_OF_USUAL, Suite, suite_of
from recpipe.validation.verdict_page import write_pages
from recpipe.validation.verdicts import Check, Number, Verdict, store

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

Fact = int | float | str | None

FEWEST_EARLIER_DAYS = 3
"""Same weekdays before, below which a day's volume is compared with nothing."""
FEWEST_ROWS = 20
"""Fewer rows than this count as this many where volumes are compared: small tables vary by chance."""


@dataclass(frozen=True)
class DayPart:
    """A staged day: its rows as record batches, and what its maker counted."""

    day: date
    batches: Iterable[pa.RecordBatch]
    facts: Mapping[str, Fact]


@dataclass
class _Failures:
    """What failed, by day and rule: (unexpected rows, rows), or None where a rule could not be run."""

    found: dict[tuple[date, str], tuple[int, int] | None] = field(default_factory=dict)

    def add(self, day: date, counts: Mapping[str, tuple[int, int] | None]) -> None:
        for name, count in counts.items():
            known = self.found.get((day, name), (0, 0))
            both = known is not None and count is not None
            self.found[day, name] = (known[0] + count[0], known[1] + count[1]) if both else None  # type: ignore[index]


def audit(
    settings: Settings,
    table: str,
    day: date,
    batches: Iterable[pa.RecordBatch],
    facts: Mapping[str, Fact],
    suite: Suite | None = None,
) -> Verdict:
    """Hold one staged day of one table against its suite; store the verdict and its page, whatever it says.

    Parameters
    ----------
    settings
        Bounds, places, zone.
    table
        Name of the table.
    day
        The day.
    batches
        Rows of the day in the table's schema; read once, one batch at a time.
    facts
        What the caller counted over the day. Needed: ``bad_share`` for events, items and users; what
        `recommendation_facts` returns for recommendations. What the audit can count itself wins over what it is told
        (``repeated_keys`` is believed for days of more than four million rows). Facts that are text are not stored.
    suite
        What is expected; None: the table's own (`quality.suites`). What the shop expects (`quality.own`) comes to it.

    Returns
    -------
    Verdict
        Call ``raise_if_failed()`` on it before publishing.

    Raises
    ------
    RecpipeError
        If a needed fact is missing, the table has no suite, or an expectation of the shop's cannot be held.
    """
    return audit_days(settings, table, [DayPart(day, batches, facts)], suite)[0]


def audit_days(settings: Settings, table: str, parts: Iterable[DayPart], suite: Suite | None = None) -> list[Verdict]:
    """Hold several staged days of one table against its suite, in the fewest runs of Great Expectations.

    Rows of several days are held together, up to ``batch_rows`` of them; only where a rule fails are the days held
    apart. The verdicts are those that `audit` gives a day at a time.
    """
    suite = with_own(suite or suite_of(table, settings), table, settings.intake)
    counts: dict[date, DayCount] = {}
    facts: dict[date, Mapping[str, Fact]] = {}
    failures = _Failures()
    watched = _whole_days(settings.shop, table, _counted(settings.shop, table, parts, counts, facts, suite), suite, failures)
    for chunk in _chunks(watched, settings.intake.batch_rows):
        frames = _row_frames(settings.shop, table, chunk, suite)
        _hold(suite.rows, frames, failures)
    _hold_empty_days(settings.shop, table, counts, suite, failures)
    known = _known_facts(settings, table, counts, facts)
    _hold(suite.day, _fact_frames(suite, known), failures)
    verdicts = [_verdict(table, day, suite, known[day], failures) for day in counts]
    for verdict in verdicts:
        store(settings, verdict)
    write_pages(settings.places, verdicts)
    _report(verdicts)
    return verdicts


# --- rows ---------------------------------------------------------------------------------------------------------


def _counted(
    shop: ShopSettings,
    table: str,
    parts: Iterable[DayPart],
    counts: dict[date, DayCount],
    facts: dict[date, Mapping[str, Fact]],
    suite: Suite,
) -> Iterator[tuple[date, pa.RecordBatch]]:
    """Yield every batch with its day, and count it on the way."""
    for part in parts:
        _need(table, part, suite)
        facts[part.day] = part.facts
        count = counts.setdefault(part.day, DayCount(table, part.day, shop.zone))
        for batch in part.batches:
            count.add(batch)
            yield part.day, batch


def _whole_days(
    shop: ShopSettings, table: str, batches: Iterable[tuple[date, pa.RecordBatch]], suite: Suite, failures: _Failures
) -> Iterator[tuple[date, pa.RecordBatch]]:
    """Pass batches on, and hold each day against the rules for a day as a whole; the columns of one day are held at a time."""
    columns = {"day"} | {name for rule in suite.whole for name in rule.columns}
    for day, parts in groupby(batches, key=itemgetter(0)):
        kept: list[pd.DataFrame] = []
        for _, batch in parts:
            if suite.whole and batch.num_rows:
                kept.append(row_frame(table, batch, columns, shop.zone))
            yield day, batch
        if kept:
            _hold(suite.whole, {day: _joined(kept)}, failures)


def _hold_empty_days(shop: ShopSettings, table: str, counts: Mapping[date, DayCount], suite: Suite, failures: _Failures) -> None:
    """Hold days without rows against what is expected of the number of rows: nothing else can be said of them."""
    rules = [rule for rule in suite.whole if not rule.reads]
    nothing = row_frame(table, TABLES[table].schema.empty_table(), {"day"}, shop.zone) if rules else None
    if nothing is not None:
        _hold(rules, {day: nothing for day, count in counts.items() if not count.rows}, failures)


def _joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    return pd.concat(frames, ignore_index=True)


def _need(table: str, part: DayPart, suite: Suite) -> None:
    missing = [name for name in suite.needed if name not in part.facts]
    if missing:
        raise RecpipeError(
            f"The audit of {table} for {part.day} was not told: {', '.join(missing)}. Count them where the day is staged."
        )


def _chunks(batches: Iterable[tuple[date, pa.RecordBatch]], most_rows: int) -> Iterator[dict[date, list[pa.RecordBatch]]]:
    """Group batches of one schema, by day, so that a group holds about so many rows at most."""
    chunk: dict[date, list[pa.RecordBatch]] = {}
    rows, schema = 0, None
    for day, batch in batches:
        if chunk and (rows + batch.num_rows > most_rows or batch.schema != schema):
            yield chunk
            chunk, rows = {}, 0
        chunk.setdefault(day, []).append(batch)
        rows, schema = rows + batch.num_rows, batch.schema
    if chunk:
        yield chunk


def _row_frames(
    shop: ShopSettings, table: str, chunk: Mapping[date, Sequence[pa.RecordBatch]], suite: Suite
) -> dict[date, pd.DataFrame]:

    columns = {name for rule in suite.rows for name in rule.columns} | {"event_type"}
    return {day: _joined([row_frame(table, batch, columns, shop.zone) for batch in batches]) for day, batches in chunk.items()}


def _hold(rules: Sequence[Rule], frames: Mapping[date, pd.DataFrame], failures: _Failures) -> None:
    """Hold rules against the frames of several days at once, and of the days apart where that fails."""
    import pandas as pd

    if not frames:
        return
    whole = pd.concat(frames.values(), ignore_index=True) if len(frames) > 1 else next(iter(frames.values()))
    failed = set(failing([rule.expectation for rule in rules], whole))
    again = [rule.expectation for rule in rules if rule.name in failed]
    if again:
        for day, frame in frames.items():
            failures.add(day, unexpected_counts(again, frame))


# --- facts --------------------------------------------------------------------------------------------------------


def _known_facts(
    settings: Settings, table: str, counts: Mapping[date, DayCount], given: Mapping[date, Mapping[str, Fact]]
) -> dict[date, dict[str, Number | None]]:
    """Return the numbers known of each day: given, compared with earlier days, and counted here (those win)."""
    earlier = {record.day: record.rows for record in Lake.from_settings(settings).days(table) if record.complete}
    known: dict[date, dict[str, Number | None]] = {}
    for day, count in counts.items():
        numbers = {name: value for name, value in given[day].items() if not isinstance(value, str)}
        before = median_before(earlier | {d: c.rows for d, c in counts.items()}, day, settings.intake.volume_weeks)
        ratio = None if before is None else max(count.rows, FEWEST_ROWS) / max(before, FEWEST_ROWS)
        counted = {name: value for name, value in count.facts().items() if value is not None}
        known[day] = {**numbers, **counted, "median_rows_before": before, "volume_ratio": ratio}
        if table == EVENTS.name:
            known[day][SHARE_OF_USUAL] = _share_of_usual(settings.intake, day, count.rows, before)
    return known


def _share_of_usual(intake: IntakeSettings, day: date, rows: int, usual: float | None) -> float | None:
    """Return the rows of a day as a share of the usual ones; None where those are few, or a person has said that it is right."""
    if usual is None or usual < intake.least_volume_rows:
        return None
    if day not in intake.accepted_days:
        return rows / usual
    if rows / usual < intake.least_volume:
        log.warning(
            "events of %s: %s, where %s are usual; a person has said that this is right.", day, f"{rows:,}", f"{usual:,.0f}"
        )
    return None


def median_before(rows: Mapping[date, int], day: date, weeks: int) -> float | None:
    """Return the median rows of the same weekday in the weeks before a day; None if too few are known."""
    days = [day - timedelta(weeks=back) for back in range(1, weeks + 1)]
    found = [rows[earlier] for earlier in days if earlier in rows]
    return median(found) if len(found) >= FEWEST_EARLIER_DAYS else None


def _fact_frames(suite: Suite, known: Mapping[date, Mapping[str, Number | None]]) -> dict[date, pd.DataFrame]:
    import pandas as pd

    names = [rule.column for rule in suite.day]
    return {day: pd.DataFrame({name: [facts.get(name)] for name in names}, dtype=float) for day, facts in known.items()}


# --- the verdict --------------------------------------------------------------------------------------------------


def _verdict(table: str, day: date, suite: Suite, facts: Mapping[str, Number | None], failures: _Failures) -> Verdict:
    def check(rule: Rule, counted: Mapping[str, Number]) -> Check:
        passed = (day, rule.name) not in failures.found
        return Check(rule.name, rule.column, rule.severity, passed, counted, rule.says, rule.remedy)

    rows = int(facts["rows"] or 0)
    of_rows = [check(rule, _row_counts(failures, day, rule, rows)) for rule in suite.rows]
    of_rows += [check(rule, _whole_counts(failures, day, rule)) for rule in suite.whole]
    of_day = [check(rule, _observed(facts, rule)) for rule in suite.day]
    return Verdict(table, day, tuple(of_rows + of_day), facts)


def _row_counts(failures: _Failures, day: date, rule: Rule, rows: int) -> dict[str, Number]:
    if (day, rule.name) not in failures.found:
        return {"unexpected": 0, "total": rows}
    count = failures.found[day, rule.name]
    return {} if count is None else {"unexpected": count[0], "total": rows}


def _whole_counts(failures: _Failures, day: date, rule: Rule) -> dict[str, Number]:
    count = failures.found.get((day, rule.name), (0, 0))
    return {} if count is None else {"unexpected": count[0], "total": count[1]} if count[0] else {"whole": 1}


def _observed(facts: Mapping[str, Number | None], rule: Rule) -> dict[str, Number]:
    value, usual = facts.get(rule.column), facts.get("median_rows_before")
    if rule.column == SHARE_OF_USUAL and value is not None and usual is not None:
        return {"rows": int(facts["rows"] or 0), "usual": usual}
    return {} if value is None else {"observed": value}


def _report(verdicts: Sequence[Verdict]) -> None:
    for verdict in verdicts:
        for check in verdict.warnings:
            log.warning("%s of %s: %s, but %s.", verdict.table, verdict.day, check.description, check.found)
        log.log(
            logging.ERROR if verdict.failed else logging.DEBUG,
            "%s of %s: %d of %d checks passed",
            verdict.table, verdict.day, sum(check.passed for check in verdict.checks), len(verdict.checks),
        )  # fmt: skip

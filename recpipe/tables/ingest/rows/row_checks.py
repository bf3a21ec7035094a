"""Row checks: which delivered rows are not taken in, and why. Every check looks at a whole batch at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recpipe.config.place_settings import PrivacySettings
from recpipe.config.settings import Settings
from recpipe.config.shop_settings import IntakeSettings, ShopSettings
from recpipe.contract import EVENT_TYPES
from recpipe.days import ONE_DAY, day_start
from recpipe.tables.ingest.rows.columns import Rows
from recpipe.tables.ingest.rows.identity import event_ids
from recpipe.tables.ingest.rows.pseudonymise import misplaced
from recpipe.tables.ingest.rows.shop_readings import Mask, mask

COPY = "copy of another row"
REPLACED = "replaced by a later row of the day"
FEEDS = ("items", "users")
"""Tables that are feeds of changes: that a row replaces an earlier one is no fault there."""
TAKEN_IN = -1
LEFT_OUT = -2
"""What stands in place of a finding where there is none: the row is good, or of an erased user and nowhere kept."""
LONG_COLUMNS = {
    "events": ("query", "text", "event_id", "user_id", "item_id", "session_id", "order_id", "platform"),
    "items": ("title", "description", "brand", "item_id"),
    "users": ("user_id", "platform", "country", "person_id"),
}


@dataclass(frozen=True)
class Finding:
    """One reason, and the rows of a batch that it holds for.

    Attributes
    ----------
    reason
        Why the rows are not taken in.
    column
        The contract column that the reason speaks of.
    rows
        (rows,) bool.
    set_aside
        True for kinds of rows that the settings set aside: they are not bad.
    """

    reason: str
    column: str
    rows: Mask
    set_aside: bool = False


@dataclass(frozen=True)
class Bounds:
    """Times (UTC) between which what is delivered for a day must lie: from earliest, before end."""

    earliest: datetime
    start: datetime
    end: datetime

    @classmethod
    def of(cls, settings: Settings, day: date) -> Bounds:
        """Return the bounds of a day of the shop."""
        zone = settings.shop.zone
        return cls(
            day_start(day - timedelta(days=settings.intake.late_days), zone), day_start(day, zone), day_start(day + ONE_DAY, zone)
        )


@dataclass(frozen=True)
class Judged:
    """A batch that was judged.

    Attributes
    ----------
    rows
        The rows, with what the checks filled in.
    findings
        The reasons, the one that counts first.
    which
        (rows,) index of the finding that took the row out; `TAKEN_IN` or `LEFT_OUT` where none did.
    bounds
        The bounds of the day that they were judged for.
    """

    rows: Rows
    findings: list[Finding]
    which: NDArray[np.int16]
    bounds: Bounds


def judge(settings: Settings, rows: Rows, bounds: Bounds, known_items: pa.Array | None) -> Judged:
    """Find the rows of a batch that are not taken in; of several reasons the first counts.

    Parameters
    ----------
    settings
        The shop's rules.
    rows
        The batch in the contract's columns.
    bounds
        The day's bounds.
    known_items
        Ids of the catalogue, where events of other items are to be refused.
    """
    if rows.plan.table == "events":
        rows, found = _events(settings, rows, bounds, known_items)
    elif rows.plan.table == "items":
        rows, found = _items(settings, rows)
    else:
        rows, found = _users(rows, bounds)
    findings = [*found, *_too_long(settings.intake, rows)]
    which = np.full(len(rows), TAKEN_IN, dtype=np.int16)
    for index, finding in enumerate(findings):
        which[finding.rows & (which < 0)] = index
    return Judged(rows, findings, which, bounds)


def leave_out(judged: Judged, gone: Mask | None) -> Judged:
    """Return a judged batch of which some rows, good or bad, are left out without a word."""
    if gone is None:
        return judged
    return replace(judged, which=np.where(gone, np.int16(LEFT_OUT), judged.which))


def _with(rows: Rows, **columns: pa.Array) -> Rows:
    return replace(rows, columns={**rows.columns, **columns})


def _unreadable(rows: Rows) -> Iterator[Finding]:
    for column, bad in rows.not_utf8.items():
        yield Finding("text is not UTF-8", column, bad)
    for column, bad in rows.unparsable.items():
        yield Finding("value cannot be read", column, bad)


def _misplaced(privacy: PrivacySettings, rows: Rows) -> Iterator[Finding]:
    for column, bad in misplaced(privacy, rows):
        yield Finding("names a person", column, bad)


def _too_long(intake: IntakeSettings, rows: Rows) -> Iterator[Finding]:
    limit = intake.max_text_length
    for column in LONG_COLUMNS[rows.plan.table]:
        if column in rows.plan.sources:
            yield Finding(
                f"longer than {limit} characters", column, mask(pc.greater(pc.utf8_length(rows.columns[column]), limit))
            )
    if rows.plan.table == "users" and rows.plan.extras:
        attributes = rows.columns["attributes"]
        long = mask(pc.greater(pc.utf8_length(attributes.items), limit))
        owner = np.repeat(np.arange(len(rows)), np.diff(np.asarray(attributes.offsets)))
        bad = np.zeros(len(rows), dtype=np.bool_)
        bad[owner[long]] = True
        yield Finding(f"longer than {limit} characters", "attributes", bad)


def _other_kind(intake: IntakeSettings, rows: Rows) -> Iterator[Finding]:
    if intake.item_id_pattern:
        ids = rows.columns["item_id"]
        other = mask(pc.invert(pc.match_substring_regex(ids, intake.item_id_pattern)))
        yield Finding("item id is not that of a product", "item_id", other, set_aside=True)


# --- events


def _events(settings: Settings, rows: Rows, bounds: Bounds, known: pa.Array | None) -> tuple[Rows, list[Finding]]:
    delivered = rows.columns["event_type"]
    types = _event_types(settings.shop, delivered)
    # a return is a type of its own: the sign that shops give its pieces says nothing more
    returned = pc.fill_null(pc.equal(types, "return"), False)
    quantity = rows.columns["quantity"]
    quantity = pc.if_else(returned, pc.abs(quantity), quantity)
    rows = _with(rows, event_type=types, quantity=quantity, event_id=event_ids(settings, rows))
    return rows, list(_event_findings(settings, rows, delivered, bounds, known))


def _event_types(shop: ShopSettings, delivered: pa.Array) -> pa.Array:
    coded = delivered.dictionary_encode()
    names = [shop.event_types.get(name, name) for name in coded.dictionary.to_pylist()]
    return pa.array(names, pa.string()).take(coded.indices)


def _event_findings(
    settings: Settings, rows: Rows, delivered: pa.Array, bounds: Bounds, known: pa.Array | None
) -> Iterator[Finding]:
    columns = rows.columns
    types, ids = columns["event_type"], columns["item_id"]
    if settings.intake.set_aside_event_types:
        aside = mask(pc.is_in(delivered, pa.array(settings.intake.set_aside_event_types, pa.string())))
        yield Finding("kind of event that is set aside", "event_type", aside, set_aside=True)
    yield from _other_kind(settings.intake, rows)
    yield from _unreadable(rows)
    yield from _misplaced(settings.privacy, rows)
    yield Finding("unknown event type", "event_type", ~mask(pc.is_in(types, pa.array(EVENT_TYPES, pa.string()))))
    yield Finding("no item id", "item_id", mask(pc.and_(pc.is_null(ids), pc.not_equal(types, "search"))))
    yield Finding("no time", "ts", mask(pc.is_null(columns["ts"])))
    yield Finding("after the end of the day", "ts", mask(pc.greater_equal(columns["ts"], pa.scalar(bounds.end))))
    yield Finding(
        f"more than {settings.intake.late_days} days late", "ts", mask(pc.less(columns["ts"], pa.scalar(bounds.earliest)))
    )
    yield Finding("negative price", "price", mask(pc.less(columns["price"], 0.0)))
    low, high = settings.intake.rating_bounds
    out = pc.or_(pc.less(columns["rating"], low), pc.greater(columns["rating"], high))
    yield Finding("rating out of range", "rating", mask(out))
    yield Finding("quantity is not positive", "quantity", mask(pc.less_equal(columns["quantity"], 0)))
    yield Finding("no event id", "event_id", mask(pc.is_null(columns["event_id"])))
    if known is not None:
        strange = mask(pc.and_(pc.is_valid(ids), pc.invert(pc.is_in(ids, known))))
        yield Finding("item is not in the catalogue", "item_id", strange)


# --- items and users


def _items(settings: Settings, rows: Rows) -> tuple[Rows, list[Finding]]:
    rows = _with(rows, available=pc.fill_null(rows.columns["available"], True))
    findings = [*_other_kind(settings.intake, rows), *_unreadable(rows), *_misplaced(settings.privacy, rows)]
    findings.append(Finding("no item id", "item_id", mask(pc.is_null(rows.columns["item_id"]))))
    if settings.intake.items_need_title:
        title = rows.columns["title"]
        empty = pc.or_kleene(pc.is_null(title), pc.equal(pc.utf8_trim_whitespace(title), ""))
        findings.append(Finding("no title", "title", mask(empty)))
    findings.append(Finding("negative price", "price", mask(pc.less(rows.columns["price"], 0.0))))
    return rows, findings


def _users(rows: Rows, bounds: Bounds) -> tuple[Rows, list[Finding]]:
    # a shop that does not say when an account was made says at least that it is delivered now
    registered = pc.fill_null(rows.columns["registered_at"], pa.scalar(bounds.start, rows.columns["registered_at"].type))
    rows = _with(rows, registered_at=registered)
    findings = list(_unreadable(rows))
    findings.append(Finding("no user id", "user_id", mask(pc.is_null(rows.columns["user_id"]))))
    late = mask(pc.greater_equal(registered, pa.scalar(bounds.end)))
    findings.append(Finding("after the end of the day", "registered_at", late))
    return rows, findings

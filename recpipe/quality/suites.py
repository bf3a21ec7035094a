"""The suites: what is expected of a day of each table, one function a table.

A suite has two halves. The rules for *rows* are held against record batches, as `quality.frames.row_frame` lays
them out, so that memory is bounded by the batch. The rules for the *day* are held against one row of numbers that
were counted over the whole day (`quality.frames.DayCount`, and the facts that the caller knows).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from recpipe.config import Settings
from recpipe.contract import COHORTS, EVENT_TYPES, FEW, REASON_KINDS, TABLES, ZERO
from recpipe.errors import RecpipeError
from recpipe.quality.engine import great_expectations
from recpipe.quality.verdicts import Severity

PIPELINE_FAULT = "This is a fault of the pipeline, not of the delivery: keep the staged folder and report it."
DELIVERY_FAULT = "Look into the quarantine of the day, have the shop deliver the day again, then run the ingest of the day again."


@dataclass(frozen=True)
class Rule:
    """One expectation with its words.

    Attributes
    ----------
    name, column, severity
        As in `quality.verdicts.Check`.
    says
        What is expected, as a sentence.
    remedy
        What to do when it is not so.
    expectation
        The Great Expectations object that decides.
    """

    name: str
    column: str
    severity: Severity
    says: str
    remedy: str
    expectation: Any


@dataclass(frozen=True)
class Suite:
    """All rules of a table; ``needed`` are the facts that the caller has to bring."""

    rows: tuple[Rule, ...]
    day: tuple[Rule, ...]
    needed: tuple[str, ...] = ()


def suite_of(table: str, settings: Settings) -> Suite:
    """Return the suite of a table, with the bounds of the settings.

    Raises
    ------
    RecpipeError
        If the table has no suite.
    """
    if table not in SUITES:
        raise RecpipeError(f"Table {table} has no suite; there is one for each of: {', '.join(SUITES)}.")
    return SUITES[table](settings)


# --- one function a table -----------------------------------------------------------------------------------------


def events(settings: Settings) -> Suite:
    """Return the suite of what happened in the shop on a day."""
    low, high = settings.rating_bounds
    length = settings.max_text_length
    return Suite(
        rows=(
            *_required("events"),
            _one_of("event_type", EVENT_TYPES, "Every event is of a known type", "Map the shop's types in RECPIPE_EVENT_TYPES."),
            _filled("item_id", "Every event but a search names an item", DELIVERY_FAULT, unless=("event_type", "search")),
            _between(
                "days_late", 0, settings.late_days, f"Every event is of the day or at most {settings.late_days} days older",
                DELIVERY_FAULT,
            ),
            _between("rating", low, high, f"Ratings are between {low:g} and {high:g}", "See RECPIPE_RATING_BOUNDS."),
            _between("price", 0, None, "No price is negative", DELIVERY_FAULT),
            _between("quantity", 1, None, "Quantities are positive; a return is its own event type", DELIVERY_FAULT),
            _short("text", length),
            _short("query", length),
        ),
        day=(
            *_every_day("events", settings),
            _bad_share(settings),
            _between(
                "days_since_newest", None, 0, "The newest event happened on the day itself",
                "See whether the shop delivered an old day under a new name.", "warning",
            ),
        ),
        needed=("bad_share",),
    )  # fmt: skip


def items(settings: Settings) -> Suite:
    """Return the suite of the catalogue entries that changed on a day."""
    return Suite(
        rows=(
            *_required("items"),
            _between("price", 0, None, "No price is negative", DELIVERY_FAULT),
            _filled("title", "Every item has a title to show", "Have the shop deliver titles.", severity="warning"),
            _short("description", settings.max_text_length),
        ),
        day=(*_every_day("items", settings), _bad_share(settings)),
        needed=("bad_share",),
    )


def users(settings: Settings) -> Suite:
    """Return the suite of the accounts that changed on a day."""
    return Suite(
        rows=(
            *_required("users"),
            _between("days_registered", 0, None, "No account was registered after the day", DELIVERY_FAULT),
        ),
        day=(*_every_day("users", settings), _bad_share(settings)),
        needed=("bad_share",),
    )


def quarantine(settings: Settings) -> Suite:
    """Return the suite of the delivered rows that were not taken in."""
    renamed = {**settings.event_columns, **settings.user_columns}
    named_user = "|".join(["user_id", *(re.escape(name) for name, ours in renamed.items() if ours == "user_id")])
    return Suite(
        rows=(
            *_required("quarantine"),
            _one_of("source_table", ("events", "items", "users"), "Every row names the table it was delivered for"),
            _between("row_number", 0, None, "Row numbers count from 0"),
            _like("row_hash", "^[0-9a-f]{64}$", "The row hash is a sha256"),
            _unlike("payload", rf'"(?:{named_user})"\s*:', "No payload holds a user id"),
        ),
        day=_every_day("quarantine", settings),
    )


def episodes(settings: Settings) -> Suite:
    """Return the suite of the supports of users without events and with a few."""
    return Suite(
        rows=(
            *_required("episodes"),
            _one_of("cohort", (ZERO, FEW), "Only the cohorts zero and few are stored"),
            _between("k", 0, settings.few_items, f"A support holds at most {settings.few_items} items"),
            _between("entries_beyond_k", 0, 0, "k is the number of entries of the support"),
            _between("repeated_items", 0, 0, "A support names an item once"),
            _between("odd_entries", 0, 0, "Labels are 0 or 1, and weights are positive"),
            _between("later_entries", 0, 0, "Nothing in a support happened after the day"),
            _between("positives_of_zero", 0, 0, "Users of the cohort zero have no positive event"),
        ),
        day=_every_day("episodes", settings),
    )


def recommendations(settings: Settings) -> Suite:
    """Return the suite of the lists of a night."""
    seen = (_none("seen_items", "No list holds an item that its user has already met"),)
    return Suite(
        rows=(
            *_required("recommendations"),
            _between("rank", 1, settings.top_k, f"Ranks are between 1 and {settings.top_k}"),
            _one_of("cohort", COHORTS, "Every row names its cohort"),
            _one_of("reason_kind", REASON_KINDS, "Every row has a reason of a known kind"),
            _between("because_amiss", 0, 0, "Items are named as the cause where the reason is the support, and only there"),
        ),
        day=(
            *_every_day("recommendations", settings),
            _none("users_without_list", "Every user has a list"),
            _none("unknown_users", "Every list belongs to a user of the day"),
            _none("short_lists", f"Every list has {settings.top_k} items, or all eligible ones if those are fewer"),
            _none("gaps_in_ranks", "The ranks of a list are 1, 2, … without gaps"),
            _none("repeated_items", "No list names an item twice"),
            *(seen if settings.seen_items == "exclude" else ()),
            _none("later_items", "No list holds an item that was first delivered after the day"),
            _none("unavailable_items", "No list holds an item that is not available"),
            _none("other_model_versions", "All lists of a day come from the night's one model version"),
            _none("mixed_cohorts", "A user is in one cohort"),
            _none("lists_over_category_limit", "No list holds more items of a category than set"),
            _between("rising_scores", 0, 0, "Scores fall, or stay, from rank to rank", "See the rules of the lists.", "warning"),
        ),
        needed=LIST_FACTS,
    )  # fmt: skip


def outcomes(settings: Settings) -> Suite:
    """Return the suite of what became of the lists."""
    return Suite(
        rows=(
            *_required("outcomes"),
            _one_of("cohort", (*COHORTS, "all"), "Every row names a cohort, or all"),
            _between("horizon_days", 1, None, "The horizon is at least a day"),
            _between("users", 0, None, "No number of users is negative"),
            _between("interval_amiss", 0, 0, "The lower end of an interval is not above its upper end"),
        ),
        day=_every_day("outcomes", settings),
    )


LIST_FACTS = (
    "users_without_list", "unknown_users", "short_lists", "gaps_in_ranks", "repeated_items", "seen_items", "later_items",
    "unavailable_items", "other_model_versions", "mixed_cohorts", "lists_over_category_limit", "rising_scores",
)  # fmt: skip
"""What `quality.lists.recommendation_facts` counts."""

SUITES: dict[str, Callable[[Settings], Suite]] = {
    "events": events,
    "items": items,
    "users": users,
    "quarantine": quarantine,
    "episodes": episodes,
    "recommendations": recommendations,
    "outcomes": outcomes,
}


# --- rules that several tables share ------------------------------------------------------------------------------


def _required(table: str) -> list[Rule]:
    """Return a rule for each column that the contract wants filled."""
    schema = TABLES[table].schema
    return [_filled(name, f"{name} is filled in every row") for name in schema.names if not schema.field(name).nullable]


def _every_day(table: str, settings: Settings) -> tuple[Rule, ...]:
    key = " and ".join(TABLES[table].key)
    factor = settings.volume_factor
    return (
        _none("columns_amiss", "The columns are those of the contract, in its order"),
        _none("types_amiss", "The types of the columns are those of the contract"),
        _none("rows_of_other_days", "Every row belongs to the day"),
        _none("repeated_keys", f"The key ({key}) is unique within the day"),
        _between(
            "volume_ratio", 1 / factor, factor,
            f"The day has between 1/{factor:g} and {factor:g} times the rows of the same weekday in the weeks before (median)",
            "See whether the delivery is whole; if the shop really had such a day, there is nothing to do.", "warning",
        ),
    )  # fmt: skip


def _bad_share(settings: Settings) -> Rule:
    return _between(
        "bad_share", 0, settings.max_bad_share, f"At most {settings.max_bad_share:.1%} of the delivered rows are bad",
        DELIVERY_FAULT,
    )  # fmt: skip


# --- how a rule is made -------------------------------------------------------------------------------------------


def _filled(
    column: str, says: str, remedy: str = PIPELINE_FAULT, severity: Severity = "error", unless: tuple[str, str] | None = None
) -> Rule:
    where = {} if unless is None else {"row_condition": _other_than(*unless)}
    return _rule("ExpectColumnValuesToNotBeNull", f"{column}_filled", column, says, remedy, severity, **where)


def _other_than(column: str, value: str) -> Any:
    return great_expectations().expectations.row_conditions.Column(column) != value


def _one_of(column: str, values: Sequence[str], says: str, remedy: str = PIPELINE_FAULT) -> Rule:
    return _rule("ExpectColumnValuesToBeInSet", f"{column}_known", column, says, remedy, value_set=list(values))


def _between(
    column: str,
    low: float | None,
    high: float | None,
    says: str,
    remedy: str = PIPELINE_FAULT,
    severity: Severity = "error",
) -> Rule:
    bounds = {"min_value": low, "max_value": high}
    return _rule("ExpectColumnValuesToBeBetween", f"{column}_in_bounds", column, says, remedy, severity, **bounds)


def _none(fact: str, says: str) -> Rule:
    """Make a rule that a count over the day is zero."""
    return _between(fact, 0, 0, says)


def _short(column: str, length: int) -> Rule:
    says = f"No {column} is longer than {length:,} characters"
    return _rule("ExpectColumnValueLengthsToBeBetween", f"{column}_short", column, says, DELIVERY_FAULT, max_value=length)


def _like(column: str, regex: str, says: str) -> Rule:
    return _rule("ExpectColumnValuesToMatchRegex", f"{column}_form", column, says, PIPELINE_FAULT, regex=regex)


def _unlike(column: str, regex: str, says: str) -> Rule:
    return _rule("ExpectColumnValuesToNotMatchRegex", f"{column}_clean", column, says, PIPELINE_FAULT, regex=regex)


def _rule(kind: str, name: str, column: str, says: str, remedy: str, severity: Severity = "error", **bounds: Any) -> Rule:
    words = {"severity": "critical" if severity == "error" else "warning", "meta": {"name": name}, "notes": says}
    expectation = getattr(great_expectations().expectations, kind)(column=column, **words, **bounds)
    return Rule(name, column, severity, says, remedy, expectation)

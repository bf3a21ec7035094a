"""The suites: what is expected of a day of each table, one function a table.

A suite has two halves. The rules for *rows* are held against record batches, as `quality.frames.row_frame` lays
them out, so that memory is bounded by the batch. The rules for the *day* are held against one row of numbers that
were counted over the whole day (`quality.frames.DayCount`, and the facts that the caller knows).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from recpipe.config.settings import Settings
from recpipe.config.shop_settings import IntakeSettings
from recpipe.contract import COHORTS, EVENT_TYPES, FEW, REASON_KINDS, TABLES, ZERO
from recpipe.errors import RecpipeError
from recpipe.validation.rule import DELIVERY_FAULT, Rule, between, filled, like, none, one_of, short, unlike


@dataclass(frozen=True)
class Suite:
    """All rules of a table; ``needed`` are the facts that the caller has to bring.

    ``whole`` are rules for the rows of a day together, which no batch can decide: a shop's own (`quality.own`).
    """

    rows: tuple[Rule, ...]
    day: tuple[Rule, ...]
    needed: tuple[str, ...] = ()
    whole: tuple[Rule, ...] = ()


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


def whole_suite(
    table: str, intake: IntakeSettings, rows: Sequence[Rule] = (), day: Sequence[Rule] = (), needed: Sequence[str] = ()
) -> Suite:
    """Return a suite of what is expected of every table, and of some rules of its own.

    Parameters
    ----------
    table
        Name of the table: its needed columns, key and usual volume are looked at whatever else is.
    intake
        Bounds.
    rows
        Rules for columns (`recpipe.validation.rule`).
    day
        Rules for facts: counts that the maker of the rows brings, or 0 or more that the audit counts itself.
    needed
        Facts without which the audit refuses to look.
    """
    return Suite((*_required(table), *rows), (*_every_day(table, intake), *day), tuple(needed))


# --- one function a table -----------------------------------------------------------------------------------------


def events(settings: Settings) -> Suite:
    """Return the suite of what happened in the shop on a day."""
    low, high = settings.intake.rating_bounds
    length = settings.intake.max_text_length
    return Suite(
        rows=(
            *_required("events"),
            one_of("event_type", EVENT_TYPES, "Every event is of a known type", "Map the shop's types in RECPIPE_EVENT_TYPES."),
            filled("item_id", "Every event but a search names an item", DELIVERY_FAULT, unless=("event_type", "search")),
            between(
                "days_late", 0, settings.intake.late_days, f"Every event is of the day or at most {settings.intake.late_days} days older",
                DELIVERY_FAULT,
            ),
            between("rating", low, high, f"Ratings are between {low:g} and {high:g}", "See RECPIPE_RATING_BOUNDS."),
            between("price", 0, None, "No price is negative", DELIVERY_FAULT),
            between("quantity", 1, None, "Quantities are positive; a return is its own event type", DELIVERY_FAULT),
            short("text", length),
            short("query", length),
        ),
        day=(
            *_every_day("events", settings.intake),
            *_least_volume(settings.intake),
            _bad_share(settings.intake),
            between(
                "days_since_newest", None, 0, "The newest event happened on the day itself",
                "See whether the shop delivered an old day under a new name.", "warning",
            ),
            between(
                "other_midnight_hours", 0, 0, "The export is cut at the shop's midnight",
                "Set RECPIPE_TIMEZONE, or have the export cut at the shop's midnight; the log of stage says where it seems to be.",
                "warning",
            ),
            between(
                "largest_user_share", 0, settings.intake.max_user_share, f"No user has more than {settings.intake.max_user_share:.0%} of the events",
                "See who: a robot, or a name for nobody, which belongs into RECPIPE_NOBODY.", "warning",
            ),
            between(
                "copied_share", 0, settings.intake.max_bad_share, f"At most {settings.intake.max_bad_share:.1%} of the events are copies of others",
                "Rows that are equal in every delivered column are taken for one event: see whether the export was sent twice, or deliver "
                "what tells its events apart and name it in RECPIPE_EVENT_ID_FROM.", "warning",
            ),
        ),
        needed=("bad_share",),
    )  # fmt: skip


def items(settings: Settings) -> Suite:
    """Return the suite of the catalogue entries that changed on a day."""
    return Suite(
        rows=(
            *_required("items"),
            between("price", 0, None, "No price is negative", DELIVERY_FAULT),
            filled("title", "Every item has a title to show", "Have the shop deliver titles.", severity="warning"),
            short("description", settings.intake.max_text_length),
        ),
        day=(*_every_day("items", settings.intake), _bad_share(settings.intake)),
        needed=("bad_share",),
    )


def users(settings: Settings) -> Suite:
    """Return the suite of the accounts that changed on a day."""
    return Suite(
        rows=(
            *_required("users"),
            between("days_registered", 0, None, "No account was registered after the day", DELIVERY_FAULT),
        ),
        day=(*_every_day("users", settings.intake), _bad_share(settings.intake)),
        needed=("bad_share",),
    )


def quarantine(settings: Settings) -> Suite:
    """Return the suite of the delivered rows that were not taken in."""
    renamed = {**settings.shop.event_columns, **settings.shop.user_columns}
    named_user = "|".join(["user_id", *(re.escape(name) for name, ours in renamed.items() if ours == "user_id")])
    return Suite(
        rows=(
            *_required("quarantine"),
            one_of("source_table", ("events", "items", "users"), "Every row names the table it was delivered for"),
            between("row_number", 0, None, "Row numbers count from 0"),
            like("row_hash", "^[0-9a-f]{64}$", "The row hash is a sha256"),
            unlike("payload", rf'"(?:{named_user})"\s*:', "No payload holds a user id"),
        ),
        day=_every_day("quarantine", settings.intake),
    )


def episodes(settings: Settings) -> Suite:
    """Return the suite of the supports of users without events and with a few."""
    return Suite(
        rows=(
            *_required("episodes"),
            one_of("cohort", (ZERO, FEW), "Only the cohorts zero and few are stored"),
            between("k", 0, settings.history.few_items, f"A support holds at most {settings.history.few_items} items"),
            between("entries_beyond_k", 0, 0, "k is the number of entries of the support"),
            between("repeated_items", 0, 0, "A support names an item once"),
            between("odd_entries", 0, 0, "Labels are 0 or 1, and weights are positive"),
            between("later_entries", 0, 0, "Nothing in a support happened after the day"),
            between("positives_of_zero", 0, 0, "Users of the cohort zero have no positive event"),
        ),
        day=_every_day("episodes", settings.intake),
    )


def recommendations(settings: Settings) -> Suite:
    """Return the suite of the lists of a night."""
    seen = (none("seen_items", "No list holds an item that its user has already met"),)
    # a least exposure moves items up that score less than those behind them
    what = "Scores fall, or stay, from rank to rank, but for what was drawn"
    falling = (between("rising_scores", 0, 0, what, "See the rules of the lists.", "warning"),)
    return Suite(
        rows=(
            *_required("recommendations"),
            between("rank", 1, settings.lists.top_k, f"Ranks are between 1 and {settings.lists.top_k}"),
            one_of("cohort", COHORTS, "Every row names its cohort"),
            one_of("reason_kind", REASON_KINDS, "Every row has a reason of a known kind"),
            between("because_amiss", 0, 0, "Items are named as the cause where the reason is the support, and only there or of new items"),
            filled("propensity", "propensity is filled in every row"),
            between("propensity", LEAST_PROPENSITY, 1, "Every propensity is above 0 and at most 1"),
            between("chance_amiss", 0, 0, "Only what was drawn as new has a propensity below 1"),
        ),
        day=(
            *_every_day("recommendations", settings.intake),
            none("users_without_list", "Every user has a list"),
            none("unknown_users", "Every list belongs to a user of the day"),
            none("short_lists", f"Every list has {settings.lists.top_k} items, or all eligible ones if those are fewer"),
            none("gaps_in_ranks", "The ranks of a list are 1, 2, … without gaps"),
            none("repeated_items", "No list names an item twice"),
            *(seen if settings.lists.seen_items == "exclude" else ()),
            none("later_items", "No list holds an item that was first delivered after the day"),
            none("unavailable_items", "No list holds an item that is not available"),
            none("barred_items", "No list holds an item that the shop's files of knowledge bar its user from"),
            none("other_model_versions", "All lists of a day come from the night's one model version"),
            none("mixed_cohorts", "A user is in one cohort"),
            none("lists_over_exploration", f"No list gives more than {settings.exploration.explore_places} places to a draw"),
            none("lists_over_category_limit", "No list holds more items of a category than set"),
            *(() if settings.fairness.least_exposure else falling),
        ),
        needed=LIST_FACTS,
    )  # fmt: skip


def outcomes(settings: Settings) -> Suite:
    """Return the suite of what became of the lists."""
    return Suite(
        rows=(
            *_required("outcomes"),
            one_of("cohort", (*COHORTS, "all"), "Every row names a cohort, or all"),
            between("horizon_days", 1, None, "The horizon is at least a day"),
            between("users", 0, None, "No number of users is negative"),
            between("interval_amiss", 0, 0, "The lower end of an interval is not above its upper end"),
        ),
        day=_every_day("outcomes", settings.intake),
    )


def newcomer_outcomes(settings: Settings) -> Suite:
    """Return the suite of what became of the lists of users without events and with a few, one by one."""
    metrics = ("ndcg", "recall", "hit_rate")
    return whole_suite(
        "newcomer_outcomes",
        settings.intake,
        rows=(
            one_of("cohort", (ZERO, FEW), "Only users of the cohorts zero and few stand here"),
            between("k", 0, None, "No support has fewer items than none"),
            *(between(name, 0, 1, f"{name} is between 0 and 1") for name in metrics),
            between("met", 1, None, "Every user newly met something"),
        ),
    )


def replays(settings: Settings) -> Suite:
    """Return the suite of how users who came after a cut would have been served."""
    return whole_suite(
        "replays",
        settings.intake,
        rows=(
            between("value", 0, None, "No value is negative"),
            between("users", 0, None, "No number of users is negative"),
            between("interval_amiss", 0, 0, "The lower end of an interval is not above its upper end"),
        ),
    )


LEAST_PROPENSITY = 2.0**-40
"""The least that `recommend.explore` draws by."""

LIST_FACTS = (
    "users_without_list", "unknown_users", "short_lists", "gaps_in_ranks", "repeated_items", "seen_items", "later_items",
    "unavailable_items", "barred_items", "other_model_versions", "mixed_cohorts", "lists_over_category_limit", "rising_scores",
    "lists_over_exploration",
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
    "newcomer_outcomes": newcomer_outcomes,
    "replays": replays,
}


# --- rules that several tables share ------------------------------------------------------------------------------


def _required(table: str) -> list[Rule]:
    """Return a rule for each column that the contract wants filled."""
    schema = TABLES[table].schema
    return [filled(name, f"{name} is filled in every row") for name in schema.names if not schema.field(name).nullable]


def _every_day(table: str, intake: IntakeSettings) -> tuple[Rule, ...]:
    key = " and ".join(TABLES[table].key)
    factor = intake.volume_factor
    return (
        none("columns_amiss", "The columns are those of the contract, in its order"),
        none("types_amiss", "The types of the columns are those of the contract"),
        none("rows_of_other_days", "Every row belongs to the day"),
        none("repeated_keys", f"The key ({key}) is unique within the day"),
        between(
            "volume_ratio", 1 / factor, factor,
            f"The day has between 1/{factor:g} and {factor:g} times the rows of the same weekday in the weeks before (median)",
            "See whether the delivery is whole; if the shop really had such a day, there is nothing to do.", "warning",
        ),
    )  # fmt: skip


SHARE_OF_USUAL = "share_of_usual_rows"
"""Fact: rows of the day, as a share of the median of the same weekday in the weeks before."""


def _least_volume(intake: IntakeSettings) -> tuple[Rule, ...]:
    if not intake.least_volume:
        return ()
    says = (
        f"The day has at least {intake.least_volume:.1%} of the rows that are usual on its weekday (median of the weeks before)"
    )
    remedy = (
        "See whether the delivery is whole, and have the rest delivered. If the shop really had such a day, say so: recpipe ingest "
        "--day DAY --accept-volume, the parameter accept_volume of a run of ingest_clickstream, or the day in RECPIPE_ACCEPTED_DAYS."
    )
    return (between(SHARE_OF_USUAL, intake.least_volume, None, says, remedy),)


def _bad_share(intake: IntakeSettings) -> Rule:
    return between(
        "bad_share", 0, intake.max_bad_share, f"At most {intake.max_bad_share:.1%} of the delivered rows are bad",
        DELIVERY_FAULT,
    )  # fmt: skip

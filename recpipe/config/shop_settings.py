"""Settings of the shop itself, of what is taken in from it, of its users' histories and of its rules."""

from __future__ import annotations

from datetime import date
from typing import Final, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, field_validator, model_validator

from recpipe.config import checks
from recpipe.config.part import Part

MOST_WEIGHT: Final = 1_000_000
"""Greatest weight of an event type."""


class ShopSettings(Part):
    """The shop's calendar, and how its files name things."""

    timezone: str = Field("UTC", description="the shop's zone: days begin at its midnight, naive times are in it")
    first_day: date = Field(date(2026, 1, 1), description="first day that DAGs may run for")
    last_day: date | None = Field(None, description="last day that DAGs may run for; none: no end")
    clock_day: date | None = Field(
        None,
        description="day at which the clock of a shop stands still whose data has ended (the demo, an archive): tables are due up to "
        "it. None, as in every living shop: the clock goes on",
    )
    event_columns: dict[str, str] = Field(default_factory=dict, description="delivered name -> contract name, for events")
    item_columns: dict[str, str] = Field(default_factory=dict, description="delivered name -> contract name, for items")
    user_columns: dict[str, str] = Field(default_factory=dict, description="delivered name -> contract name, for users")
    event_types: dict[str, str] = Field(default_factory=dict, description="delivered event type -> contract event type")
    event_id_from: list[str] = Field(
        default_factory=list,
        description="delivered columns that identify an event when it has no event_id; every delivered column if empty; event_id may be one of several",
    )
    category_separator: str = Field(
        ">", min_length=1, max_length=20, description="separates the levels where the category is delivered as one text"
    )
    nobody: list[str] = Field(
        default_factory=lambda: list(checks.NOBODY),
        description="what stands in user_id, person_id, session_id or order_id where there is none, in capitals or small letters; "
        "a list of one's own takes the place of this one",
    )
    time_unit: Literal["", "s", "ms", "us", "ns"] = Field(
        "", description="unit since 1970 of times that are delivered as bare numbers; told by their magnitude if empty"
    )
    int96_times: Literal["utc", "local"] = Field(
        "utc",
        description="what the parquet type INT96 (Spark, Hive, Impala) holds: instants in UTC, or times of the shop's zone, as "
        "some old writers meant it",
    )
    item_version_column: str = Field(
        "", description="delivered column that says which of two rows of an item is the later; the place in the delivery if empty"
    )
    user_version_column: str = Field("", description="the same for users")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"'{value}' is no time zone; use a name such as 'Europe/London'")
        return value

    @field_validator("event_types")
    @classmethod
    def _types(cls, value: dict[str, str]) -> dict[str, str]:
        checks.known_event_types(value.values())
        return value

    @model_validator(mode="after")
    def _days_in_order(self) -> Self:
        if self.last_day is not None and self.last_day < self.first_day:
            raise ValueError(f"RECPIPE_LAST_DAY, {self.last_day}, is before RECPIPE_FIRST_DAY, {self.first_day}")
        return self

    @property
    def zone(self) -> ZoneInfo:
        """The shop's zone."""
        return ZoneInfo(self.timezone)


class IntakeSettings(Part):
    """What is taken in, and what is refused."""

    set_aside_event_types: list[str] = Field(
        default_factory=list,
        description="delivered event types that are not shopping (stock corrections): quarantined, not counted as bad",
    )
    item_id_pattern: str = Field("", description="regular expression of a product's id; rows of other ids are set aside")
    items_must_be_known: bool = Field(False, description="events of items outside the catalogue are quarantined")
    items_need_title: bool = Field(True, description="items without a title are quarantined; false for shops that deliver none")
    max_bad_share: float = Field(0.05, ge=0, le=1, description="share of bad rows above which a day is refused")
    max_user_share: float = Field(0.2, gt=0, le=1, description="warn when one user has a greater share of a day's events")
    late_days: int = Field(3, ge=0, le=36_500, description="days before the delivery's day that an event may still belong to")
    max_text_length: int = Field(
        10_000, gt=0, le=10_000_000, description="characters of a free text above which its row is quarantined"
    )
    rating_bounds: tuple[float, float] = Field((1.0, 5.0), description="lowest and highest rating")
    batch_rows: int = Field(65_536, gt=0, le=10_000_000, description="rows held in memory at a time while a day is taken in")
    volume_weeks: int = Field(
        8, gt=0, le=520, description="weeks before a day whose same weekday its number of rows is compared with"
    )
    volume_factor: float = Field(
        4.0, gt=1, le=1_000_000, description="warn when a day has more than so many times, or so many times fewer, rows"
    )
    least_volume: float = Field(
        0.1,
        ge=0,
        le=1,
        description="share of the usual rows (median of the same weekday in the weeks before, at least three of them) below which a "
        "day of events is refused until a person says that it is right; 0: never",
    )
    least_volume_rows: int = Field(
        1_000, ge=1, le=1_000_000_000, description="usual rows from which on a day of too few is refused"
    )
    accepted_days: list[date] = Field(
        default_factory=list,
        description='days of which a person says that few rows are right, such as the shop\'s Christmas: ["2011-12-25"]',
    )
    accepted_snapshots: list[date] = Field(
        default_factory=list,
        description="days of which a person says that a whole of items or users that lost so much is right (RECPIPE_MAX_SNAPSHOT_LOSS)",
    )
    duplicate_memory_mb: int = Field(
        256,
        ge=64,
        le=10_000_000,
        description="memory (MiB) for the search for duplicates within a day; what does not fit goes to disk",
    )
    history_days: int = Field(60, gt=0, le=3_660, description="days a commit when history is taken in")
    expectations: str = Field(
        "",
        description="folder of suites of Great Expectations, TABLE.json, that days are held against beside recpipe's own rules: see "
        "docs/tables.md, expectations of your own; empty: none",
    )

    @field_validator("item_id_pattern")
    @classmethod
    def _pattern(cls, value: str) -> str:
        checks.pattern_of_engine(value)
        return value

    @field_validator("rating_bounds")
    @classmethod
    def _bounds(cls, value: tuple[float, float]) -> tuple[float, float]:
        checks.ascending(value)
        return value


class HistorySettings(Part):
    """Who is who: the history of a user, and how much of it counts."""

    new_user_days: int = Field(28, gt=0, le=36_500, description="days after registration in which a user counts as new")
    few_items: int = Field(10, gt=0, le=100_000, description="most distinct items of a user in the few cohort")
    lookback_days: int = Field(400, gt=0, le=36_500, description="days of history that a night reads")
    last_events: int = Field(200, gt=0, le=1_000_000, description="newest events a user that a night reads")
    half_life_days: float = Field(90.0, gt=0, le=36_500, description="age at which an event counts half")
    last_queries: int = Field(
        5, ge=0, le=1_000, description="newest search texts a user that are kept for users with nothing else"
    )
    event_weights: dict[str, float] = Field(
        default_factory=lambda: {"view": 0.2, "cart": 0.5, "favourite": 0.6, "purchase": 1.0, "review": 0.8},
        description="weight of an event type in the support; a type of weight 0, or not named, makes no history of a user",
    )

    @field_validator("event_weights")
    @classmethod
    def _weights(cls, value: dict[str, float]) -> dict[str, float]:
        checks.known_event_types(value)
        if wrong := [f"{kind} weighs {weight:g}" for kind, weight in value.items() if not 0 <= weight <= MOST_WEIGHT]:
            raise ValueError(f"{wrong[0]}; a weight is from 0 to {MOST_WEIGHT:,}")
        return value


class RuleSettings(Part):
    """What the shop knows beforehand."""

    knowledge: str = Field(
        "",
        description="folder of categories.yaml, substitutes.yaml, blocked.yaml and age_limits.yaml, as far as they are there: "
        "see docs/knowledge.md; empty: none",
    )

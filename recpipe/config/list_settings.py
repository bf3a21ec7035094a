"""Settings of lists, of exploration and of fairness."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from recpipe.config.part import Part

_ITEM_GROUP: Final = re.compile(r"category:\d{1,2}|brand|newness|popularity|price")
_ITEM_GROUPS: Final = "category:LEVEL (0 = root), brand, newness, popularity and price"
_USER_GROUP: Final = re.compile(r"country|platform|cohort|attributes\..+")
_USER_GROUPS: Final = "country, platform, cohort and attributes.KEY"
_NAMES: Final = {"newness": ("new", "old"), "popularity": ("head", "middle", "tail"), "price": ("low", "middle", "high")}


class ListSettings(Part):
    """What a list is."""

    top_k: int = Field(20, gt=0, le=10_000, description="items of a list")
    seen_items: Literal["exclude", "allow"] = Field("exclude", description="may a list hold what the user has already met?")
    max_per_category: int = Field(0, ge=0, le=10_000, description="most items of one category in a list; 0: no limit")
    category_level: int = Field(1, ge=0, le=100, description="level of the category tree that the limit counts, 0 = root")
    popular_half_life_days: float = Field(
        14.0, gt=0, le=36_500, description="age at which an event counts half for what is popular now"
    )
    min_country_users: int = Field(
        20, gt=0, le=1_000_000_000, description="customers of a country from which its own favourites are trusted"
    )
    shards: int = Field(2, gt=0, le=10_000, description="user shards of a nightly run; the rows do not depend on it")


class ExplorationSettings(Part):
    """Places of lists that are given to new items by a draw (docs/new-items.md)."""

    explore_places: int = Field(
        0, ge=0, le=10_000, description="places of each list that are given to new items by a draw; 0: none"
    )
    explore_days: int = Field(
        28, ge=0, le=36_500, description="days from its first delivery on in which an item counts as new for the draw"
    )
    explore_events: int = Field(
        5, ge=0, le=1_000_000, description="events below which an older item still counts as new; 0: age alone counts"
    )
    explore_temperature: float = Field(
        1.0,
        gt=0,
        le=1_000_000,
        description="spread of the draw: new items are the likelier the better their scores; the higher, the more alike",
    )
    explore_uniform: float = Field(
        0.2,
        ge=0.001,
        le=1,
        description="share of the draw that treats all new items alike: logs then say something of each of them",
    )
    explore_rank: int = Field(
        0, ge=0, le=10_000, description="first of the ranks that drawn items take; 0: the last ranks of the list"
    )


class FairnessSettings(Part):
    """Groups whose exposure and quality are measured, and what a list may know (docs/fairness.md)."""

    item_groups: list[str] = Field(
        default_factory=lambda: ["popularity", "newness"],
        description="item groups whose exposure is measured each night: category:LEVEL, brand, newness, popularity, price",
    )
    user_groups: list[str] = Field(
        default_factory=lambda: ["country"],
        description="user groups whose quality is measured each night: country, platform, cohort, attributes.KEY",
    )
    new_item_days: int = Field(
        28, gt=0, le=36_500, description="days from its first delivery on in which an item is in the group newness=new"
    )
    least_exposure: dict[str, float] = Field(
        default_factory=dict,
        description="item group, such as newness=new or brand=Acme -> least share of the places of each list; empty: no such rule",
    )
    use_country: bool = Field(True, description="may the country of an account be an input of its list?")
    use_attributes: list[str] = Field(
        default_factory=list,
        description="keys of the users' attributes that a task may ask for (episodes.read_attributes); no list, profile or audience "
        "of recpipe's own is made from any",
    )

    @field_validator("item_groups", "user_groups")
    @classmethod
    def _known_groups(cls, value: list[str], info: ValidationInfo) -> list[str]:
        pattern, known = (_ITEM_GROUP, _ITEM_GROUPS) if info.field_name == "item_groups" else (_USER_GROUP, _USER_GROUPS)
        if wrong := [kind for kind in value if not pattern.fullmatch(kind)]:
            raise ValueError(f"'{wrong[0]}' is no kind of group; there are {known}")
        return list(dict.fromkeys(value))

    @field_validator("least_exposure")
    @classmethod
    def _least_shares(cls, value: dict[str, float]) -> dict[str, float]:
        for group, share in value.items():
            kind, _, name = group.partition("=")
            if not name or not _ITEM_GROUP.fullmatch(kind):
                raise ValueError(f"'{group}' is no group of items, such as newness=new or brand=Acme; there are {_ITEM_GROUPS}")
            if name not in _NAMES.get(kind, (name,)):
                raise ValueError(f"'{group}' is no group: {kind} is one of {', '.join(_NAMES[kind])}")
            if not 0 < share <= 1:
                raise ValueError(f"{group} has the share {share:g}; a share is above 0 and at most 1")
        if (total := sum(Fraction(str(share)) for share in value.values())) > 1:
            raise ValueError(f"the shares come to {float(total):g} together, and a list has no more than 1: lower some of them")
        return value

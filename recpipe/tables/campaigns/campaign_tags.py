"""The audience that a campaign asks for by the tags of users' profiles."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import pyarrow.dataset as ds

from recpipe.contract import PROFILE_KINDS, USER_PROFILES
from recpipe.errors import BadSetting, MissingDay
from recpipe.lake.reader import Reader

SIDES: Final = ("any", "all", "none")
LEAST_WEIGHT: Final = 0.3
"""Weight that a tag needs to count, where the file does not say: two to three events of a kind that others hardly have."""


@dataclass(frozen=True)
class TagFilter:
    """Which tags a user's profile must have; see `recpipe.tables.profiles.user_profiles`.

    Attributes
    ----------
    any, all, none
        At least one of the first, every one of the second, none of the third; an empty one asks nothing.
    least_weight
        A tag of a lower weight counts as absent.
    """

    any: tuple[str, ...]
    all: tuple[str, ...]
    none: tuple[str, ...]
    least_weight: float

    def fits(self, tags: set[str]) -> bool:
        """Whether a user with these tags is asked for."""
        wanted = not self.any or bool(tags.intersection(self.any))
        return wanted and tags.issuperset(self.all) and not tags.intersection(self.none)


def read_filter(value: Any, refuse: Callable[[str], BadSetting]) -> TagFilter | None:
    """Read the value of the key ``audience`` of a campaign; None where it is absent.

    Raises
    ------
    BadSetting
        If it is amiss; ``refuse`` adds file and line.
    """
    if value is None:
        return None
    keys = (*SIDES, "least_weight")
    if not isinstance(value, dict) or not value:
        raise refuse(f"'audience' is {value!r}; it has to be a mapping with some of the keys {', '.join(keys)}.")
    if unknown := sorted(set(map(str, value)) - set(keys)):
        raise refuse(f"there is no key '{unknown[0]}' in 'audience'; there are: {', '.join(keys)}.")
    tags = {side: _tags(side, value.get(side), refuse) for side in SIDES}
    if not any(tags.values()):
        raise refuse(f"'audience' names no tag; give one of {', '.join(SIDES)} a list of tags.")
    least = value.get("least_weight", LEAST_WEIGHT)
    if isinstance(least, bool) or not isinstance(least, int | float) or not 0 <= least <= 1:
        raise refuse(f"'least_weight' is {least!r}; it has to be a number from 0 to 1.")
    return TagFilter(tags["any"], tags["all"], tags["none"], float(least))


def _tags(side: str, value: Any, refuse: Callable[[str], BadSetting]) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not value or not all(isinstance(tag, str) for tag in value):
        raise refuse(f"'{side}' of 'audience' is {value!r}; it has to be a list of tags, such as [\"price:low\"].")
    for tag in value:
        kind, colon, name = tag.partition(":")
        if kind not in PROFILE_KINDS or not colon or not name:
            kinds = ", ".join(PROFILE_KINDS)
            raise refuse(f"'{tag}' in 'audience' is no tag: write KIND:NAME, such as price:low, with one of the kinds {kinds}.")
    return tuple(dict.fromkeys(value))


def outside(reader: Reader, name: str, asked: TagFilter | None, users: Iterable[str], day: date) -> set[str]:
    """Return the users whose profile of the day before is not what a campaign asks for.

    The day before, since profiles of the day itself are made at the same time as its audiences.

    Raises
    ------
    MissingDay
        If the profiles of the day before are not published.
    """
    if asked is None:
        return set()
    before = day - timedelta(days=1)
    if before not in reader.days(USER_PROFILES.name):
        raise MissingDay(
            f"Campaign '{name}' asks for tags of users, but {USER_PROFILES.name} of {before} is not published: run the DAG "
            f"profile_users, or `recpipe task {USER_PROFILES.name} --day {before}`, and then this day again."
        )
    tags = [*asked.any, *asked.all, *asked.none]
    only = ds.field("tag").isin(tags) & (ds.field("weight") >= asked.least_weight)
    found: dict[str, set[str]] = {}
    for row in reader.read(USER_PROFILES.name, before, before, ["user_id", "tag"], only).to_pylist():
        found.setdefault(row["user_id"], set()).add(row["tag"])
    return {user for user in users if not asked.fits(found.get(user, set()))}

"""The rules once more, the slow way: an item and a user at a time, for the audits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from itertools import product

import numpy as np
from numpy.typing import NDArray

from recpipe.knowledge.ages import OLDEST
from recpipe.knowledge.rules import DayRules
from recpipe.knowledge.words import Knowledge, Path


def is_blocked(knowledge: Knowledge, day: date, item: str, path: Path, country: str) -> bool:
    """Whether an item must not be recommended on a day in a country; an unknown one (empty) may be any."""
    return any(
        block.holds(day) and block.name.means(item, path) and (not block.countries or not country or country in block.countries)
        for block in knowledge.blocked
    )


def is_too_young(knowledge: Knowledge, item: str, path: Path, age: int) -> bool:
    """Whether somebody of so many years, less than 0 for an unknown age, must not be shown an item."""
    return any(age < limit.age and limit.name.means(item, path) for limit in knowledge.age_limits)


def may_not(knowledge: Knowledge, day: date, item: str, path: Path, country: str, age: int) -> bool:
    """Whether an item of a category of the tree must not be shown to a user."""
    return is_blocked(knowledge, day, item, path, country) or is_too_young(knowledge, item, path, age)


def refusals(rules: DayRules, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return what some users must not be shown, found without the arrays that lists are made from.

    Returns
    -------
    NDArray
        (rows,) kind of each user: users of one kind are of one country and age.
    NDArray
        (kinds, items).
    """
    known, day = rules.knowledge, rules.day
    both = list(zip(rules.item_ids, rules.categories, strict=True))
    # who is unknown is barred from the most: whatever they may see, everybody may
    risky = [at for at, (item, path) in enumerate(both) if may_not(known, day, item, path, "", -1)]
    kinds: dict[tuple[str, int], int] = {}
    kind = [kinds.setdefault((rules.countries[row], int(rules.ages[row])), len(kinds)) for row in rows]
    found = np.zeros((max(len(kinds), 1), len(both)), np.bool_)
    for (country, age), at in kinds.items():
        found[at, risky] = [may_not(known, day, *both[item], country, age) for item in risky]
    return np.array(kind, np.intp), found


def barred_from_some(rules: DayRules) -> set[str]:
    """Return the ids of the items that a user of whom nothing is known must not be shown: what anybody is barred from."""
    both = zip(rules.item_ids, rules.categories, strict=True)
    return {str(item) for item, path in both if may_not(rules.knowledge, rules.day, item, path, "", -1)}


def count_refused(rules: DayRules, shown: Iterable[tuple[str, str]]) -> int:
    """Count the pairs of user and item, by id, that break a rule; who or what is not known here breaks none."""
    path_of = dict(zip(rules.item_ids, rules.categories, strict=True))
    user_of = {user: row for row, user in enumerate(rules.user_ids)}
    return sum(
        may_not(rules.knowledge, rules.day, item, path_of[item], rules.countries[user_of[user]], int(rules.ages[user_of[user]]))
        for user, item in shown
        if user in user_of and item in path_of
    )


def count_substitutes(rules: DayRules, pairs: Sequence[tuple[str, str]]) -> int:
    """Count the pairs of items, by id, that are of one group of substitutes."""
    if not rules.knowledge.substitutes:
        return 0
    path_of = dict(zip(rules.item_ids, rules.categories, strict=True))
    groups: dict[str, set[int]] = {}
    for item in {item for pair in pairs for item in pair}:
        named = enumerate(rules.knowledge.substitutes)
        groups[item] = {at for at, group in named if any(name.means(item, path_of.get(item, ())) for name in group.names)}
    return sum(bool(groups[item] & groups[other]) for item, other in pairs)


def count_worse(rules: DayRules, pairs: Iterable[tuple[str, str]]) -> int:
    """Count the pairs of items, by id, whose second is blocked everywhere, or barred from somebody who may be shown the first."""
    known, day = rules.knowledge, rules.day
    path_of = dict(zip(rules.item_ids, rules.categories, strict=True))
    countries = sorted({"", "\0 any other", *(name for block in known.blocked for name in block.countries)})
    ages = sorted({-1, OLDEST, *(limit.age for limit in known.age_limits), *(limit.age - 1 for limit in known.age_limits)})
    barred_from: dict[str, set[tuple[str, int]]] = {}
    pairs = [pair for pair in pairs if set(pair) <= path_of.keys()]
    for item in {item for pair in pairs for item in pair}:
        everybody = product(countries, ages) if may_not(known, day, item, path_of[item], "", -1) else ()
        barred_from[item] = {who for who in everybody if may_not(known, day, item, path_of[item], *who)}
    everywhere = len(countries) * len(ages)
    return sum(
        len(barred_from[other]) == everywhere or not barred_from[other] <= barred_from[item] for item, other in pairs
    )  # fmt: skip


def turned_away(rules: DayRules, items: Iterable[str]) -> set[str]:
    """Return the ids of users who must not be addressed about some items: too young for one of them, or barred from all."""
    known, day = rules.knowledge, rules.day
    path_of = dict(zip(rules.item_ids, rules.categories, strict=True))
    about = [(item, path_of[item]) for item in items if item in path_of]
    people = zip(rules.user_ids, rules.countries, rules.ages, strict=True)
    return {
        user
        for user, country, age in people
        if about
        and (
            any(is_too_young(known, item, path, int(age)) for item, path in about)
            or all(is_blocked(known, day, item, path, country) for item, path in about)
        )
    }

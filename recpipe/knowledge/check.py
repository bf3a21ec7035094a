"""The rules once more, the slow way: an item and a user at a time, for the audits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

import numpy as np
from numpy.typing import NDArray

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


def count_refused(rules: DayRules, shown: Iterable[tuple[str, str]]) -> int:
    """Count the pairs of user and item, by id, that break a rule; who or what is not known here breaks none."""
    path_of = dict(zip(rules.item_ids, rules.categories, strict=True))
    user_of = {user: row for row, user in enumerate(rules.user_ids)}
    return sum(
        may_not(rules.knowledge, rules.day, item, path_of[item], rules.countries[user_of[user]], int(rules.ages[user_of[user]]))
        for user, item in shown
        if user in user_of and item in path_of
    )


def replace_each_other(knowledge: Knowledge, paths: Mapping[str, Path], item: str, other: str) -> bool:
    """Whether two items are of one group of substitutes; ``paths`` are those of the tree, by item."""
    return any(
        all(any(name.means(one, paths.get(one, ())) for name in group.names) for one in (item, other))
        for group in knowledge.substitutes
    )

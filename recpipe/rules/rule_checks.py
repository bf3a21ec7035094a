"""The rules once more, the slow way: an item and a user at a time, for the audits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from recpipe.rules.ages import OLDEST
from recpipe.rules.day_rules import DayRules
from recpipe.rules.model import Path


@dataclass(frozen=True)
class Said:
    """What the files say of one item: the countries of each block of it on the day (none: all), and its greatest age limit."""

    blocks: tuple[frozenset[str], ...]
    age: int

    def blocked(self, country: str) -> bool:
        """Whether it must not be recommended in a country; an unknown one (empty) may be any."""
        return any(not countries or not country or country in countries for countries in self.blocks)

    def too_young(self, age: int) -> bool:
        """Whether somebody of so many years, less than 0 for an unknown age, must not be shown it."""
        return self.age > max(age, 0)

    def bars(self, country: str, age: int) -> bool:
        """Whether it must not be shown to somebody."""
        return self.blocked(country) or self.too_young(age)


def said_of(rules: DayRules, items: Iterable[str] | None = None) -> dict[str, Said]:
    """Return what the files say of some items, by id, or of all; of those that they do not name nothing stands there."""
    wanted = None if items is None else set(items)
    blocks: dict[tuple[str, Path], list[frozenset[str]]] = {}
    for block in rules.knowledge.blocked:
        if block.holds(rules.day):
            blocks.setdefault(block.name.what, []).append(block.countries)
    ages: dict[tuple[str, Path], int] = {}
    for limit in rules.knowledge.age_limits:
        ages[limit.name.what] = max(limit.age, ages.get(limit.name.what, 0))
    found = {}
    for item, path in zip(rules.item_ids, rules.categories, strict=True):
        if wanted is None or item in wanted:
            names = _names_of(item, path)
            own = tuple(countries for name in names for countries in blocks.get(name, ()))
            age = max(ages.get(name, 0) for name in names)
            if own or age:
                found[str(item)] = Said(own, age)
    return found


def _names_of(item: str, path: Path) -> list[tuple[str, Path]]:
    """Return all that a file can call an item (`Name.what`): its id, its category, and those above."""
    return [(item, ()), *(("", path[:length]) for length in range(1, len(path) + 1))]


def refusals(rules: DayRules, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return what some users must not be shown, found without the arrays that lists are made from.

    Returns
    -------
    NDArray
        (rows,) kind of each user: users of one kind are barred from the same.
    NDArray
        (kinds, items).
    """
    said = said_of(rules)
    place = {item: at for at, item in enumerate(rules.item_ids)}
    named = [place[item] for item in said]
    ways = {one: at for at, one in enumerate(dict.fromkeys(said.values()))}
    way = np.array([ways[one] for one in said.values()], np.intp)
    people = [(rules.countries[row], int(rules.ages[row])) for row in rows]
    bars = {who: tuple(one.bars(*who) for one in ways) for who in dict.fromkeys(people)}
    kinds = {some: at for at, some in enumerate(dict.fromkeys(bars.values()))}
    found = np.zeros((max(len(kinds), 1), len(place)), np.bool_)
    for some, at in kinds.items():
        found[at, named] = np.array(some, np.bool_)[way]
    return np.array([kinds[bars[who]] for who in people], np.intp), found


def barred_from_some(rules: DayRules) -> set[str]:
    """Return the ids of the items that a user of whom nothing is known must not be shown: what anybody is barred from."""
    return {item for item, one in said_of(rules).items() if one.bars("", -1)}


def count_refused(rules: DayRules, shown: Sequence[tuple[str, str]]) -> int:
    """Count the pairs of user and item, by id, that break a rule; who or what is not known here breaks none."""
    said = said_of(rules, (item for _, item in shown))
    row_of = {user: row for row, user in enumerate(rules.user_ids)}
    known = [(row_of[user], said[item]) for user, item in shown if user in row_of and item in said]
    return sum(one.bars(rules.countries[row], int(rules.ages[row])) for row, one in known)


def count_substitutes(rules: DayRules, pairs: Sequence[tuple[str, str]]) -> int:
    """Count the pairs of items, by id, that are of one group of substitutes."""
    if not rules.knowledge.substitutes:
        return 0
    path_of = dict(zip(rules.item_ids, rules.categories, strict=True))
    of_name: dict[tuple[str, Path], set[int]] = {}
    for at, group in enumerate(rules.knowledge.substitutes):
        for name in group.names:
            of_name.setdefault(name.what, set()).add(at)
    groups = {
        item: set().union(*(of_name.get(name, ()) for name in _names_of(item, path_of.get(item, ()))))
        for item in {item for pair in pairs for item in pair}
    }
    return sum(bool(groups[item] & groups[other]) for item, other in pairs)


def count_worse(rules: DayRules, pairs: Sequence[tuple[str, str]]) -> int:
    """Count the pairs of items, by id, whose second is blocked everywhere, or barred from somebody who may be shown the first."""
    said = said_of(rules, (item for pair in pairs for item in pair))
    countries = {"", "\0 any other", *(name for one in said.values() for some in one.blocks for name in some)}
    ages = {0, OLDEST, *(one.age for one in said.values()), *(one.age - 1 for one in said.values())}
    everybody = set(product(countries, ages))
    barred_from = {item: {who for who in everybody if one.bars(*who)} for item, one in said.items()}
    known = [(barred_from.get(item, set()), barred_from[other]) for item, other in pairs if other in said]
    return sum(others == everybody or not others <= own for own, others in known)


def turned_away(rules: DayRules, items: Iterable[str]) -> set[str]:
    """Return the ids of users who must not be addressed about some items: too young for one of them, or barred from all."""
    there = set(rules.item_ids)
    about = [item for item in items if item in there]
    said = said_of(rules, about)
    people = zip(rules.user_ids, rules.countries, rules.ages, strict=True)
    return {
        user
        for user, country, age in people
        if any(one.too_young(int(age)) for one in said.values())
        or (about and len(said) == len(about) and all(one.blocked(country) for one in said.values()))
    }

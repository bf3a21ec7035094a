"""The rules for the catalogue and the users of one day, as arrays."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.lake.reader import Reader
from recpipe.rules.absent_names import warn_of_absent
from recpipe.rules.ages import OLDEST, age_on
from recpipe.rules.model import Knowledge, Name, Path

log = logging.getLogger(__name__)

Flags = NDArray[np.bool_]
UNKNOWN_AGE = -1


@dataclass(frozen=True)
class DayRules:
    """The rules of one day. Users with the same bars share a profile: their country, and the age limits that they reached.

    Attributes
    ----------
    knowledge, day
        What is obeyed, and when.
    item_ids
        (items,) of the catalogue.
    categories
        (items,) path of each in the tree: renamed, and cut where the tree goes no deeper.
    user_ids
        (users,) asked about.
    countries, ages
        (users,) country, empty where unknown; years, `UNKNOWN_AGE` where unknown. Not looked up where no rule asks.
    profile
        (users,) row in the next two.
    blocked, too_young
        (profiles, items).
    """

    knowledge: Knowledge
    day: date
    item_ids: NDArray[np.object_]
    categories: list[Path]
    user_ids: NDArray[np.object_]
    countries: NDArray[np.object_]
    ages: NDArray[np.int64]
    profile: NDArray[np.intp]
    blocked: Flags
    too_young: Flags

    @cached_property
    def bars(self) -> bool:
        """Whether anything is barred for anybody."""
        return bool(self.table.any())

    @property
    def speaks(self) -> bool:
        """Whether anything is barred, or replaces anything else."""
        return self.bars or bool(self.knowledge.substitutes)

    @property
    def open_to_all(self) -> Flags:
        """(items,): what may be shown where no user is known."""
        return np.asarray(~self.table.any(axis=0))

    @cached_property
    def table(self) -> Flags:
        """(profiles, items): what a profile must not be shown."""
        found: Flags = np.logical_or(self.blocked, self.too_young)
        return found

    def barred(self, rows: NDArray[np.intp]) -> Flags:
        """Return (rows, items): what some users must not be shown."""
        return np.asarray(self.table[self.profile[rows]])

    def turned_away(self, items: NDArray[np.intp]) -> Flags:
        """Return (users,): who must not be addressed about some items, too young for one of them or barred from all."""
        if not len(items):
            return np.zeros(len(self.user_ids), np.bool_)
        of_profile = np.logical_or(self.too_young[:, items].any(axis=1), self.blocked[:, items].all(axis=1))
        return np.asarray(of_profile[self.profile], np.bool_)

    @cached_property
    def groups(self) -> sp.csr_matrix:
        """(items, groups) ones: the groups of substitutes that each item is in."""
        groups = self.knowledge.substitutes
        meant = _meant([name for group in groups for name in group.names], self.item_ids, self.categories)
        of_name = [at for at, group in enumerate(groups) for _ in group.names]
        group = [at for at, some in zip(of_name, meant, strict=True) for _ in some]
        item = np.concatenate([np.zeros(0, np.intp), *meant])
        found = sp.csr_matrix((np.ones(len(item)), (item, group)), (len(self.item_ids), len(groups)))
        found.data[:] = 1.0  # an item that is named, and whose category is, too, would count twice
        return found

    def may_complete(self, item: NDArray[np.integer], other: NDArray[np.integer]) -> Flags:
        """Return (pairs,): whether the second may stand beside the first for everybody who may be shown the first.

        Not where the two replace each other, the second is blocked everywhere, or somebody is barred from it alone.
        """
        found = np.ones(len(item), np.bool_)
        if self.knowledge.substitutes:
            found &= np.asarray(self.groups[item].multiply(self.groups[other]).sum(axis=1)).ravel() == 0
        anybody = np.asarray(self.table.any(axis=0))
        some = np.flatnonzero(anybody[other])
        theirs, own = self.table[:, other[some]], self.table[:, item[some]]
        found[some] &= ~np.logical_and(theirs, ~own).any(axis=0) & ~theirs.all(axis=0)
        return found

    def may_join(
        self, carts: sp.csr_matrix, rows: NDArray[np.integer], cart: NDArray[np.integer], item: NDArray[np.integer]
    ) -> Flags:
        """Return (pairs,): whether an item may be offered with a cart, being barred from its user nor replacing what it holds.

        Parameters
        ----------
        carts
            (carts, items): not 0 where the cart holds the item.
        rows
            (carts,) row in ``user_ids``.
        cart, item
            (pairs,) row of the cart, and of the item.
        """
        found = ~self.table[self.profile[rows[cart]], item]
        if self.knowledge.substitutes:
            held = sp.csr_matrix(carts @ self.groups)
            found &= np.asarray(held[cart].multiply(self.groups[item]).sum(axis=1)).ravel() == 0
        return np.asarray(found)


def day_rules(
    knowledge: Knowledge,
    reader: Reader,
    day: date,
    item_ids: NDArray[np.object_],
    categories: Sequence[Path],
    user_ids: NDArray[np.object_] | None = None,
    person_ids: NDArray[np.object_] | None = None,
) -> DayRules:
    """Return what knowledge says of a day.

    Parameters
    ----------
    knowledge
        What is obeyed (`recpipe.rules.plan_copies.of_plan`).
    reader
        The users' countries and attributes are read as of the day, where a rule asks for them.
    day
        The day.
    item_ids, categories
        (items,) of the catalogue; categories as they were delivered.
    user_ids
        (users,) who are asked about, sorted; nobody if None.
    person_ids
        (users,) who stands for each: accounts of one person have its country, the first that one of them has, and the least
        of their ages. None: each for themselves.
    """
    user_ids = np.array([], object) if user_ids is None else user_ids
    paths = knowledge.tree.of_all(categories)
    warn_of_absent(knowledge, day, item_ids, categories)
    blocks = [block for block in knowledge.blocked if block.holds(day)]
    named = sorted(set().union(*(block.countries for block in blocks)))
    limits = np.array(sorted({limit.age for limit in knowledge.age_limits}), np.int64)
    countries, ages = _people(knowledge, reader, day, user_ids, named)
    if person_ids is not None:
        countries, ages = _as_persons(countries, ages, person_ids)
    # profiles: each named country, an unknown one (which may be any of them), and every other; by age limits reached
    place = {country: row for row, country in enumerate([*named, ""])}
    of_country = np.array([place.get(country, len(place)) for country in countries], np.intp)
    reached = np.searchsorted(limits, ages, side="right")
    blocked = np.zeros((len(named) + 2, len(item_ids)), np.bool_)
    for block, meant in zip(blocks, _meant([one.name for one in blocks], item_ids, paths), strict=True):
        rows = [*(place[one] for one in block.countries), place[""]] if block.countries else range(len(blocked))
        blocked[np.ix_(np.array(rows, np.intp), meant)] = True
    young = _too_young(knowledge, limits, item_ids, paths)
    return DayRules(
        knowledge, day, item_ids, paths, user_ids, countries, ages,
        profile=of_country * len(young) + reached,
        blocked=np.repeat(blocked, len(young), axis=0),
        too_young=np.tile(young, (len(blocked), 1)),
    )  # fmt: skip


def _as_persons(
    countries: NDArray[np.object_], ages: NDArray[np.int64], person_ids: NDArray[np.object_]
) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Return what accounts of one person have in common; rows are in the order of their ids."""
    people, who = np.unique(person_ids, return_inverse=True)
    known = np.flatnonzero(countries != "")[::-1]
    first, least = np.full(len(people), "", object), np.full(len(people), OLDEST, np.int64)
    first[who[known]] = countries[known]
    np.minimum.at(least, who, np.where(ages == UNKNOWN_AGE, OLDEST, ages))
    return first[who], np.where(least == OLDEST, UNKNOWN_AGE, least)[who]


def _too_young(knowledge: Knowledge, limits: NDArray[np.int64], item_ids: NDArray[np.object_], paths: list[Path]) -> Flags:
    """Return (limits + 1, items): what is barred for users who reached none of the limits, the least one, …, all."""
    least = np.zeros(len(item_ids), np.int64)
    meant = _meant([limit.name for limit in knowledge.age_limits], item_ids, paths)
    for limit, some in zip(knowledge.age_limits, meant, strict=True):
        least[some] = np.maximum(least[some], limit.age)
    return np.asarray(least[None, :] > np.concatenate([[0], limits])[:, None])


def _meant(names: Sequence[Name], item_ids: NDArray[np.object_], paths: Sequence[Path]) -> list[NDArray[np.intp]]:
    """Return the rows of the items that each name means: thousands of names of a large catalogue make no large array."""
    if not len(names):
        return []
    place = {item: row for row, item in enumerate(item_ids)}
    shelves: dict[Path, list[int]] = {}
    for row, path in enumerate(paths):
        shelves.setdefault(path, []).append(row)
    found = []
    for name in names:
        own = [place[name.item]] if name.item in place else []
        below = [row for path, rows in shelves.items() if name.means("", path) for row in rows] if name.category else []
        found.append(np.array([*own, *below], np.intp))
    return found


def _people(
    knowledge: Knowledge, reader: Reader, day: date, user_ids: NDArray[np.object_], named: list[str]
) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Return (users,) countries and ages, as far as a rule asks for them."""
    countries, ages = np.full(len(user_ids), "", object), np.full(len(user_ids), UNKNOWN_AGE, np.int64)
    source = knowledge.age_source if knowledge.age_limits else None
    wanted = [*(["country"] if named else []), *(["attributes"] if source else [])]
    if not wanted or not len(user_ids):
        return countries, ages
    rows = reader.as_of("users", day, ["user_id", "day", *wanted]).to_pydict()
    place = {user: row for row, user in enumerate(rows["user_id"])}
    at = [(row, place[user]) for row, user in enumerate(user_ids) if user in place]
    for row, delivered in at if named else ():
        countries[row] = rows["country"][delivered] or ""
    for row, delivered in at if source else ():
        years = age_on(source, dict(rows["attributes"][delivered] or ()).get(source.attribute), day) if source else None
        ages[row] = UNKNOWN_AGE if years is None else years
    if absent := len(set(named) - set(rows.get("country", named))):
        log.warning("%s: blocked.yaml names %d countries that no user of the shop has.", day, absent)
    if source and (unknown := int((ages == UNKNOWN_AGE).sum())):
        log.warning("%s: the age of %d of %d users is unknown: they count as too young.", day, unknown, len(user_ids))
    return countries, ages

"""Accounts of one person, as of a day: their events make one support, and each of them has the person's list.

``users.person_id`` is a label and no reference: accounts that share it are one person, so there are no chains to follow and
none that could close. What counts is the newest delivery of each account up to the day: a link is known from the day on which
it was delivered, and a later delivery moves it or, without a label, ends it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


@dataclass(frozen=True)
class Links:
    """Which accounts stand for one person.

    Attributes
    ----------
    accounts
        (linked,) text, sorted: every account that shares its label with another.
    persons
        (linked,) text: of the person's accounts the first by id, which stands for the person.
    """

    accounts: NDArray[np.object_]
    persons: NDArray[np.object_]

    def persons_of(self, ids: NDArray[np.object_]) -> NDArray[np.object_]:
        """Return (ids,) who stands for each account: itself where it is alone."""
        place = np.minimum(np.searchsorted(self.accounts, ids), len(self.accounts) - 1)
        return np.where(self.accounts[place] == ids, self.persons[place], ids)


def link_accounts(users: pa.Table) -> Links | None:
    """Return the accounts that share a person; None where there are none.

    Parameters
    ----------
    users
        user_id and person_id as of a day, one row an account, by user_id. Without the column nobody is linked.
    """
    if "person_id" not in users.column_names:
        return None
    labelled = users.select(["user_id", "person_id"]).filter(pc.is_valid(users["person_id"]))
    accounts, labels = (labelled[name].to_numpy(zero_copy_only=False).astype(object) for name in labelled.column_names)
    _, first, person, size = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    shared = size[person] > 1
    return Links(accounts[shared], accounts[first[person]][shared]) if shared.any() else None


def as_persons(accounts: pa.ChunkedArray, links: Links | None) -> pa.ChunkedArray:
    """Return a column of accounts with each as who stands for it; nulls stay."""
    if links is None:
        return accounts
    place = pc.index_in(accounts, value_set=pa.array(links.accounts, pa.string()), skip_nulls=True)
    return pc.coalesce(pa.chunked_array([pa.array(links.persons, pa.string())]).take(place), accounts)


def merge_accounts(users: pa.Table, links: Links | None) -> pa.Table:
    """Return one row a person: registered when the first of the accounts was, in the first country that one of them has.

    Parameters
    ----------
    users
        user_id, registered_at and country as of a day, one row an account, by user_id.
    links
        Which accounts are one person.
    """
    if links is None:
        return users
    ids = users["user_id"].to_numpy(zero_copy_only=False).astype(object)
    persons, first, person = np.unique(links.persons_of(ids), return_index=True, return_inverse=True)
    given = pc.if_else(pc.equal(users["country"], ""), pa.scalar(None, pa.string()), users["country"])
    rows = pa.table({"person": person, "registered_at": users["registered_at"], "country": given})
    found = (
        pa.TableGroupBy(rows, "person", use_threads=False)
        .aggregate([("registered_at", "min"), ("country", "first")])
        .sort_by("person")
    )
    alone = np.bincount(person) == 1  # an account alone keeps its row as it is
    country = pc.if_else(pa.array(alone), users["country"].take(pa.array(first)), found["country_first"])
    return pa.table({"user_id": pa.array(persons, pa.string()), "registered_at": found["registered_at_min"], "country": country})

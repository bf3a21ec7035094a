"""The truth of a list: the items that users took after its day, and those that they had met before it."""

from __future__ import annotations

from datetime import date

import numpy as np
from numpy.typing import NDArray

from recpipe.contract import POSITIVE_EVENT_TYPES
from recpipe.dataset.catalogue_reader import codes_of
from recpipe.dataset.cohorts import UserDay, met_pairs
from recpipe.lake.reader import Reader
from recpipe.metrics.ranking import Truth


def seen_items(users: UserDay) -> Truth:
    """Return the items that each user has met in what a night reads, those sent back included."""
    return Truth.from_pairs(*met_pairs(users, np.arange(len(users))), len(users))


def new_items(reader: Reader, users: UserDay, item_ids: NDArray[np.object_], first: date, last: date) -> Truth:
    """Return the items that each user newly met in the days first to last, and did not send back in them.

    Only items count that a list of the users' day could hold: delivered by that day, and not met by the user before.

    Parameters
    ----------
    reader
        Sees the events of the days.
    users
        As of the lists' day.
    item_ids
        (items,) catalogue as of the lists' day.
    first, last
        Both included.
    """
    events = reader.events(first, last, ["user_id", "item_id", "event_type"])
    user, item = codes_of(events["user_id"], users.user_ids), codes_of(events["item_id"], item_ids)
    known = (user >= 0) & (item >= 0)
    kind = events["event_type"].to_numpy()
    pair = user * len(item_ids) + item
    taken = np.unique(pair[known & np.isin(kind, POSITIVE_EVENT_TYPES)])
    taken = np.setdiff1d(taken, pair[known & (kind == "return")])
    seen = seen_items(users)
    taken = np.setdiff1d(taken, np.repeat(np.arange(len(seen)), seen.size) * len(item_ids) + seen.item)
    return Truth.from_pairs(taken // max(len(item_ids), 1), taken % max(len(item_ids), 1), len(users))

"""Users who came after a cut, as if new: at k = 0, 1, 3, 5 and 10 items, with the items met afterwards."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.contract import FEW, ZERO
from recpipe.dataset.as_of import Known, country_codes, distinct_pairs, read_known
from recpipe.dataset.catalogue_reader import codes_of
from recpipe.dataset.cohorts import UserDay, users_of
from recpipe.dataset.episodes import Episodes, cut_as_new
from recpipe.dataset.history import Evidence, History, events_of
from recpipe.lake.reader import Reader
from recpipe.metrics.ranking import Truth
from recpipe.training.windows import NEW_USER_SIZES

ALL_EVENTS = 2**62


@dataclass(frozen=True)
class Newcomers:
    """Persons who came after a cut, each once for every k; row r of everything is the same person and k.

    Attributes
    ----------
    users
        As a night sees its users: supports of the first k items alone, and what was met up to then. Their ids are row
        numbers, so that nothing that the shop says of a user reaches a list.
    truth
        What was newly met afterwards; nobody met nothing.
    person
        (rows,) code of the person.
    came
        Persons who registered after the cut, those without anything to measure among them.
    """

    users: UserDay
    truth: Truth
    person: NDArray[np.int64]
    came: int

    @property
    def k(self) -> NDArray[np.int64]:
        """(rows,) items that the support holds."""
        return self.users.support.k


def read_newcomers(reader: Reader, settings: Settings, at_cut: Evidence, trained_until: date, day: date) -> Newcomers:
    """Return who registered after a day, and what they met up to another.

    The protocol is that of `recpipe benchmark new-users` (`recpipe.dataset.episodes.cut_as_new`): the support is the first k distinct
    items, the instant t0 the time of the last of them, the query what is met first in (t0, t0 + horizon]; for k = 0 from the
    first event on. Items that were first delivered after the cut no model of the cut knows: they are left out of both.

    Parameters
    ----------
    reader
        Sees the lake.
    settings
        Horizon (``replay_horizon_days``), half-life, weights of events.
    at_cut
        What was known at the end of ``trained_until``.
    trained_until
        The last day before the cut.
    day
        The last day that is looked at.
    """
    since = {"lookback_days": (day - trained_until).days, "last_events": ALL_EVENTS}
    known = read_known(reader, settings.changed(**since), day)
    users = users_of(known, settings, day)
    history, came = _of_newcomers(known, users, at_cut)
    episodes = cut_as_new(
        history,
        at_cut.until,
        window_days=float((day - trained_until).days + 1),
        horizon_days=float(settings.replay.replay_horizon_days),
        half_life_days=settings.history.half_life_days,
        sizes=NEW_USER_SIZES,
    )
    country = users.country[np.searchsorted(users.user_ids, history.user_ids)]
    served = _served(episodes, country, at_cut, settings, trained_until)
    truth = Truth(episodes.query_indptr.astype(np.int64), episodes.query_item.astype(np.int32))
    return Newcomers(served, truth, episodes.user.astype(np.int64), came)


def _of_newcomers(known: Known, users: UserDay, at_cut: Evidence) -> tuple[History, int]:
    """Return the history of those who registered after the cut, in the codes of the cut's catalogue, and their number."""
    new = (users.registered_at >= at_cut.until) & ~np.isin(users.user_ids, known.traces.earlier_user_ids)
    history = known.evidence.history
    mine = new[np.searchsorted(users.user_ids, history.user_ids)]
    code = codes_of(pa.array(known.evidence.catalogue.item_ids, pa.string()), at_cut.catalogue.item_ids)[history.item]
    rows = np.flatnonzero(mine[history.user] & (code >= 0))
    country = country_codes(users.country[np.searchsorted(users.user_ids, history.user_ids)], at_cut.history.country_names)
    found = replace(events_of(history, rows), item=code[rows].astype(np.int32), country=country)
    return found, int((new & (users.user_ids == users.person_ids)).sum())


def _served(
    episodes: Episodes, country: NDArray[np.object_], at_cut: Evidence, settings: Settings, trained_until: date
) -> UserDay:
    """Return the episodes as users of a night: what stands in a support is all that is known of them."""
    count, support = len(episodes), episodes.support
    ids = np.array([f"newcomer {row:09d}" for row in range(count)], object)
    ahead = np.zeros(count) if support.ahead_days is None else support.ahead_days
    t0 = at_cut.until + (ahead * 86_400_000_000).astype("timedelta64[us]")
    met = distinct_pairs(np.repeat(np.arange(count), np.diff(episodes.seen_indptr)), episodes.seen_item)
    return UserDay(
        user_ids=ids,
        person_ids=ids,
        cohort=np.where(support.k > 0, FEW, ZERO).astype(object),
        country=country[episodes.user],
        registered_at=t0,
        support=support,
        support_ts=np.repeat(t0, support.k) - (support.age_days * 86_400_000_000).astype("timedelta64[us]"),
        query_texts=[()] * count,
        returns=np.empty((0, 2), np.int32),
        met=np.stack(met, axis=1),
    )

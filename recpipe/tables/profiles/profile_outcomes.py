"""The outcomes of users' tags: the share of their later purchases under them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import pyarrow.dataset as ds
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.contract import USER_PROFILES
from recpipe.lake.reader import Reader, window
from recpipe.pipeline.table import Metric
from recpipe.pipeline.task_outcomes import mean_metric
from recpipe.tables.profiles.preferences import Family
from recpipe.tables.profiles.profile_events import Catalogue, Happened, read_catalogue, read_happened
from recpipe.tables.profiles.profile_signals import INTERESTS, interests, without_texts

POPULAR: Final = "popular_tags"
"""The baseline: the tags under which most was bought in the days that a profile reads, the same for everybody."""
AVERAGE: Final = "all_users"
"""The baseline of an audience: the share of all buyers that buy under the same tags."""
FIRST_TAGS: Final = 10
LEAST_WEIGHT: Final = 0.3
MEASURED: Final = (*INTERESTS, "price", "rhythm")
"""Kinds that can be measured by what users do, without reading texts."""

Bought = dict[str, dict[str, int]]
"""Item ids by user, and how often each was bought."""


def measure(settings: Settings, reader: Reader, made_on: date, day: date) -> list[Metric]:
    """Compare the tags of interest with what their users bought in the days since.

    Of each kind, over the users with a tag of it who bought something that has one: ``tag_recall@10`` is the share of these
    purchases that fall under one of the ten tags of the user with the most evidence, beside the ten most popular tags for
    everybody (categories: whole paths only); ``tag_recall_gain`` is the paired difference. ``tag_hit_rate`` is the share of
    a user's tags with a weight of at least .3 under which the user buys, beside the share of all buyers who do; of these
    two the gain is a ratio of the means less 1. Of these kinds, prices and rhythm, ``tag_share`` is the share of what a user does
    in these days that falls under a tag of the user (mean over the tags, by weight), beside that of all users under the
    same tags: how much a user does plays no part in it; ``tag_share_gain`` is the ratio of the means less 1. Intervals are of
    the user bootstrap.
    """
    items = read_catalogue(reader, day)
    tags = _narrow(items)
    since = purchases(reader, made_on + timedelta(days=1), day)
    before = purchases(reader, *window(made_on, settings.history.lookback_days))
    rows = reader.read(USER_PROFILES.name, made_on, made_on, ["user_id", "tag", "kind", "weight", "seen"]).to_pylist()
    found: list[Metric] = []
    for kind in INTERESTS:
        mine = [row for row in rows if row["kind"] == kind]
        found += _recalls(settings, day, kind, mine, tags[kind], before, since)
        found += _hits(settings, day, kind, mine, dict(zip(items.ids, interests(items)[kind], strict=True)), since)
    return found + _shares(settings, day, rows, _since(settings, reader, made_on, day))


def _since(settings: Settings, reader: Reader, made_on: date, day: date) -> Happened:
    """Return what happened after a day and up to another."""
    days = settings.changed(lookback_days=(day - made_on).days)
    return read_happened(days, day, reader)


def _narrow(items: Catalogue) -> dict[str, dict[str, list[str]]]:
    """Return the tags of each item by kind; of its categories the whole path alone."""
    found = {kind: dict(zip(items.ids, rows, strict=True)) for kind, rows in interests(items).items()}
    paths = zip(items.ids, items.categories, strict=True)
    return found | {"category": {item: [f"category:{'>'.join(path)}"] if path else [] for item, path in paths}}


def purchases(reader: Reader, first: date, last: date) -> Bought:
    """Return what each known user bought in some days."""
    bought = (ds.field("event_type") == "purchase") & ds.field("user_id").is_valid() & ds.field("item_id").is_valid()
    rows = reader.events(first, last, ["user_id", "item_id"], bought)
    counted = rows.group_by(["user_id", "item_id"]).aggregate([([], "count_all")])
    found: Bought = {}
    for user, item, count in zip(*(counted[name].to_pylist() for name in ("user_id", "item_id", "count_all")), strict=True):
        found.setdefault(user, {})[item] = count
    return found


def popular(tags: dict[str, list[str]], bought: Bought) -> list[str]:
    """Return the tags under which most was bought, most first."""
    counts: dict[str, int] = {}
    for own in bought.values():
        for item, count in own.items():
            for tag in tags.get(item, ()):
                counts[tag] = counts.get(tag, 0) + count
    return sorted(counts, key=lambda tag: (-counts[tag], tag))


def recall(first: Sequence[str], own: dict[str, int], tags: dict[str, list[str]]) -> float:
    """Return the share of what a user bought that falls under one of some tags; NaN where nothing has a tag."""
    among = set(first)
    whole = sum(count for item, count in own.items() if tags.get(item))
    under = sum(count for item, count in own.items() if among.intersection(tags.get(item, ())))
    return under / whole if whole else float("nan")


def _recalls(
    settings: Settings, day: date, kind: str, rows: list[dict[str, Any]], tags: dict[str, list[str]], before: Bought, since: Bought
) -> list[Metric]:  # fmt: skip
    known = {tag for some in tags.values() for tag in some}
    of_user: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["tag"] in known and row["user_id"] in since:
            of_user.setdefault(row["user_id"], []).append(row)
    most = popular(tags, before)[:FIRST_TAGS]
    users = sorted(of_user)
    own = [
        [row["tag"] for row in sorted(of_user[user], key=lambda row: (-row["seen"], row["tag"]))[:FIRST_TAGS]] for user in users
    ]
    ours = np.array([recall(first, since[user], tags) for user, first in zip(users, own, strict=True)])
    theirs = np.array([recall(most, since[user], tags) for user in users])
    name = f"tag_recall@{FIRST_TAGS}:{kind}"
    return [
        _mean(settings, day, name, ours),
        _mean(settings, day, name, theirs, POPULAR),
        _mean(settings, day, f"tag_recall_gain@{FIRST_TAGS}:{kind}", ours - theirs),
    ]


def _hits(
    settings: Settings, day: date, kind: str, rows: list[dict[str, Any]], tags: dict[str, list[str]], since: Bought
) -> list[Metric]:
    """Return how often users buy under their heavy tags, beside how often others buy under the same."""
    under = {user: {tag for item in own for tag in tags.get(item, ())} for user, own in since.items()}
    buyers: dict[str, int] = {}
    for some in under.values():
        for tag in some:
            buyers[tag] = buyers.get(tag, 0) + 1
    heavy: dict[str, list[str]] = {}
    for row in rows:
        if row["weight"] >= LEAST_WEIGHT and row["user_id"] in since:
            heavy.setdefault(row["user_id"], []).append(row["tag"])
    users = sorted(heavy)
    ours = np.array([np.mean([tag in under[user] for tag in heavy[user]]) for user in users], np.float64)
    theirs = np.array([np.mean([buyers.get(tag, 0) / len(since) for tag in heavy[user]]) for user in users], np.float64)
    name = f"tag_hit_rate:{kind}"
    return [
        _mean(settings, day, name, ours),
        _mean(settings, day, name, theirs, AVERAGE),
        _ratio(settings, day, f"tag_hit_gain:{kind}", ours, theirs),
    ]


def _shares(settings: Settings, day: date, rows: list[dict[str, Any]], since: Happened) -> list[Metric]:
    """Return how much of what users do falls under their tags, beside that of all users."""
    place = {user: number for number, user in enumerate(since.user_ids)}
    made = without_texts(since)
    found: list[Metric] = []
    for kind in MEASURED:
        mine = [row for row in rows if row["kind"] == kind and row["user_id"] in place]
        sums = np.zeros((len(place), 3))  # of the weights, weighted own shares and weighted shares of all
        for family in (one for one in made if one.kind == kind):
            _add_shares(sums, family, mine, place)
        sums = sums[sums[:, 0] > 0]
        ours, theirs = sums[:, 1] / sums[:, 0], sums[:, 2] / sums[:, 0]
        name = f"tag_share:{kind}"
        found += [_mean(settings, day, name, ours), _mean(settings, day, name, theirs, AVERAGE)]
        found.append(_ratio(settings, day, f"tag_share_gain:{kind}", ours, theirs))
    return found


def _add_shares(sums: NDArray[np.float64], family: Family, rows: list[dict[str, Any]], place: dict[str, int]) -> None:
    """Add weight, own share and share of all of the tags of a family whose users have evidence in it."""
    code = {tag: number for number, tag in enumerate(family.tags)}
    known = [row for row in rows if row["tag"] in code and family.own[place[row["user_id"]]] > 0]
    if not known:
        return
    user = np.array([place[row["user_id"]] for row in known], np.int64)
    tag = np.array([code[row["tag"]] for row in known], np.int64)
    weight = np.array([row["weight"] for row in known], np.float64)
    everybody = family.total[tag] / max(family.own.sum(), 1e-12)
    np.add.at(sums, user, weight[:, None] * np.stack([np.ones(len(known)), shares_of(family, user, tag), everybody], axis=1))


def shares_of(family: Family, user: NDArray[np.int64], tag: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (pairs,) share of each user's evidence in a family that is under the tag."""
    import scipy.sparse as sp

    keys, evidence = family.keys, family.evidence
    tags = sp.csr_matrix((keys.share, keys.code, keys.indptr), shape=(len(keys.indptr) - 1, len(family.tags)))
    done = sp.csr_matrix((evidence.amount, (evidence.user, evidence.key)), shape=(len(family.own), tags.shape[0]))
    under = np.asarray((done @ tags)[user, tag], np.float64).ravel()
    return np.asarray(under / np.maximum(family.own[user], 1e-12))


def _mean(settings: Settings, day: date, name: str, values: NDArray[np.float64], by: str = "") -> Metric:
    return mean_metric(settings, name, values, day, USER_PROFILES.name, name, by=by)


def _ratio(
    settings: Settings, day: date, name: str, ours: NDArray[np.float64], theirs: NDArray[np.float64]
) -> Metric:  # fmt: skip
    from recpipe.metrics.intervals import paired_gain, seed_of

    rng = seed_of(settings.training.seed, day, USER_PROFILES.name, name)
    found = paired_gain(ours, theirs, settings.evaluation.bootstrap_draws, rng, settings.evaluation.min_users)
    return Metric(name, found.relative, found.low, found.high, found.users)

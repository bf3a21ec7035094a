"""EASE and item kNN against plain ones, written here from the papers, by nDCG on two real shops."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recpipe.dataset.catalogue import Catalogue
from recpipe.dataset.episodes import as_of, cut_as_new
from recpipe.dataset.history import Evidence, History
from recpipe.models.ease import EASE
from recpipe.training.model_selection import EASES, ITEM_KNNS, best_beside_popularity, tuning_windows
from recpipe.training.quality import Window, measure

SHOPS = {"online_retail_ii": ("2011-03-01", 60), "amazon2014_beauty": ("2013-09-01", 150)}
"""The cut, and the days in which new users come and what they take is looked at."""
ITEMS = 1200
AS_STRONG = 0.98


def read_shop(name):
    """The events of the items that most users met, as evidence without texts."""
    if not os.environ.get("RECPIPE_TEST_DATA"):
        pytest.skip(f"needs real data: set RECPIPE_TEST_DATA to the folder that holds {name}")
    events = pd.read_parquet(Path(os.environ["RECPIPE_TEST_DATA"]) / name / "events.parquet")
    if "is_merchandise" in events:
        events = events[events.is_merchandise & (events.event_type == "purchase") & (events.quantity > 0)]
    events = events.dropna(subset=["user_id", "item_id", "ts"]).drop_duplicates(["user_id", "item_id"])
    most = events.item_id.value_counts(sort=False).sort_index().nlargest(ITEMS).index
    events = events[events.item_id.isin(most)].sort_values(["user_id", "ts", "item_id"], kind="stable")
    user, user_ids = pd.factorize(events.user_id, sort=True)
    item, item_ids = pd.factorize(events.item_id, sort=True)
    ts = events.ts.to_numpy().astype("datetime64[us]")
    ones = np.ones(len(ts), np.float32)
    history = History(user_ids.to_numpy(object), user.astype(np.int32), item.astype(np.int32), ts, ones)
    count = len(item_ids)
    catalogue = Catalogue(
        item_ids=item_ids.to_numpy(object),
        texts=[""] * count,
        vectors=np.zeros((count, 2), np.float32),
        first_day=np.full(count, ts.min().astype("datetime64[D]")),
        available=np.ones(count, bool),
        price=np.ones(count, np.float32),
        categories=[()] * count,
    )
    return Evidence(catalogue, history, history.item, ts, ts.max() + 1)


def new_users_at(shop, cut, days):
    """What was known at an instant, and who came after it, cut at 1, 3 and 5 items."""
    known = as_of(shop, cut, cut.astype("datetime64[D]"))
    episodes = cut_as_new(shop.history, cut, window_days=days, horizon_days=days, half_life_days=90.0, sizes=(1, 3, 5))
    return Window(dataclasses.replace(known, catalogue=shop.catalogue), episodes)


@pytest.fixture(scope="module", params=SHOPS)
def cuts(request):
    """A window to measure on, and an earlier one to choose numbers on, whose users' events all lie before the first."""
    day, days = SHOPS[request.param]
    shop, cut = read_shop(request.param), np.datetime64(day, "us")
    before = as_of(shop, cut, cut.astype("datetime64[D]"))
    return new_users_at(shop, cut, days), new_users_at(before, cut - np.timedelta64(2 * days, "D"), days)


def met_by(window):
    """(users, items) 1 where they met."""
    history = window.evidence.history
    met = np.zeros((len(history.user_ids), len(window.evidence.catalogue)), np.float32)
    met[history.user, history.item] = 1
    return met


def plain_ease(met, strength):
    """Steck 2019, equation 8; NumPy alone."""
    inverse = np.linalg.inv(met.T @ met + strength * np.eye(met.shape[1], dtype=np.float32))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


def plain_cosine(met, shrinkage, neighbours):
    """Row j: how like item j is to each item, of which the nearest stay; the cosine, shrunk."""
    together = met.T @ met
    length = np.sqrt(np.diag(together))
    like = together / (np.outer(length, length) + shrinkage + 1e-9)
    np.fill_diagonal(like, 0)
    like[like < np.sort(like, axis=1)[:, [-neighbours]]] = 0
    return like


def plain_ndcg(window, says):
    """Mean nDCG@10 of the plain sum of the support's rows."""
    episodes, found = window.episodes, []
    for row in range(len(episodes)):
        support, seen, query = (
            item[slice(*indptr[row : row + 2])]
            for indptr, item in (
                (episodes.support.indptr, episodes.support.item),
                (episodes.seen_indptr, episodes.seen_item),
                (episodes.query_indptr, episodes.query_item),
            )
        )
        score = says[support].sum(0)
        score[seen] = -np.inf
        hit = np.isin(np.argsort(-score, kind="stable")[:10], query)
        discount = 1 / np.log2(np.arange(2, 12))
        found.append((hit * discount).sum() / discount[: len(query)].sum())
    return float(np.mean(found))


def ours(window, learner):
    return float(measure(learner, window.evidence, window.episodes).ndcg.mean())


@pytest.mark.parametrize("strength", [200.0, 2000.0])
def test_ease_ranks_as_well_as_a_plain_one_of_the_same_strength(cuts, strength):
    window, _ = cuts
    assert len(window.episodes) > 100
    assert ours(window, EASE(strength)) >= AS_STRONG * plain_ndcg(window, plain_ease(met_by(window), strength))


def test_ease_with_numbers_of_an_earlier_time_ranks_as_well_as_a_plain_one(cuts):
    window, earlier = cuts
    chosen = best_beside_popularity(EASES, tuning_windows([earlier]), 10)
    assert ours(window, chosen) >= AS_STRONG * plain_ndcg(window, plain_ease(met_by(window), chosen.strength))


@pytest.mark.parametrize("shrinkage", [0.0, 10.0])
def test_item_knn_with_numbers_of_an_earlier_time_ranks_as_well_as_a_plain_one(cuts, shrinkage):
    window, earlier = cuts
    chosen = best_beside_popularity(ITEM_KNNS, tuning_windows([earlier]), 10)
    assert ours(window, chosen) >= AS_STRONG * plain_ndcg(window, plain_cosine(met_by(window), shrinkage, 200))

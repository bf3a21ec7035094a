"""The benchmark of items that nobody had bought before the cut asks what it says it asks."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.new_items import WordPrototype, by_chance, measure, populations, read
from recpipe.config.settings import load_settings
from recpipe.experiments.split import Split
from recpipe.experiments.split_evidence import split_evidence
from recpipe.metrics.ndcg import ndcg
from recpipe.metrics.ranking import Truth, hits, recall

CUT = np.datetime64("2011-03-01", "us")
ITEMS = {"a": "red cup", "b": "blue cup", "n1": "red pot", "n2": "blue pot", "n3": "red lamp"}
EVENTS = [
    ("old", "a", "2011-02-01"), ("old", "a", "2011-02-03"), ("idle", "b", "2011-02-01"),
    ("old", "n1", "2011-03-02"), ("old", "b", "2011-03-03"), ("old", "n2", "2011-03-20"), ("late", "n1", "2011-03-12"),
    ("new", "b", "2011-03-04"), ("new", "n3", "2011-03-05"), ("new", "n1", "2011-03-06"), ("new", "n1", "2011-03-09"),
]  # fmt: skip


@pytest.fixture
def log() -> tuple[pa.Table, pa.Table]:
    events = sorted(EVENTS, key=lambda row: (row[2], row[0], row[1]))
    columns = {name: [row[n] for row in events] for n, name in enumerate(("user_id", "item_id", "ts"))}
    columns |= {"ts": np.array(columns["ts"], "datetime64[us]"), "event_type": ["purchase"] * len(events)}
    return pa.table(columns), pa.table({"item_id": list(ITEMS), "title": list(ITEMS.values())})


def test_who_is_asked_for_what(log):
    cold = np.array([name.startswith("n") for name in ITEMS])
    known, new = dict(populations(*log, cold, CUT, 10, load_settings())).values()
    # old took n1 within ten days, and n2 after them; idle took nothing; late came after the cut
    assert (known.support.k.tolist(), known.support.item.tolist(), known.truth.item.tolist()) == ([1], [0], [2])
    assert known.support.age_days.tolist() == [26]
    # new: with one item n3 and n1 are asked for; three items leave nothing. late: nothing is left after the first item
    assert new.person.tolist() == [2]
    assert (new.support.item.tolist(), new.truth.item.tolist()) == ([1], [2, 4])


def test_chance_is_what_orders_by_chance_have_on_average(log):
    cold = np.ones(30, bool)
    cold[:4] = False
    truth = Truth.from_pairs(np.array([0, 0, 0]), np.array([5, 9, 20]), 1)
    known = dict(populations(*log, cold[:5] | True, CUT, 10, load_settings()))["known users"]
    asked = type(known)(known.support.users(0, 1), truth, known.person[:1])
    assert asked.support.item.tolist() == [0]  # an item of the support that is no candidate takes no chance away
    rng = np.random.default_rng(0)
    lists = np.array([rng.permutation(np.flatnonzero(cold))[:10] for _ in range(20_000)])
    hit = np.isin(lists, truth.item)
    taken = np.full(len(lists), 3)
    found = by_chance(asked, cold)
    assert found["ndcg"][0] == pytest.approx(ndcg(hit, taken, 10).mean(), rel=0.02)
    assert found["recall"][0] == pytest.approx(recall(hit, taken, 10).mean(), rel=0.02)
    assert not hits(np.empty((1, 0), int), truth).any()


def test_only_items_that_were_never_sold_are_ranked(log):
    events, items = log
    cold = np.array([name.startswith("n") for name in ITEMS])
    empty = pa.table({"k": []})
    before = events.slice(0, 3)
    split = Split(CUT, 10, 10, items, before, empty, empty)
    evidence = split_evidence(split, lambda texts: np.ones((len(texts), 2), np.float32), {})
    known = dict(populations(events, items, cold, CUT, 10, load_settings()))["known users"]
    found = measure(WordPrototype(), evidence, known, cold)
    # of the lamp only "red" is counted, since no other text has its word: so it comes before the red pot, which was taken
    assert found["ndcg"].tolist() == [pytest.approx(1 / np.log2(3))]
    assert found["recall"].tolist() == [1.0]


@pytest.mark.slow
def test_words_order_the_new_items_of_a_real_shop_better_than_chance():
    if not os.environ.get("RECPIPE_TEST_DATA"):
        pytest.skip("needs real data: set RECPIPE_TEST_DATA to the folder that holds online_retail_ii")
    events, items = read(Path(os.environ["RECPIPE_TEST_DATA"]) / "online_retail_ii")
    cut, empty = np.datetime64("2010-10-01", "us"), pa.table({"k": []})
    before = events.filter(pa.array(events["ts"].to_numpy() < cut))
    split = Split(cut, 90, 90, items, before, empty, empty)
    evidence = split_evidence(split, lambda texts: np.ones((len(texts), 2), np.float32), {})
    cold = np.bincount(evidence.popularity_item, minlength=len(items)) == 0
    for asked in dict(populations(events, items, cold, cut, 90, load_settings())).values():
        found = measure(WordPrototype(), evidence, asked, cold)["ndcg"].mean()
        assert found > 3 * by_chance(asked, cold)["ndcg"].mean()

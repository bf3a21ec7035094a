"""Promises of before and after: each number against a plain count over users, with its interval."""

import math
from dataclasses import replace

import numpy as np
import pytest

from recpipe.dataset.folder import read_training_input
from recpipe.text.encoder import load_encoder
from recpipe.training.encoder.before_after import at_first_items, measure_encoder, with_vectors, without_users
from recpipe.training.encoder.course_windows import cut_windows
from recpipe.training.encoder.devices.place import find_place
from recpipe.training.encoder.finetune_config import Config


@pytest.fixture(scope="module")
def window(tiny_encoder, shop):
    found, facts, _ = read_training_input(shop)
    config, place = Config(windows=2), find_place("cpu", "float32")
    return cut_windows(found, facts, load_encoder(str(tiny_encoder)), config, place, lambda _text: None).last


def some_vectors(window, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(len(window.evidence.catalogue.texts), 8)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def plain(window, vectors, size=None, fresh=False):
    """Count user by user: (users, 4) nDCG, recall, precision and F1 at 10."""
    episodes, rows = window.episodes, []
    sold = set(window.evidence.history.item) | set(window.evidence.popularity_item)
    for user in range(len(episodes)):
        own = slice(episodes.support.indptr[user], episodes.support.indptr[user + 1])
        items, weights = episodes.support.item[own], episodes.support.weight[own] * episodes.support.label[own]
        ages = episodes.support.age_days[own]
        if size is not None and len(items) < size:
            continue
        first = np.argsort(-ages, kind="stable")[: size or len(items)]
        seen = set(episodes.seen_item[episodes.seen_indptr[user] : episodes.seen_indptr[user + 1]])
        taken = set(episodes.query_item[episodes.query_indptr[user] : episodes.query_indptr[user + 1]])
        shown = [i for i in range(len(vectors)) if window.evidence.catalogue.available[i] and i not in seen]
        if fresh:
            taken, shown = taken - sold, [i for i in shown if i not in sold]
        if not taken:
            continue
        scores = vectors @ (weights[first] @ vectors[items[first]])
        best = sorted(shown, key=lambda item: (-scores[item], item))[:10]
        hits = [item in taken for item in best]
        ideal = sum(1 / math.log2(r + 2) for r in range(min(10, len(taken))))
        recall = sum(hits) / min(10, len(taken))
        f1 = 2 * sum(hits) / (10 + min(10, len(taken)))
        rows.append((sum(h / math.log2(r + 2) for r, h in enumerate(hits)) / ideal, recall, sum(hits) / 10, f1))
    return np.array(rows)


def fresh_window(window):
    """Return the window with the last third of the catalogue met by nobody before it."""
    from recpipe.dataset.history import events_of

    evidence = window.evidence
    early = evidence.history.item < 24
    kept = evidence.popularity_item < 24
    history = events_of(evidence.history, np.flatnonzero(early))
    known = replace(
        evidence, history=history, popularity_item=evidence.popularity_item[kept], popularity_ts=evidence.popularity_ts[kept]
    )
    return replace(window, evidence=known)


@pytest.mark.parametrize(
    ("group", "how"), [("all", {}), ("k1", {"size": 1}), ("k3", {"size": 3}), ("never_sold", {"fresh": True})]
)
def test_each_number_is_that_of_a_plain_count(window, group, how):
    window = fresh_window(window) if group == "never_sold" else window
    vectors = some_vectors(window)
    found, wanted = measure_encoder(window, vectors), plain(window, vectors, **how)
    assert found[group]["users"] == len(wanted) > 5
    np.testing.assert_allclose(found["per_user"][group], wanted[:, 0], atol=1e-6)
    for place, name in enumerate(("ndcg", "recall", "precision", "f1")):
        number = found[group][name]
        assert number["mean"] == pytest.approx(wanted[:, place].mean(), abs=1e-6)
        spread = 1.96 * wanted[:, place].std() / math.sqrt(len(wanted))
        assert number["low"] == pytest.approx(number["mean"] - spread, abs=0.25 * spread + 1e-3)
        assert number["high"] == pytest.approx(number["mean"] + spread, abs=0.25 * spread + 1e-3)


def test_first_items_are_the_oldest_and_the_rest_stays_seen(window):
    cut = at_first_items(window.episodes, 2)
    assert set(cut.support.k) == {2}
    assert len(cut) == int((window.episodes.support.k >= 2).sum())
    rows = np.flatnonzero(window.episodes.support.k >= 2)
    for place, row in enumerate(rows):
        own = slice(window.episodes.support.indptr[row], window.episodes.support.indptr[row + 1])
        assert list(cut.support.item[2 * place : 2 * place + 2]) == list(window.episodes.support.item[own][:2])
    assert len(cut.seen_item) == int(window.episodes.support.k[rows].sum())


def test_gains_are_paired_by_user(window):
    old, new = some_vectors(window), some_vectors(window, 1)
    before = measure_encoder(window, old)
    after = measure_encoder(window, new, before)
    for name in ("all", "k1", "k3"):
        gain = after[name]["gain"]
        assert gain["mean"] == pytest.approx(after[name]["ndcg"]["mean"] - before[name]["ndcg"]["mean"])
        assert gain["low"] < gain["mean"] < gain["high"]
    same = measure_encoder(window, old, before)
    assert same["all"]["gain"] == {"mean": 0.0, "low": 0.0, "high": 0.0}


def test_a_group_of_nobody_has_no_numbers(window):
    found = measure_encoder(window, some_vectors(window))  # the tiny shop has sold everything
    assert found["never_sold"]["users"] == 0
    assert found["never_sold"]["ndcg"] == {"mean": None, "low": None, "high": None}
    again = measure_encoder(window, some_vectors(window), found)
    assert again["never_sold"]["gain"] is None


def test_numbers_of_single_users_stay_out_of_the_summary(window):
    found = {"encoder": measure_encoder(window, some_vectors(window)), "per_user": {}}
    assert "per_user" not in without_users(found)
    assert set(without_users(found)["encoder"]) == {"all", "k1", "k3", "k5", "never_sold"}
    assert with_vectors(window.evidence, some_vectors(window)).catalogue.vectors.shape[1] == 8

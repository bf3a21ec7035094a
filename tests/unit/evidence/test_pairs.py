"""What one item says for another, the stack and the network over it."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from recpipe.dataset.episodes import cut_as_new, cut_episodes, shorten
from recpipe.dataset.history import History
from recpipe.dataset.support import support_weights
from recpipe.evidence.ease_weights import ease_weights
from recpipe.evidence.gathering import gather
from recpipe.evidence.item_features import SETTINGS, speak
from recpipe.evidence.knn import interactions
from recpipe.evidence.layout import GREATEST, KINDS, TRENDS, layout_of, used
from recpipe.evidence.text_neighbours import weigh_words
from recpipe.models.arrays import NUMPY, torch_arrays
from recpipe.models.base import score_users
from recpipe.models.ease import EASE
from recpipe.models.pair_network import candidates_of, judged_by, look
from recpipe.training.networks import find_network
from recpipe.training.networks.candidate_softmax import scores

SMALL = {**SETTINGS, "neighbours": 8, "popular": 6, "text_neighbours": 4, "ease_strength": 5.0}


@pytest.fixture(scope="module")
def pairs(evidence):
    return speak(evidence, SMALL)


def test_words_weigh_what_the_formula_says():
    found = weigh_words(["red cup red", "cup plate", "Plate red", "lonely"]).toarray()
    idf = 1 + np.log(5 / 3)  # each counted word stands in two of four texts
    first = np.array([(1 + np.log(2)) * idf, idf])
    np.testing.assert_allclose(np.sort(found[0][found[0] > 0]), np.sort(first / np.linalg.norm(first)), rtol=1e-6)
    np.testing.assert_allclose(found[1][found[1] > 0], [2**-0.5, 2**-0.5], rtol=1e-6)
    assert not found[3].any()  # a word of one text connects nothing
    assert found.shape[1] == 3


def test_ease_is_the_ridge_regression_with_no_weight_on_the_item_itself():
    """Column i of B solves min |x_i - X b|^2 + λ |b|^2 with b_i = 0: solved here column by column, in double precision."""
    x = (np.random.default_rng(0).random((40, 9)) < 0.3).astype(float)
    taken, found = ease_weights(sp.csr_matrix(x), 3.0)
    np.testing.assert_array_equal(taken, np.flatnonzero(x.sum(0)))
    x = x[:, taken]
    for i in range(x.shape[1]):
        rest = np.delete(np.arange(x.shape[1]), i)
        wanted = np.linalg.solve(x[:, rest].T @ x[:, rest] + 3.0 * np.eye(len(rest)), x[:, rest].T @ x[:, i])
        np.testing.assert_allclose(found[rest, i], wanted, rtol=2e-4, atol=2e-5)
        assert found[i, i] == 0


def test_ease_as_a_learner_adds_up_the_rows_of_the_support(evidence, make_support):
    learner = EASE(5.0, popularity_weight=0.0)
    taken, weights = ease_weights(interactions(evidence.history, len(evidence.catalogue)), 5.0)
    found = score_users(learner, learner.items(evidence), make_support([(3, 1, 1.0), (8, 1, 3.0)]))[0]
    row = {int(item): place for place, item in enumerate(taken)}
    np.testing.assert_allclose(found[taken], 0.25 * weights[row[3]] + 0.75 * weights[row[8]], atol=1e-6)


def test_gathered_evidence_is_the_mean_and_the_greatest_of_what_the_support_says(evidence, pairs, make_support):
    """Against a loop over users, entries and pairs in double precision."""
    support = make_support([(3, 1, 1.0), (8, 1, 3.0)], [], [(11, 1, 1.0)])
    items = len(evidence.catalogue)
    found = gather(pairs, support_weights(support, items))
    for user, entries in enumerate([[(3, 0.25), (8, 0.75)], [], [(11, 1.0)]]):
        mean, most = np.zeros((items, len(KINDS))), np.zeros((items, len(KINDS)))
        spoken = set(pairs.popular.tolist())
        for item, share in entries:
            for at in range(pairs.indptr[item], pairs.indptr[item + 1]):
                mean[pairs.item[at]] += share * pairs.value[at]
                most[pairs.item[at]] = np.maximum(most[pairs.item[at]], pairs.value[at])
                spoken.add(int(pairs.item[at]))
        both = np.hstack([mean, most[:, [KINDS.index(name) for name in GREATEST]]])
        spread = both.std(0)
        scaled = np.clip(np.divide(both, spread, out=np.zeros_like(both), where=spread > 1e-9), -30, 30)
        rows = slice(found.indptr[user], found.indptr[user + 1])
        assert found.item[rows].tolist() == sorted(spoken)
        width = both.shape[1]
        np.testing.assert_allclose(found.seen[rows, :width], scaled[sorted(spoken)] / 5, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.seen[rows, width : 2 * width], np.log1p(scaled[sorted(spoken)]), rtol=1e-4, atol=1e-5)
    assert found.k.tolist() == [2, 0, 1]


def test_no_item_speaks_for_itself(evidence):
    """Also where the first items of the catalogue were never sold, and like words lead from an item back to itself."""
    items = len(evidence.catalogue)
    known = dataclasses.replace(
        evidence,
        catalogue=dataclasses.replace(evidence.catalogue, texts=[f"kind {n % 5} thing" for n in range(items)]),
        history=dataclasses.replace(evidence.history, item=(items - 1 - evidence.history.item).astype(np.int32)),
    )
    pairs = speak(known, SMALL)
    assert pairs.value[:, KINDS.index("smooth_out")].any()
    assert (pairs.item != np.repeat(np.arange(items), np.diff(pairs.indptr))).all()


def test_withheld_sales_reach_no_score(evidence, make_support):
    """Anonymous sales change what sells, and nothing else: a learner that does without sales gives the same bits."""
    network = find_network("pair_network")
    start = network.initial_tensors(None, 0, 0, "cpu")
    more = dataclasses.replace(
        evidence,
        popularity_item=np.r_[evidence.popularity_item, np.full(500, 7, np.int32)],
        popularity_ts=np.r_[evidence.popularity_ts, np.full(500, evidence.popularity_ts.max())],
    )
    some = make_support([(3, 1, 1.0)], [])

    def scored(known, **settings):
        learner = network.with_settings(**SMALL, **settings).to_learner(start)
        return score_users(learner, learner.items(known), some)

    np.testing.assert_array_equal(scored(evidence, withhold=["age", "sales"]), scored(more, withhold=["age", "sales"]))
    assert (scored(evidence) != scored(more)).any()


def test_recent_sales_count_less_the_further_ahead_the_list_lies(evidence, make_support):
    """By hand: two items that nothing else tells apart differ by r·s, a half of it two weeks later."""
    network = find_network("pair_network").with_settings(**SMALL)
    start = network.initial_tensors(None, 0, 0, "cpu")
    start = {name: torch.zeros_like(tensor) for name, tensor in start.items()}
    start["recent"] = torch.tensor([2.0, 0.0, 1.0])
    learner = network.to_learner(start)
    pairs = learner.look(evidence)
    sold = 2 * pairs.trend[:, TRENDS.index("14 days")] + pairs.trend[:, TRENDS.index("90 days")]
    some = make_support([(3, 1, 1.0)])
    listed = gather(pairs, support_weights(some, len(pairs))).item
    for days, share in ((0.0, 1.0), (14.0, 0.5), (42.0, 0.125)):
        later = dataclasses.replace(some, ahead_days=np.array([days], np.float32))
        found = score_users(learner, learner.place(pairs), later)[0, listed]
        np.testing.assert_allclose(found, share * sold[listed], rtol=1e-5, atol=1e-6)


def test_the_stack_sees_closed_forms_alone():
    settings = {**SETTINGS, "recent": ["knn"], "closed_forms_alone": True}
    names = layout_of(settings).features
    seen = {name.removeprefix("log ") for name, one in zip(names, used(settings), strict=True) if one}
    assert seen == {*KINDS, "recent knn", names[-1]} - {"category", "brand"}


def test_the_formula_is_the_same_numbers_in_both_namespaces():
    random = np.random.default_rng(4)
    numbers = {n: v + 0.3 * random.standard_normal(v.shape) for n, v in find_network("pair_network").start(None, 0, 5).items()}
    seen, known = random.standard_normal((50, len(layout_of(SETTINGS).features))), random.standard_normal(50)
    tensors = {name: torch.from_numpy(array) for name, array in numbers.items()}
    found = judged_by(tensors, torch.from_numpy(seen), torch.from_numpy(known), torch_arrays())
    np.testing.assert_allclose(found.numpy(), judged_by(numbers, seen, known, NUMPY), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("ahead", [None, 10.0])
@pytest.mark.parametrize("name", ["pair_network", "stack"])
def test_a_candidate_is_shown_in_training_what_it_is_scored_by(name, ahead, evidence):
    """Evidence, season and days ahead of a batch are those of the list: known users and such without a support."""
    network = find_network(name).with_settings(**SMALL)
    random = np.random.default_rng(1)
    numbers = {n: (v + 0.3 * random.standard_normal(v.shape)).astype(np.float32) for n, v in network.start(None, 0, 5).items()}
    learner, view = network.learner(numbers), look(evidence, network.settings)
    season = view.season + random.random(view.season.shape).astype(np.float32)  # the shop is younger than a year
    season[0] = view.trend[:, -1]
    view = dataclasses.replace(view, season=season)
    episodes = cut_episodes(evidence.history, evidence.until - np.timedelta64(21, "D"), horizon_days=14, half_life_days=90)
    episodes = shorten(episodes, np.where(np.arange(len(episodes)) % 3, 200, 0))
    if ahead is not None:
        later = dataclasses.replace(episodes.support, ahead_days=np.full(len(episodes), ahead, np.float32))
        episodes = dataclasses.replace(episodes, support=later)
    batch = network.to_batch(episodes, network.to_items(view, evidence.catalogue.available, "cpu"))
    found = score_users(learner, learner.place(view), episodes.support)
    values = scores({n: torch.from_numpy(v) for n, v in numbers.items()}, batch).numpy()
    candidates = candidates_of(view, episodes.support, network.settings)
    for user in range(len(episodes)):
        mine = values[batch.user.numpy() == user]
        barred = set(episodes.seen_item[episodes.seen_indptr[user] : episodes.seen_indptr[user + 1]].tolist())
        listed = candidates.item[candidates.indptr[user] : candidates.indptr[user + 1]]
        wanted = found[user, [item for item in listed if item not in barred]]
        np.testing.assert_allclose(mine, wanted, rtol=2e-5, atol=2e-5)  # sums in single and in double precision


def test_the_loss_has_the_gradient_of_finite_differences(evidence):
    network = find_network("pair_network").with_settings(**SMALL)
    items = network.to_items(network.look(evidence), evidence.catalogue.available, "cpu")
    episodes = cut_episodes(evidence.history, evidence.until - np.timedelta64(21, "D"), horizon_days=14, half_life_days=90)
    batch = network.to_batch(episodes, items)
    exact = {n: getattr(batch, n).double() for n in ("seen", "trend", "fresh", "known", "new", "target")}
    batch = dataclasses.replace(batch, **exact)
    random = torch.Generator().manual_seed(1)
    tensors = {
        n: (t.double() + 0.1 * torch.randn(t.shape, generator=random).double()).detach().requires_grad_()
        for n, t in network.initial_tensors(None, 0, 5, "cpu").items()
    }
    loss = _loss64(tensors, batch)
    loss.backward()
    for name, place in (
        ("weights", (0, 3)),
        ("weights", (1, 10)),
        ("trend", (1,)),
        ("recent", (1,)),
        ("first", (4, 2)),
        ("last", (7,)),
    ):
        step, ends = 1e-6, []
        for sign in (1, -1):
            moved = {n: t.detach().clone() for n, t in tensors.items()}
            moved[name][place] += sign * step
            ends.append(float(_loss64(moved, batch)))
        assert float(tensors[name].grad[place]) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-4, abs=1e-7)


def _loss64(tensors, batch):
    """The cross-entropy, written down a second time, user by user."""
    values, total = scores(tensors, batch), 0.0
    for user in range(batch.users):
        mine = batch.user == user
        if mine.any():
            total = total - (torch.log_softmax(values[mine], 0) * batch.target[mine]).sum()
    return total / batch.users


def test_the_loss_of_the_loop_is_the_one_written_down_here(evidence):
    network = find_network("pair_network").with_settings(**SMALL)
    items = network.to_items(network.look(evidence), evidence.catalogue.available, "cpu")
    episodes = cut_episodes(evidence.history, evidence.until - np.timedelta64(21, "D"), horizon_days=14, half_life_days=90)
    batch = network.to_batch(episodes, items)
    tensors = network.initial_tensors(None, 0, 5, "cpu")
    found = network.loss(tensors, items, batch)
    assert float(found) == pytest.approx(float(_loss64(tensors, batch)), rel=1e-5)


def test_new_users_are_cut_as_the_protocol_says():
    """One new user with two orders, one known user, one who comes too late: by hand."""
    day = np.datetime64("2011-03-01T00:00:00", "us")

    def at(days):
        return day + np.timedelta64(round(days * 86_400), "s")

    rows = [(0, 1, at(-5)), (0, 2, at(3)), (1, 3, at(1)), (1, 4, at(1)), (1, 5, at(1)), (1, 4, at(6)), (1, 6, at(6)), (1, 7, at(60)), (2, 3, at(40))]  # fmt: skip
    user, item, ts = (np.array(column) for column in zip(*rows, strict=True))
    history = History(
        np.array(["a", "b", "c"], object), user.astype(np.int32), item.astype(np.int32), ts, np.ones(len(rows), np.float32)
    )
    found = cut_as_new(history, day, window_days=30, horizon_days=20, half_life_days=5, sizes=(0, 1, 3))
    assert found.user.tolist() == [1, 1, 1]
    parts = [
        [set(items[a:b].tolist()) for a, b in pairwise(indptr)]
        for indptr, items in (
            (found.support.indptr, found.support.item),
            (found.seen_indptr, found.seen_item),
            (found.query_indptr, found.query_item),
        )
    ]
    assert parts[0] == [set(), {3}, {3, 4, 5}]
    assert parts[1] == [set(), {3, 4, 5}, {3, 4, 5}]  # the rest of the order of the first item is neither hit nor miss
    assert parts[2] == [{3, 4, 5, 6}, {6}, {6}]
    np.testing.assert_allclose(found.support.ahead_days, [1, 1, 1])
    np.testing.assert_allclose(found.support.weight, 1.0)  # the list is made at the instant of the newest item

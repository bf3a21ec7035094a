"""The kinds of evidence: which a model looks at, and what each of the newer ones says, by hand or against plain loops."""

import dataclasses
from collections import defaultdict

import numpy as np
import pytest
import scipy.sparse as sp

from recpipe.dataset.history import History
from recpipe.dataset.support import Support, newest, take
from recpipe.errors import BadSetting
from recpipe.evidence.bm25_neighbours import bm25_neighbours
from recpipe.evidence.gathering import gather
from recpipe.evidence.item_features import SETTINGS, speak
from recpipe.evidence.kinds import same_brand
from recpipe.evidence.layout import FORMER, KINDS, kinds_given, layout_of
from recpipe.evidence.pair_patterns import union
from recpipe.evidence.sequences import FADE, STEPS, met_next
from recpipe.models.base import score_users
from recpipe.models.pair_network import moment_weights, weights_of
from recpipe.training.networks import find_network

SMALL = {**SETTINGS, "neighbours": 8, "popular": 6, "text_neighbours": 4, "ease_strength": 5.0}
RECENT = {**SMALL, "recent": ["knn", "met_next"], "fade": 0.5}
DAY = np.timedelta64(1, "D")
BEGIN = np.datetime64("2011-03-01T00:00:00", "us")


def history_of(*rows):
    """A history of (user, item, day), by user and then time."""
    user, item, day = (np.array(column) for column in zip(*sorted(rows, key=lambda row: (row[0], row[2])), strict=True))
    names = np.array([f"u{n}" for n in range(user.max() + 1)], object)
    return History(names, user.astype(np.int32), item.astype(np.int32), BEGIN + day * DAY, np.ones(len(user), np.float32))


@pytest.fixture(scope="module")
def branded(evidence):
    """The shop with brands, and with the vectors of another encoder."""
    random = np.random.default_rng(5)
    catalogue = evidence.catalogue
    turned = catalogue.vectors @ np.linalg.qr(random.standard_normal((24, 24)))[0] + 0.2 * random.standard_normal((70, 24))
    tuned = (turned / np.linalg.norm(turned, axis=1, keepdims=True)).astype(np.float32)
    texts, paths = [f"kind {n % 5} thing" for n in range(70)], [("all", f"kind {n % 5}") for n in range(70)]
    catalogue = dataclasses.replace(catalogue, texts=texts, categories=paths)
    given = dataclasses.replace(catalogue, brands=[("", "Acme", "acme ", "Best")[n % 4] for n in range(70)], tuned=tuned)
    return dataclasses.replace(evidence, catalogue=given)


def test_settings_that_name_no_kinds_mean_those_of_earlier_versions():
    assert layout_of({}).kinds == FORMER
    assert layout_of({}).evidence == [*FORMER, "greatest knn", "greatest ease", "greatest words", "greatest meaning"]
    assert len(layout_of({}).features) == 28
    named = layout_of({"kinds": ["bm25", "knn", "tuned"], "recent": ["knn", "met_next"]})
    assert named.evidence == ["bm25", "knn", "tuned", "greatest knn", "greatest tuned", "recent knn"]
    with pytest.raises(BadSetting, match="no evidence of the kind smell; there is knn, "):
        layout_of({"kinds": ["knn", "smell"]})


def test_a_kind_that_the_catalogue_cannot_give_is_left_out(evidence, branded):
    assert kinds_given(KINDS, evidence.catalogue) == tuple(name for name in KINDS if name not in ("brand", "tuned"))
    assert kinds_given(KINDS, branded.catalogue) == KINDS
    unnamed = dataclasses.replace(branded.catalogue, brands=[""] * 70)
    assert "brand" not in kinds_given(KINDS, unnamed)
    network = find_network("pair_network").for_catalogue(evidence.catalogue)
    wide = len(layout_of(network.settings).features)
    assert network.start(None, 0, 0)["weights"].shape == (2, wide)
    assert "log tuned" not in layout_of(network.settings).features


def test_a_network_that_goes_on_looks_at_what_its_model_looks_at(branded):
    network = find_network("pair_network").for_catalogue(branded.catalogue)
    former = {name: held for name, held in SETTINGS.items() if name != "kinds"}
    assert layout_of(network.going_on(former).settings).kinds == FORMER
    assert layout_of(network.going_on({**former, "kinds": ["knn", "bm25"]}).settings).kinds == ("knn", "bm25")
    assert network.going_on(former).settings["neighbours"] == network.settings["neighbours"]


def test_each_kind_is_a_column_in_the_order_that_the_settings_name(branded):
    every = speak(branded, SMALL)
    for name in KINDS:
        assert every.value[:, KINDS.index(name)].any(), name
    some = speak(branded, {**SMALL, "kinds": ["brand", "tuned", "knn"]})
    keys, wanted = (np.repeat(np.arange(70), np.diff(pairs.indptr)) * 70 + pairs.item for pairs in (some, every))
    place = np.searchsorted(wanted, keys)
    np.testing.assert_array_equal(wanted[place], keys)
    columns = [KINDS.index(name) for name in ("brand", "tuned", "knn")]
    np.testing.assert_array_equal(some.value, every.value[place][:, columns])


def test_a_kind_that_is_missing_here_says_nothing(evidence):
    """A model of a shop with brands and a fine-tuned encoder serves one that has neither."""
    pairs = speak(evidence, SMALL)
    assert pairs.value.shape[1] == len(KINDS)
    assert not pairs.value[:, [KINDS.index("brand"), KINDS.index("tuned")]].any()


def test_met_next_is_what_a_loop_over_users_counts():
    random = np.random.default_rng(2)
    rows = [
        (user, int(random.integers(12)), int(random.integers(20))) for user in range(30) for _ in range(random.integers(1, 9))
    ]
    found = met_next(history_of(*rows), 12, neighbours=12, shrinkage=0.5, user_power=0.5, power=0.3).toarray()
    first = {}
    for user, item, day in rows:
        first[user, item] = min(day, first.get((user, item), 99))
    count, own = np.zeros((12, 12)), np.zeros(12)
    for user in range(30):
        mine = {item: day for (who, item), day in first.items() if who == user}
        days = sorted(set(mine.values()))
        for i, at in mine.items():
            own[i] += len(mine) ** -0.5
            for j, later in mine.items():
                ahead = days.index(later) - days.index(at)
                if i != j and 0 <= ahead <= STEPS:
                    count[i, j] += len(mine) ** -0.5 * FADE ** max(ahead - 1, 0)
    wanted = count / (np.outer(own**0.7, own**0.3) + 0.5 * own[own > 0].mean() + 1e-9)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)


def test_met_next_knows_which_item_came_first():
    """Cups are met before saucers by three users; what came with the cup counts both ways; of nothing nothing is said."""
    rows = [(user, item, day) for user in range(3) for item, day in ((0, 0), (1, 5), (2, 0))]
    found = met_next(history_of(*rows), 4, neighbours=3, shrinkage=0.5, user_power=0.0, power=0.5).toarray()
    assert found[0, 1] > 0
    assert found[1, 0] == 0
    assert found[0, 2] == found[2, 0] > 0
    none = History(np.zeros(0, object), *(np.zeros(0, np.int32),) * 2, np.zeros(0, "datetime64[us]"), np.zeros(0, np.float32))
    assert met_next(none, 4, neighbours=3, shrinkage=0.5, user_power=0.0, power=0.5).nnz == 0


def test_bm25_is_what_plain_loops_weigh():
    met = sp.csr_matrix((np.random.default_rng(3).random((25, 9)) < 0.3).astype(np.float32) * 4)
    dense = met.toarray() > 0
    weights, items_of = np.zeros((25, 9)), dense.sum(1)
    for user, item in zip(*np.nonzero(dense), strict=True):
        long = 1 - 0.75 + 0.75 * dense[:, item].sum() / dense.sum(0).mean()
        weights[user, item] = (1.2 + 1) / (1.2 * long + 1) * max(np.log(9) - np.log1p(items_of[user]), 0)
    wanted = weights.T @ weights
    np.fill_diagonal(wanted, 0)
    np.testing.assert_allclose(bm25_neighbours(met, 9).toarray(), wanted, rtol=1e-5, atol=1e-6)
    few = bm25_neighbours(met, 2).toarray()
    assert ((few > 0).sum(1) <= 2).all()
    np.testing.assert_allclose(few.max(1), wanted.max(1), rtol=1e-5)


def test_brands_are_the_same_in_whatever_case_and_unknown_ones_are_not(branded):
    every = union([sp.csr_matrix(np.ones((70, 70), np.float32))], 70)
    same = same_brand(branded.catalogue, every).reshape(70, 70)
    assert same[1, 2] == same[2, 5] == same[3, 7] == 1
    assert same[0, 4] == same[1, 3] == 0


def test_the_newest_moment_counts_most_and_items_of_one_moment_alike():
    ages = np.array([9.0, 3.0, 3.0, 1.0, 4.0, 7.0, 7.0], np.float32)
    ones = np.ones(7, np.float32)
    support = Support(np.array([0, 4, 5, 5, 7]), np.arange(7, dtype=np.int32), ones, ones, ages)
    np.testing.assert_allclose(moment_weights(support, 0.5), [0.25, 0.5, 0.5, 1, 1, 1, 1])
    np.testing.assert_array_equal(moment_weights(support, 1.0), ones)
    mean, latest = weights_of(support, {"newest": 50, "fade": 0.5}, 10)
    np.testing.assert_allclose(mean.toarray()[0, :4], 0.25)
    np.testing.assert_allclose(latest.toarray()[0, :4], np.array([0.25, 0.5, 0.5, 1]) / 2.25)
    nobody = Support(np.zeros(1, np.int64), *(np.zeros(0, np.int32),), *(np.zeros(0, np.float32),) * 3)
    assert moment_weights(newest(nobody, 5), 0.5).shape == (0,)


def test_recent_means_are_gathered_with_their_own_weights(branded, make_support):
    pairs = speak(branded, RECENT)
    support = dataclasses.replace(make_support([(3, 1, 1.0), (8, 1, 1.0)]), age_days=np.array([5.0, 1.0], np.float32))
    found = gather(pairs, *weights_of(support, RECENT, 70))
    names, said = layout_of(RECENT).evidence, defaultdict(float)
    for item, share in ((3, 1 / 3), (8, 2 / 3)):
        for at in range(pairs.indptr[item], pairs.indptr[item + 1]):
            said[int(pairs.item[at])] += share * float(pairs.value[at, KINDS.index("met_next")])
    whole = np.zeros(70)
    whole[list(said)] = list(said.values())
    wanted = np.clip(whole[found.item] / whole.std(), -30, 30) / 5
    np.testing.assert_allclose(found.seen[:, names.index("recent met_next")], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["pair_network", "stack"])
def test_order_counts_and_who_else_is_in_the_batch_does_not(name, branded, make_support):
    network = find_network(name).with_settings(**RECENT)
    random = np.random.default_rng(1)
    numbers = {n: (v + 0.3 * random.standard_normal(v.shape)).astype(np.float32) for n, v in network.start(None, 0, 5).items()}
    learner = network.learner(numbers)
    space = learner.place(learner.look(branded))
    users = [[(3, 1, 1.0), (8, 1, 1.0)], [], [(8, 1, 1.0), (3, 1, 1.0)], [(11, 1, 1.0)], [(20, 0, 1.0), (4, 1, 2.0)]]
    support = dataclasses.replace(make_support(*users), age_days=np.array([5, 1, 5, 1, 2, 9, 3], np.float32))
    found = score_users(learner, space, support)
    assert (found[0] != found[2]).any()
    for user in range(5):
        np.testing.assert_array_equal(score_users(learner, space, take(support, np.array([user])))[0], found[user])
    np.testing.assert_array_equal(score_users(learner, space, take(support, np.array([4, 2, 0]))), found[[4, 2, 0]])


def test_reasons_are_given_where_order_counts(branded, make_support):
    from recpipe.ranking.reasons import because, brought_by_any

    learner = (
        find_network("stack").with_settings(**RECENT).learner(find_network("stack").with_settings(**RECENT).start(None, 0, 0))
    )
    space = learner.items(branded)
    support = dataclasses.replace(make_support([(3, 1, 1.0), (8, 1, 1.0)]), age_days=np.array([5.0, 1.0], np.float32))
    best = np.argsort(-score_users(learner, space, support), axis=1)[:, :6].astype(np.int64)
    named = because(learner, space, support, best, brought_by_any(learner, space))
    assert set(named.ravel().tolist()) <= {3, 8, -1}
    assert (named[0, :, 0] >= 0).any()

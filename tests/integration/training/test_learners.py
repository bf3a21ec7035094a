"""What every learner promises, whatever it is."""

import dataclasses
import functools

import numpy as np
import pytest
import scipy.sparse as sp

from recpipe.dataset.history import Evidence
from recpipe.dataset.support import build_support
from recpipe.models.base import ItemSpace, score, score_users
from recpipe.models.blend import SIZES, Blend, part_of
from recpipe.models.ease import EASE
from recpipe.models.heads import HEADS
from recpipe.models.io import LEARNERS, load, save
from recpipe.models.item_knn import ItemKNN
from recpipe.models.pair_network import NETWORK, STACK
from recpipe.models.popularity import CountryPopularity, Popularity, SeasonPopularity, UserPopularity
from recpipe.models.prototypical import Prototypical
from recpipe.models.representation import SETTINGS, View
from recpipe.models.text_prototype import TextPrototype


def a_prototypical(dimensions=24, width=8, features=4, seed=3):
    random = np.random.default_rng(seed)

    def array(*shape):
        return random.standard_normal(shape).astype(np.float32)

    return Prototypical(
        own=array(dimensions, width),
        met=array(dimensions, width),
        gate=array(2),
        temperature=np.array([1.0, 0.3], np.float32),
        neighbour=np.array([2.0, -0.4], np.float32),
        bias=array(features),
        trend=0.1 * array(2, features),
        settings={**SETTINGS, "neighbours": 10},
    )


def a_headed(name, seed=3):
    """A learner with a head that training has moved from where it starts."""
    import torch

    from recpipe.training.networks import find_network

    network = find_network(name).with_settings(neighbours=10, factors=6, negatives=16)
    shop = View(*(np.zeros((5, width), np.float32) for width in (24, 24, 1, 4)), None, np.zeros((5, 6), np.float32))
    random = torch.Generator().manual_seed(seed)
    start = network.initial_tensors(shop, 8, seed, "cpu")
    moved = {name: value + 0.2 * torch.randn(value.shape, generator=random) for name, value in start.items()}
    return network.to_learner(moved)


def of_pairs(name, seed=3):
    """A stack or a pair network that training has moved from where it starts."""
    import torch

    from recpipe.training.networks import find_network

    network = find_network(name).with_settings(neighbours=10, popular=20)
    random = torch.Generator().manual_seed(seed)
    start = network.initial_tensors(None, 0, seed, "cpu")
    moved = {name: value + 0.2 * torch.randn(value.shape, generator=random) for name, value in start.items()}
    return network.to_learner(moved)


def a_blend():
    """Weights that differ by the size of the support."""
    forms = EASE(20.0), ItemKNN(neighbours=10), TextPrototype(), Popularity(30.0), CountryPopularity(least_customers=5)
    weights = np.random.default_rng(4).dirichlet(np.ones(len(forms)), len(SIZES))
    return Blend([part_of(form, 24) for form in forms], weights.tolist())


BUILT = {
    "blend": a_blend,
    "ease": lambda: EASE(20.0),
    **{name: functools.partial(of_pairs, name) for name in (STACK, NETWORK)},
    "popularity": lambda: Popularity(30.0),
    "user_popularity": lambda: UserPopularity(90.0),
    "season_popularity": SeasonPopularity,
    "country_popularity": lambda: CountryPopularity(least_customers=5),
    "item_knn": lambda: ItemKNN(neighbours=10),
    "text_prototype": TextPrototype,
    "prototypical": a_prototypical,
    **{name: functools.partial(a_headed, name) for name in HEADS},
}
READS_TEXT = ["text_prototype", "prototypical", *HEADS]


@pytest.fixture
def learner(request):
    return BUILT[request.param]()


@pytest.fixture(scope="module")
def support(evidence):
    users = np.arange(len(evidence.history.user_ids), dtype=np.int32)
    return build_support(evidence.history, evidence.until, 90.0, users)[0]


def empty_like(evidence: Evidence) -> Evidence:
    """The same catalogue on the shop's first day: nothing was ever sold."""
    history = evidence.history
    none = dataclasses.replace(
        history,
        user_ids=history.user_ids[:0],
        user=history.user[:0],
        item=history.item[:0],
        ts=history.ts[:0],
        weight=history.weight[:0],
        country=history.country[:0],
    )
    return Evidence(evidence.catalogue, none, history.item[:0], history.ts[:0], evidence.until)


def test_every_learner_that_can_be_saved_is_tested_here():
    assert {name: built().name for name, built in BUILT.items()} == {name: name for name in LEARNERS}


@pytest.mark.parametrize("learner", BUILT, indirect=True)
class TestEveryLearner:
    def test_comes_back_from_its_folder_with_the_same_scores(self, learner, evidence, support, tmp_path):
        save(learner, tmp_path, {"encoder": "abc"})
        again = load(tmp_path)
        assert type(again) is type(learner)
        space, other = learner.items(evidence), again.items(evidence)
        np.testing.assert_array_equal(score_users(learner, space, support), score_users(again, other, support))

    def test_scores_are_the_same_bits_whatever_the_batch(self, learner, evidence, support):
        space = learner.items(evidence)
        whole = score_users(learner, space, support)
        for size in (1, 2, 7, 64):
            parts = [
                score_users(learner, space, support.users(start, min(start + size, len(support))))
                for start in range(0, len(support), size)
            ]
            np.testing.assert_array_equal(np.concatenate(parts), whole)

    def test_scores_are_the_same_bits_whatever_the_order_of_users(self, learner, evidence, make_support):
        users = [[(3, 1, 1.0), (8, 1, 0.5)], [], [(11, 1, 0.7)], [(1, 0, 1.0), (2, 1, 1.0), (40, 1, 0.1)]]
        space = learner.items(evidence)
        forth = score_users(learner, space, make_support(*users))
        back = score_users(learner, space, make_support(*users[::-1]))
        np.testing.assert_array_equal(forth, back[::-1])

    def test_without_support_the_user_is_zero_and_the_bias_decides(self, learner, evidence, make_support):
        if learner.name == "blend":
            pytest.skip("weighs what is popular for nobody too: tests/unit/models/test_blend.py")
        space = learner.items(evidence)
        nobody = make_support([], [(3, 0, 1.0)])
        users = learner.adapt(space, nobody)
        assert not (users.toarray() if sp.issparse(users) else users).any()
        np.testing.assert_array_equal(score_users(learner, space, nobody), np.stack([space.bias] * 2))
        assert len(np.unique(space.bias)) > 30

    def test_users_have_the_length_of_items(self, learner, evidence, support):
        space = learner.items(evidence)
        users = learner.adapt(space, support)
        assert space.vectors.shape == (len(evidence.catalogue), users.shape[1])
        assert users.shape[0] == len(support)
        assert space.bias.dtype == np.float32
        assert space.vectors.dtype == np.float32
        assert users.dtype == np.float32

    def test_no_score_is_nan_even_on_the_first_day(self, learner, evidence, support):
        for known in (evidence, empty_like(evidence)):
            space = learner.items(known)
            assert np.isfinite(score_users(learner, space, support)).all()

    def test_a_catalogue_of_one_item_and_no_user_pass(self, learner, evidence, make_support):
        catalogue = evidence.catalogue
        one = dataclasses.replace(
            catalogue,
            **{
                n: getattr(catalogue, n)[:1]
                for n in ("item_ids", "texts", "vectors", "first_day", "available", "price", "categories")
            },
        )
        space = learner.items(dataclasses.replace(empty_like(evidence), catalogue=one))
        assert score_users(learner, space, make_support([(0, 1, 1.0)])).shape == (1, 1)
        assert score_users(learner, space, make_support()).shape == (0, 1)

    def test_what_was_sent_back_counts_nothing(self, learner, evidence, make_support):
        space = learner.items(evidence)
        found = score_users(learner, space, make_support([(3, 1, 1.0), (9, 0, 1.0)], [(3, 1, 1.0)]))
        np.testing.assert_array_equal(found[0], found[1])

    def test_sparse_and_dense_vectors_give_the_same_scores(self, learner, evidence, support):
        if hasattr(learner, "score"):
            pytest.skip("scores by itself: its vectors are what reasons are read from")
        space = learner.items(evidence)
        users = learner.adapt(space, support)

        def dense(matrix):
            return matrix.toarray() if sp.issparse(matrix) else matrix

        wanted = dense(users).astype(np.float64) @ dense(space.vectors).astype(np.float64).T + space.bias
        for one in (dense, sp.csr_matrix):
            for other in (dense, sp.csr_matrix):
                found = score(ItemSpace(other(space.vectors), space.bias), one(users))
                np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("learner", READS_TEXT, indirect=True)
def test_an_item_that_nobody_met_is_scored_by_its_text(learner, evidence, make_support):
    space = learner.items(evidence)
    found = score_users(learner, space, make_support([(0, 1, 1.0)], [(1, 1, 1.0)]))
    assert not np.bincount(evidence.history.item, minlength=70)[65:].any()
    assert len(np.unique(found[:, 65:])) == 10

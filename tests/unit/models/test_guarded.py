"""A taught learner beside the blend: who has the share serves, and neither knows of the other's numbers."""

import numpy as np
import pytest

from recpipe.models.base import score_users
from recpipe.models.blend import SIZES, Blend, part_of
from recpipe.models.guarded import Guarded, fused, ranks
from recpipe.models.io import load, read_config, save
from recpipe.models.item_knn import ItemKNN
from recpipe.models.popularity import Popularity
from recpipe.models.text_prototype import TextPrototype
from recpipe.ranking.reasons import because, brought_by_any
from recpipe.training.closed_forms.guarding import SHARES, Compared, choose_shares
from recpipe.training.networks import find_network

BLEND = Blend([part_of(form, 24) for form in (ItemKNN(), TextPrototype(), Popularity(30.0))], [[0.3, 0.3, 0.4]] * len(SIZES))


@pytest.fixture(params=["pair_network", "prototypical"])
def taught(request, evidence):
    network = find_network(request.param)
    return network.learner(network.start(network.look(evidence), 8, 3))


@pytest.fixture
def support(make_support):
    return make_support([], [(3, 1, 1.0)], [(3, 1, 1.0), (8, 1, 0.5)], [(n, 1, 1.0) for n in range(9)])


def test_each_size_is_served_by_whom_it_is_given_to(evidence, support, taught):
    both = Guarded(taught, BLEND, [1, 0, 0.5, 0, 1])
    found = score_users(both, both.items(evidence), support)
    mine = score_users(taught, taught.items(evidence), support)
    theirs = score_users(BLEND, BLEND.items(evidence), support)
    np.testing.assert_allclose(found[[0, 3]], mine[[0, 3]], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[1], theirs[1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[2], 0.5 / (5 + ranks(mine[2:3])[0]) + 0.5 / (5 + ranks(theirs[2:3])[0]), rtol=1e-5)


def test_a_row_does_not_depend_on_who_else_stands_in_the_batch(evidence, support, taught):
    both = Guarded(taught, BLEND, [0.5, 0.25, 0, 1, 0.75])
    space = both.items(evidence)
    together = score_users(both, space, support)
    alone = [score_users(both, space, support.users(row, row + 1))[0] for row in range(len(support))]
    np.testing.assert_array_equal(together, alone)


def test_a_folder_is_the_learners_with_the_blend_beside_it(tmp_path, facts, evidence, support, taught):
    both = Guarded(taught, BLEND, [0.5, 0.25, 0, 1, 0.75])
    save(both, tmp_path, facts)
    assert read_config(tmp_path)["learner"] == taught.name
    again = load(tmp_path)
    assert isinstance(again, Guarded)
    assert again.name == taught.name
    np.testing.assert_array_equal(
        score_users(again, again.items(evidence), support), score_users(both, both.items(evidence), support)
    )


def test_reasons_are_items_of_the_support(evidence, support, taught):
    both = Guarded(taught, BLEND, [0.5] * len(SIZES))
    space = both.items(evidence)
    lists = np.argsort(-score_users(both, space, support), axis=1)[:, :5]
    found = because(both, space, support, lists, brought_by_any(both, space))
    assert (found[0] == -1).all()
    assert 3 in found[1]
    assert set(found[2].ravel()) <= {3, 8, -1}


def test_ranks_of_equal_scores_go_by_item():
    assert ranks(np.array([[0.5, 2.0, 0.5]], np.float32)).tolist() == [[2, 1, 3]]
    one, other = np.array([[3.0, 2, 1]], np.float32), np.array([[1.0, 2, 3]], np.float32)
    np.testing.assert_allclose(fused(one, other, np.array([0.75])), [[0.75 / 6 + 0.25 / 8, 1 / 7, 0.75 / 8 + 0.25 / 6]])


def compared(*gains, users=400, seed=0):
    """Each size's users gain so much on average by the learner alone, half of it by half a share."""
    random, size = np.random.default_rng(seed), np.repeat(np.arange(len(gains)), users)
    base = random.random(len(size))
    gain = np.array(gains)[size] + 0.1 * random.standard_normal(len(size))
    table = base[:, None] + np.array(SHARES)[None, :] * gain[:, None]
    return Compared(table, size, np.arange(len(size), dtype=np.int32))


def test_a_learner_has_no_share_where_it_is_not_clearly_better():
    assert choose_shares(compared(-0.01, -0.01, -0.01, -0.01, -0.01), 1) == [0] * len(SIZES)
    assert choose_shares(compared(-0.1, -0.1, -0.1, -0.1, -0.1), 1) == [0] * len(SIZES)


def test_a_learner_has_the_sizes_at_which_it_is_clearly_better():
    assert choose_shares(compared(-0.05, 0.1, 0.1, 0.1, -0.1), 1) == [0, 1, 1, 1, 0]
    assert choose_shares(compared(0.1, -0.1, -0.1, -0.1, 0.1), 1) == [1, 0, 0, 0, 1]


def test_where_a_gain_is_likely_and_not_clear_both_have_a_half():
    random = np.random.default_rng(0)
    noise = random.standard_normal(400)
    gain = (noise - noise.mean()) * 0.1 + 0.008  # 1.6 standard errors above zero
    table = 0.3 + np.array(SHARES)[None, :] * gain[:, None]
    found = Compared(table, np.full(400, 2), np.arange(400, dtype=np.int32))
    assert choose_shares(found, 1) == [0, 0, 0.5, 0, 0]


def test_a_size_with_few_users_takes_the_share_of_all_unless_they_speak_against_it():
    found = compared(0.0, 0.1, 0.1, 0.1, 0.1)
    of_size = np.flatnonzero(found.size == 4)
    gain = found.ndcg[of_size, -1] - found.ndcg[of_size, 0]
    for one, wanted in ((of_size[np.argmax(gain)], 1), (of_size[np.argmin(gain)], 0)):
        rows = np.r_[np.flatnonzero(found.size < 4), one]
        assert choose_shares(Compared(found.ndcg[rows], found.size[rows], found.person[rows]), 1)[4] == wanted

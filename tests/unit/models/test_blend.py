"""The blend of closed forms: one product of vectors, whatever its parts, and weights found on earlier users."""

import dataclasses

import numpy as np
import pytest

from recpipe.dataset.support import Support
from recpipe.models.base import score_users
from recpipe.models.blend import SIZES, Blend, part_of, size_of
from recpipe.models.ease import EASE
from recpipe.models.io import load, save
from recpipe.models.item_knn import ItemKNN
from recpipe.models.popularity import CountryPopularity, Popularity, SeasonPopularity, UserPopularity
from recpipe.models.text_prototype import TextPrototype
from recpipe.ranking.reasons import because, brought_by_any
from recpipe.training.closed_forms.blending import fit_blend, search
from recpipe.training.model_selection import best_for_nobody, choose_forms
from recpipe.training.quality import measure
from recpipe.training.windows import cut_windows

FORMS = (
    EASE(50.0),
    ItemKNN(),
    TextPrototype(),
    Popularity(14.0),
    UserPopularity(90.0),
    SeasonPopularity(),
    CountryPopularity(least_customers=5),
)


def blend_of(*weights, forms=FORMS, width=24):
    return Blend([part_of(form, width) for form in forms], [list(weights)] * len(SIZES))


@pytest.fixture
def support(make_support):
    return make_support([], [(3, 1, 1.0)], [(3, 1, 1.0), (8, 1, 0.5)], [(n, 1, 1.0) for n in range(9)])


@pytest.mark.parametrize("place", range(len(FORMS)))
def test_a_blend_of_one_form_orders_as_the_form_does(evidence, support, place):
    blend = blend_of(*np.eye(len(FORMS))[place])
    form = FORMS[place]
    form = dataclasses.replace(form, popularity_weight=0.0) if hasattr(form, "popularity_weight") else form
    wanted = score_users(form, form.items(evidence), support)
    found = score_users(blend, blend.items(evidence), support)
    for row in range(len(support)):
        if wanted[row].std() > 1e-6:
            assert np.corrcoef(found[row], wanted[row])[0, 1] > 0.9999


def test_parts_count_alike_whatever_the_size_of_their_numbers(evidence, support):
    forms = TextPrototype(popularity_weight=0.0), Popularity(14.0)
    blend = blend_of(0.7, 0.3, forms=forms)
    found = score_users(blend, blend.items(evidence), support)
    each = [np.arange(len(evidence.catalogue), dtype=np.int32)]
    ones = np.ones(len(each[0]), np.float32)
    alone = Support(np.arange(len(ones) + 1), each[0], ones, ones, ones)
    spaces = [form.items(evidence) for form in forms]
    unit = [score_users(form, space, alone).std(1).mean() for form, space in zip(forms, spaces, strict=True)]
    text, popular = (score_users(form, space, support) for form, space in zip(forms, spaces, strict=True))
    np.testing.assert_allclose(found, 0.7 * text / unit[0] + 0.3 * popular / unit[1], rtol=1e-4, atol=1e-4)


def test_weights_are_those_of_the_size_of_the_support(evidence, support):
    rows = np.zeros((len(SIZES), 2))
    rows[np.arange(len(SIZES)), [1, 0, 1, 0, 1]] = 1
    blend = Blend([part_of(TextPrototype(), 24), part_of(Popularity(14.0))], rows.tolist())
    assert size_of(support.k).tolist() == [0, 1, 2, 4]
    found = score_users(blend, blend.items(evidence), support)
    popular = Popularity(14.0).items(evidence).bias
    for row, alike in enumerate((True, False, True, True)):
        assert (np.corrcoef(found[row], popular)[0, 1] > 0.9999) == alike


def test_a_row_does_not_depend_on_who_else_stands_in_the_batch(evidence, support):
    blend = blend_of(*[1 / len(FORMS)] * len(FORMS))
    space = blend.items(evidence)
    together = score_users(blend, space, support)
    alone = [score_users(blend, space, support.users(row, row + 1))[0] for row in range(len(support))]
    np.testing.assert_array_equal(together, alone)


def test_a_folder_gives_the_same_lists_back(tmp_path, facts, evidence, support):
    blend = blend_of(*np.arange(1.0, 1 + len(FORMS)))
    save(blend, tmp_path, facts)
    again = load(tmp_path)
    assert again.name == "blend"
    np.testing.assert_array_equal(
        score_users(again, again.items(evidence), support), score_users(blend, blend.items(evidence), support)
    )


def test_reasons_name_what_speaks_for_an_item(evidence, support):
    blend = blend_of(*np.eye(len(FORMS))[2])
    space = blend.items(evidence)
    lists = np.argsort(-score_users(blend, space, support), axis=1)[:, :5]
    found = because(blend, space, support, lists, brought_by_any(blend, space))
    assert (found[0] == -1).all()
    assert (found[1, :, 0] == 3).all()
    assert set(found[2].ravel()) <= {3, 8, -1}


def test_the_blend_is_found_on_users_before_and_is_no_worse_than_its_parts_on_them(evidence, facts):
    windows = cut_windows(evidence, facts, range(1, 6))
    parts = (EASE(50.0), ItemKNN(), TextPrototype(), Popularity(14.0))
    blend = fit_blend(windows, parts, seed=3, first=[0.0, 0.0, 0.0, 1.0])
    assert fit_blend(windows, parts, seed=3, first=[0.0, 0.0, 0.0, 1.0]) == blend
    assert [round(sum(row), 4) for row in blend.weights] == [1.0] * len(SIZES)

    def mean(learner):
        return np.mean([measure(learner, w.evidence, w.episodes).ndcg.mean() for w in windows])

    assert mean(blend) >= 0.98 * max(mean(part) for part in parts)


def test_sizes_of_which_nothing_is_known_take_the_mixture_of_all():
    start = np.array([0.2, 0.8])
    np.testing.assert_array_equal(search([], 2, 0, 10, start), start)
    np.testing.assert_array_equal(search([], 2, 0, 10), [0.5, 0.5])


def test_who_is_unknown_gets_what_earlier_newcomers_took(evidence, facts):
    windows = cut_windows(evidence, facts, range(1, 12))
    forms = [Popularity(7.0), Popularity(365.0), UserPopularity(90.0)]
    best = best_for_nobody(forms, windows, 10)

    def first_items(learner):
        found = []
        for window in windows:
            rows = np.flatnonzero(window.episodes.support.k == 0)
            if len(rows):
                found.append(measure(learner, window.evidence, window.episodes).ndcg[rows].mean())
        return np.mean(found)

    assert first_items(best) == max(map(first_items, forms))
    blend = choose_forms(windows, 10, 7)[-1]
    assert blend.name == "blend"
    (chosen,) = np.flatnonzero(blend.weights[0])
    assert blend.weights[0][chosen] == 1
    assert "popularity" in blend.parts[chosen]["learner"]

"""Texts by the words they share."""

from __future__ import annotations

import numpy as np
import pytest

from recpipe.text.lsa import WEIGHT, beside, learn_words, spread_of, words_of

TEXTS = ["red mug", "red cup", "blue mug", "blue cup", "green tea", "black tea"]


def test_words_are_counted_and_scripts_without_spaces_by_characters():
    assert words_of("Red red-Mug") == {"red": 2, "mug": 1}
    assert words_of("红茶杯") == {"红": 1, "茶": 1, "杯": 1, "红茶": 1, "茶杯": 1}


def test_with_all_axes_the_cosine_is_that_of_the_weighed_words():
    """red, mug, cup, blue and tea stand in two texts each, so all weigh alike."""
    got = learn_words(TEXTS).vectors(["red mug", "red cup", "tea", "nothing known", ""])
    assert got @ got.T == pytest.approx(
        np.array([[1, 0.5, 0, 0, 0], [0.5, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0] * 5, [0] * 5]), abs=1e-5
    )


def test_no_word_twice_is_no_axis():
    words = learn_words(["one", "two"])
    assert words.vectors(["one"]).shape == (1, 0)
    assert learn_words([]).vectors([]).shape == (0, 0)
    assert beside(np.ones((1, 2), np.float32), words.vectors(["one"]), 1.0).tolist() == [[1, 1]]


def test_the_words_stand_beside_the_vector_with_their_weight():
    words = learn_words(TEXTS)
    both = beside(np.zeros((1, 3), np.float32), words.vectors(["red mug"]), 0.5)
    assert np.linalg.norm(both) == pytest.approx(0.5 * WEIGHT)


def test_the_spread_is_what_vectors_do_not_share():
    assert spread_of(np.array([[1, 0], [0, 1]], np.float32)) == pytest.approx(0.5**0.5)
    assert spread_of(np.array([[1, 0], [1, 0]], np.float32)) == 0.0
    assert spread_of(np.zeros((0, 2), np.float32)) == 1.0

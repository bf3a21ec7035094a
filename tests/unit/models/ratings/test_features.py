"""Columns as features."""

import numpy as np
import pytest

from recpipe.models.ratings.content_features import blocks_of, bumps, weighted


def kernel(block):
    every = np.arange(block.rows.shape[0])
    return block.kernel(every, every)


def test_a_list_is_read_as_its_parts():
    (parts,) = blocks_of({"genre": ["Drama|Comedy", "Comedy|Drama", "War", "War", None]})
    assert parts.name == "genre, parts"
    np.testing.assert_allclose(
        kernel(parts), [[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 0]], atol=1e-12
    )


def test_brackets_and_case_of_a_part_say_nothing():
    (parts,) = blocks_of({"writer": ["Ann Lee (novel), Bo", "ann lee, bo (story)"]})
    np.testing.assert_allclose(kernel(parts), np.ones((2, 2)))


def test_numbers_are_alike_when_they_are_near():
    near, far = blocks_of({"year": [str(year) for year in range(1980, 2000)]})  # no year twice: no codes
    assert (near.name, far.name) == ("year, near", "year, far")
    for block in (near, far):
        row = kernel(block)[0]
        assert row[0] == pytest.approx(1)
        assert (np.diff(row) <= 1e-12).all()
    assert kernel(near)[0, 5] < kernel(far)[0, 5]


def test_a_missing_number_is_like_nothing():
    rows = bumps(np.array([1.0, 2.0, np.nan, 3.0]), 1.0).toarray()
    np.testing.assert_array_equal(rows[2], 0)
    np.testing.assert_allclose((rows[[0, 1, 3]] ** 2).sum(1), 1)


def test_columns_that_say_nothing_are_left_out():
    assert blocks_of({"same": ["a", "a", "a"], "none": [None, None, None], "id": ["x1", "x2", "x3"]}) == []


def test_weights_of_words_by_hand():
    rows = weighted(["red red cup", "red pot", "cup"], str.split).toarray()
    cup, red = np.log(4 / 3) + 1, np.log(4 / 3) + 1
    first = np.array([cup, (1 + np.log(2)) * red])
    np.testing.assert_allclose(rows, [first / np.linalg.norm(first), [0, 1], [1, 0]])


def test_long_texts_become_vectors_where_an_encoder_is_given():
    texts = [f"a story of twelve words and more that is told in number {n} here" for n in ["one", "two", "three"]]

    def encode(given):
        assert list(given) == texts
        return np.eye(3, dtype=np.float32)

    words, meaning = blocks_of({"plot": texts}, encode)
    assert (words.name, meaning.name) == ("plot, words", "plot, meaning")
    np.testing.assert_allclose(kernel(meaning), np.full((3, 3), -0.5) + 1.5 * np.eye(3))


def test_numbers_that_may_be_codes_are_read_as_both():
    names = [block.name for block in blocks_of({"occupation": list(range(20)) * 2})]
    assert names == ["occupation, parts", "occupation, near", "occupation, far"]

"""What an id is: the same text from every system, and the same answer of every function."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recpipe.config.checks import NOBODY
from recpipe.config.settings import load_settings
from recpipe.user_ids.canonical import canonical, canonical_ids, rounded, without_nobody
from recpipe.user_ids.keys import typed_user, user_keys

SAME = [
    ("12345", 12345), ("12345", "12345.0"), ("12345", " 12345\t"), ("12345", "\ufeff12345"), ("12345", "12\u200b345"),
    ("12345", "12345\x00"), ("12345", "\u202a12345\u202c"), ("12345", "12\u00ad345"), ("A B", "A\u00a0B"), ("A B", "A\u2003B\n"),
    ("Zo\u00eb", "Zoe\u0308"), ("Zo\u00eb", "Zoe\u200b\u0308"), ("-1", "-1.0"), ("a", "a\ufe0f"), ("x", "x\u3164"),
]  # fmt: skip
OTHERS = ["1.0.0", "v1.0", "12345.00", "1.5", "1e5", "a+b@c.d", "A  B", "0012", "ID-7"]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_id_from_two_systems_is_one(one, other):
    assert canonical(other) == one
    assert canonical_ids(pa.array([other])).to_pylist() == [one]


@pytest.mark.parametrize("text", OTHERS)
def test_nothing_else_is_changed(text):
    assert canonical(text) == text
    assert canonical_ids(pa.array([text])).to_pylist() == [text]


@given(texts=st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]) | st.sampled_from("0123456789.-+ \u200b\ufeff"))))
def test_one_by_one_and_all_at_once_are_alike_and_end_there(texts):
    expected = [canonical(text) or None for text in texts]
    assert canonical_ids(pa.array(texts, pa.string())).to_pylist() == expected
    assert [canonical(text) or None for text in expected if text] == [text for text in expected if text]


def test_parts_of_arrays_and_nulls_keep_their_places():
    ids = pa.array(["", "a", None, " b", "7.0", ""])
    assert canonical_ids(ids[1:]).to_pylist() == ["a", None, "b", "7", None]
    assert canonical_ids(pa.array([None, None], pa.string())).to_pylist() == [None, None]


def test_numbers_that_a_spreadsheet_has_rounded_are_no_ids():
    assert rounded(pa.array(["1.23457E+12", "1e+05", "1E5", "12345", None, "5e+shop"])).tolist() == [True, True, *[False] * 4]


def test_names_for_nobody():
    names = frozenset(NOBODY)
    ids = pa.array(["NULL", "Undefined", "(not set)", r"\N", "-1", "00000000-0000-0000-0000-000000000000", "0", "nobody-7", None])
    assert without_nobody(ids, names).to_pylist() == [*[None] * 6, "0", "nobody-7", None]
    assert without_nobody(ids, frozenset()) is ids


@pytest.mark.parametrize("key", ["", "ab" * 32])
def test_who_asks_for_an_id_means_the_one_that_was_delivered(key):
    settings = load_settings(user_key=key)
    for one, other in SAME:
        assert typed_user(settings, str(other)) == user_keys(settings.privacy, pa.array([one])).to_pylist()[0]

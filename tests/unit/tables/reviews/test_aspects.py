"""The file of aspects, and the clauses of texts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recpipe.config.settings import load_settings
from recpipe.errors import BadSetting
from recpipe.tables.reviews.aspects import MOST_LETTERS, SHIPPED, aspects_file, clauses, read_aspects


def test_the_shipped_file_is_read_in_both_languages():
    found = {aspect.name: aspect.pattern for aspect in read_aspects(SHIPPED)}
    assert list(found) == sorted(found)
    said = {
        "size": ["It RUNS   too small", "尺码偏小"],
        "material": ["silky feel", "面料很好"],
        "delivery": ["arrived late", "物流很快"],
    }
    for name, texts in said.items():
        assert all(found[name].search(text) for text in texts), name
    assert not found["size"].search("a misfit of sizeable proportion")
    assert found["size"].search("Outfits that fit").group() == "fit"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# remark\nsize fit\n", "line 2: 'size fit' is no aspect"),
        ("\nsize: fit\n\n4x: four\n", "line 4: '4x: four' is no aspect"),
        ("size: , ,\n", "line 1: no words"),
        ("size: fit, *\n", "line 1: '\\*' is no word"),
        ("size: f*t\n", "line 1: 'f\\*t' is no word"),
        ("size: fit\nlook: nice\nsize: small\n", "line 3: aspect 'size' stands in line 1 already"),
        ("overall: all\n", "line 1: no aspect may be called overall"),
    ],
)
def test_a_wrong_line_is_refused_with_its_number(tmp_path: Path, text, message):
    file = tmp_path / "aspects.txt"
    file.write_text(text)
    with pytest.raises(BadSetting, match=message):
        read_aspects(file)


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path):
    with pytest.raises(BadSetting, match="RECPIPE_REVIEW_ASPECTS: there is no file"):
        aspects_file(load_settings(home=tmp_path, review_aspects=str(tmp_path / "none.txt")).reviews)
    file = tmp_path / "aspects.txt"
    file.write_bytes("größe: klein".encode("latin-1"))
    with pytest.raises(BadSetting, match="UTF-8"):
        read_aspects(file)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Lovely fabric, but it runs small!! Sent back.", ["Lovely fabric", "it runs small", "Sent back"]),
        ("v1.5 works, 3.5 stars", ["v1.5 works, 3.5 stars"]),
        ("质量不错，但是尺码偏小。退了", ["质量不错", "尺码偏小", "退了"]),
        ("Butter soft", ["Butter soft"]),
        ("... !!", []),
        ("", []),
    ],
)
def test_clauses_end_where_sentences_do_and_where_the_opposite_follows(text, found):
    assert [text[start:end] for start, end in clauses(text)] == found


@given(st.text(st.sampled_from("ab é.!?,，。 \n但but"), max_size=700))
def test_clauses_lie_in_order_inside_the_text_and_are_short(text):
    before = 0
    for start, end in clauses(text):
        assert before <= start < end <= len(text)
        assert end - start <= MOST_LETTERS
        assert text[start:end] == text[start:end].strip()
        assert any(letter.isalnum() for letter in text[start:end])
        before = end

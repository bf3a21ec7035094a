"""What is masked in free texts, and what stays."""

from __future__ import annotations

import pyarrow as pa
import pytest

from recpipe.user_ids.masked_texts import masked, masked_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write to anna.b+x@shop.example.org.", "write to [mail]."),
        ("<A@B.co.uk>, c@d.fr", "<[mail]>, [mail]"),
        ("q=a%40b.de&x=1 mailto:ö.k@ä.de!", "q=[mail]&x=1 mailto:[mail]!"),
        ("anna @ shop.de", "[mail]"),
        ("3@5.99 or 2 @ 3.50, see @shop", "3@5.99 or 2 @ 3.50, see @shop"),
    ],
)
def test_mails(text, expected):
    assert masked_text(text, []) == expected
    assert masked(pa.array([text, None]), []).to_pylist() == [expected, None]


@pytest.mark.parametrize(
    ("text", "user", "expected"),
    [
        ("I am kunde-7, not Kunde-71", "Kunde-7", "I am [user], not Kunde-71"),
        ("xkunde-12345y", "Kunde-12345", "x[user]y"),
        ("5 candles", "5", "5 candles"),
        ("12345 candles of 112345", "12345", "[user] candles of 112345"),
        ("a (red) [b]", "(red)", "a [user] [b]"),
        ("mine: a@b.de", "a@b.de", "mine: [mail]"),
    ],
)
def test_own_ids(text, user, expected):
    assert masked_text(text, [user]) == expected
    assert masked(pa.array([text, text]), [pa.array([user, None])]).to_pylist() == [expected, masked_text(text, [])]

"""A model version of 0.1 brings a file that imports recpipe by its former names."""

from __future__ import annotations


def test_the_former_names_are_what_they_are_now() -> None:
    from recpipe.learn.data import ItemSpace, Support, score_users
    from recpipe.learn.pairs import Pairs

    from recpipe.dataset import support
    from recpipe.evidence import item_features
    from recpipe.learn import load
    from recpipe.models import base, io

    assert load is io.load
    assert (ItemSpace, score_users) == (base.ItemSpace, base.score_users)
    assert (Support, Pairs) == (support.Support, item_features.Pairs)

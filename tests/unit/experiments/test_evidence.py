"""A split as learners see it, by hand."""

import numpy as np
import pandas as pd
import pytest

from recpipe.experiments.split import read_split
from recpipe.experiments.split_evidence import category_path, first_meeting_weight, split_catalogue, split_evidence, split_support

WEIGHTS = {"view": 0.2, "cart": 0.5, "purchase": 1.0, "review": 0.8}


def the_split(write_split, **tables):
    day = pd.Timestamp("2011-01-01")
    given = {
        "meta": pd.DataFrame({"cutoff": ["2011-01-11"], "horizon_days": [30]}),
        "items": pd.DataFrame({"item_id": ["b", "a", "c"]}),
        "events": pd.DataFrame(
            {
                "user_id": ["y", "x", "x", None, "x"],
                "item_id": ["a", "b", "b", "c", "gone"],
                "event_type": ["view", "purchase", "purchase", "view", "view"],
                "ts": [day + pd.Timedelta(days=d) for d in (3, 2, 2, 5, 6)],
            }
        ),
        "users": pd.DataFrame({"k": [2, 0], "user_id": ["n", "m"], "t0": [day + pd.Timedelta(days=d) for d in (14.5, 10)]}),
        "support": pd.DataFrame(
            {
                "k": [2, 2],
                "user_id": ["n", "n"],
                "position": [0, 1],
                "item_id": ["c", "a"],
                "ts": [day + pd.Timedelta(days=d) for d in (12.5, 14.5)],
            }
        ),
    }
    return read_split(write_split({**given, **tables}))


def test_events_become_history_by_user_and_popularity_of_anybody(write_split, encode):
    evidence = split_evidence(the_split(write_split), encode, WEIGHTS)
    history = evidence.history
    assert list(evidence.catalogue.item_ids) == ["a", "b", "c"]
    assert evidence.until == np.datetime64("2011-01-11")
    # the repeated purchase is one event, the anonymous view makes no history, the unknown item is nobody's
    assert list(history.user_ids) == ["x", "y"]
    assert (history.user.tolist(), history.item.tolist()) == ([0, 1], [1, 0])
    assert history.weight == pytest.approx([1.0, 0.2])
    assert evidence.popularity_item.tolist() == [1, 0, 2]
    assert (np.diff(evidence.popularity_ts) > np.timedelta64(0)).all()


def test_a_fine_tuned_encoder_reads_the_same_texts_beside_the_plain_one(write_split, encode):
    split = the_split(write_split)
    both = split_evidence(split, encode, WEIGHTS, lambda texts: -encode(texts)).catalogue
    np.testing.assert_array_equal(both.tuned, -both.vectors)
    assert split_evidence(split, encode, WEIGHTS).catalogue.tuned is None


def test_items_of_which_nothing_is_known_have_unknowns(write_split, encode):
    catalogue = split_catalogue(the_split(write_split), encode)
    assert catalogue.texts == ["", "", ""]
    assert catalogue.categories == [(), (), ()]
    assert np.isnan(catalogue.price).all()
    assert catalogue.available.all()
    assert catalogue.first_day.tolist() == [np.datetime64("2011-01-02").item()] * 3  # the day before the first event


def test_items_are_described_as_the_nights_describe_them(write_split, encode):
    items = pd.DataFrame(
        {
            "item_id": ["b", "a", "c"],
            "title": ["Blue box", None, "Mug"],
            "category_path": ["Home > Boxes", "Home >  > ", None],
            "brand": ["Acme", None, None],
            "price": [2.5, np.nan, 1.0],
        }
    )
    catalogue = split_catalogue(the_split(write_split, items=items), encode)
    assert catalogue.texts == ["Home", "Blue box Home Boxes Acme", "Mug"]
    assert catalogue.categories == [("Home",), ("Home", "Boxes"), ()]
    assert catalogue.price.tolist()[1:] == [2.5, 1.0]


def test_supports_say_for_which_instant_their_list_is_made(write_split):
    support = split_support(the_split(write_split), 10.0, WEIGHTS)
    assert support.indptr.tolist() == [0, 0, 2]  # rows by k: the user without support comes first
    assert support.item.tolist() == [2, 0]  # oldest first
    assert support.age_days.tolist() == [2.0, 0.0]
    assert support.ahead_days.tolist() == [0.0, 4.5]
    # most first meetings of the log are views and purchases alike: of equally frequent weights the greater
    assert support.weight == pytest.approx([0.5**0.2, 1.0])
    assert support.label.tolist() == [1, 1]


def test_a_support_of_known_types_weighs_what_they_weigh(write_split):
    day = pd.Timestamp("2011-01-15")
    rows = {"k": [2, 2], "user_id": ["n", "n"], "position": [0, 1], "item_id": ["c", "a"], "ts": [day, day]}
    support = pd.DataFrame({**rows, "event_type": ["view", "cart"]})
    found = split_support(the_split(write_split, support=support), 10.0, WEIGHTS)
    assert found.item.tolist() == [0, 2]  # of the same moment by item, as at night
    assert found.weight * 2 ** (0.05) == pytest.approx([0.5, 0.2])


def test_the_first_meeting_decides_what_a_support_weighs(write_split):
    day = pd.Timestamp("2011-01-01")
    kinds = ["view", "purchase", "view", "purchase", "purchase", "purchase"]
    pairs = [("x", "a"), ("x", "a"), ("y", "a"), ("y", "a"), ("y", "a"), ("y", "b")]
    events = pd.DataFrame(pairs, columns=["user_id", "item_id"]).assign(
        event_type=kinds, ts=[day + pd.Timedelta(hours=n) for n in range(6)]
    )
    assert first_meeting_weight(the_split(write_split, events=events), WEIGHTS) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("value", "path"),
    [("A > B>C", ("A", "B", "C")), (["A", None, " B "], ("A", "B")), (None, ()), ("", ()), (7, ("7",)), (("A",), ("A",))],
)
def test_paths_of_categories(value, path):
    assert category_path(value) == path

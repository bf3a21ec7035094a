"""The shop's own files, and what the demo says of the other tables."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq

from recpipe.config.settings import Settings, load_settings
from recpipe.demo.other_tables import audience, classes, complements, profiles
from recpipe.demo.shop import DATA, SETTINGS
from recpipe.tables.campaigns.campaigns import read_campaigns, read_users
from recpipe.tables.item_classes.labels import read_labels

TITLES = {"a": "TEACUP", "b": "SAUCER", "c": "TEAPOT"}


def shop_settings() -> Settings:
    return load_settings(labels=SETTINGS["RECPIPE_LABELS"], campaigns=SETTINGS["RECPIPE_CAMPAIGNS"])


def test_every_labelled_item_is_one_of_the_shop() -> None:
    known = set(pq.read_table(DATA / "items.parquet")["item_id"].to_pylist())
    labels = read_labels(shop_settings(), date(2011, 9, 3))["range"]
    assert set(labels) <= known
    paths = list(labels.values())
    assert len(labels) == 112
    assert len(set(paths)) == 23
    assert all(paths.count(path) in (2, 5) for path in paths)


def test_campaigns_name_items_of_the_shop_and_users_who_are_registered() -> None:
    known = set(pq.read_table(DATA / "items.parquet")["item_id"].to_pylist())
    registered = pq.read_table(DATA / "users.parquet").to_pandas().set_index("user_id")["registered_at"].dt.date
    settings = shop_settings()
    for campaign in read_campaigns(settings.audiences):
        assert set(campaign.item_ids) <= known
        if campaign.candidates is not None:
            users = read_users(settings, campaign.candidates, campaign.first_day)
            assert users == set(registered.index[registered <= min(campaign.first_day, date(2011, 8, 14))])


def test_the_item_bought_most_often_with_another_is_shown() -> None:
    rows = pa.table(
        {
            "item_id": ["a", "b", "b"],
            "rank": [1, 2, 1],
            "complement_id": ["b", "a", "c"],
            "orders_together": [5, 5, 9],
        }
    )
    assert complements(rows, TITLES) == ["SAUCER is completed by TEAPOT, TEACUP"]
    assert complements(rows.slice(0, 0), TITLES) == []


def test_items_without_a_class_are_counted_apart() -> None:
    rows = pa.table(
        {
            "item_id": ["a", "b", "c"],
            "class_path": [["Kitchen", "Tea"], None, ["Kitchen"]],
            "confidence": [0.9, 0.3, 0.7],
            "abstained": [False, True, False],
        }
    )
    said = classes(rows, TITLES)
    assert said == ["2 items have a class, 1 are left for a person to look at", "TEAPOT -> Kitchen (0.70)"]


def test_the_heaviest_tag_of_each_kind_is_shown_without_its_user() -> None:
    rows = pa.table(
        {
            "user_id": ["u2", "u1", "u1"],
            "tag": ["topic:tea", "topic:cup", "price:low"],
            "kind": ["topic", "topic", "price"],
            "weight": [0.5, 0.6, 0.2],
            "evidence": ["Met 5 of 5 times, on 2011-09-01.", "Met 6 of 6 times, on 2011-09-01.", "2 of 3 times."],
        }
    )
    assert profiles(rows, TITLES) == ["price:low (0.20): 2 of 3 times.", "topic:cup (0.60): Met 6 of 6 times, on 2011-09-01."]
    assert profiles(rows.slice(0, 0), TITLES) == []


def test_an_audience_names_no_user() -> None:
    rows = pa.table(
        {
            "campaign_id": ["tea", "tea"],
            "user_id": ["u2", "u1"],
            "rank": [2, 1],
            "probability": [0.2, 0.31],
            "reason": [{"kind": "buys_often", "because_item_ids": []}, {"kind": "campaign_items", "because_item_ids": ["a"]}],
        }
    )
    assert audience(rows, TITLES) == ["tea: the likeliest answers with probability 0.31; bought TEACUP"]

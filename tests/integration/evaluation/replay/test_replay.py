"""The replay on a small shop: who is replayed, what training sees, whose functions make the lists, what is published."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import small_shop

from recpipe.config.settings import load_settings
from recpipe.contract import REPLAYS
from recpipe.errors import BadSetting, MissingDay
from recpipe.evaluation.replay.replay_groups import GROUPS
from recpipe.evaluation.replay.replay_measures import Replay, measure
from recpipe.evaluation.replay.replay_newcomers import read_newcomers
from recpipe.evaluation.replay.replay_page import report_page
from recpipe.evaluation.replay.replay_run import export_replay, model_folder, plan_replay, publish_replay, replay_day
from recpipe.evaluation.replay.replay_stages import open_stage, with_users
from recpipe.evaluation.replay.replay_text import replay_lines
from recpipe.models.io import save
from recpipe.models.popularity import Popularity
from recpipe.models.text_prototype import TextPrototype
from recpipe.readers.freshness import freshness
from recpipe.readers.outcome_curves import read_replay
from recpipe.tables.recommendations.night import open_night, rank_blocks
from recpipe.training.config import Config
from recpipe.training.loop import train

FIRST, CUT, LAST = date(2026, 1, 1), date(2026, 3, 11), date(2026, 3, 31)
BEFORE = CUT - timedelta(days=1)
TRAINING = {"steps": 4, "warmup_steps": 1, "valid_weeks": 1, "new_user_cuts": 2, "evaluate_every": 4, "device": "cpu"}


def newcomers(shop, day=LAST, trained_until=BEFORE):
    reader = shop.lake.reader()
    at_cut = open_stage(reader, shop.settings, str(trained_until)).known.evidence
    return at_cut, read_newcomers(reader, shop.settings, at_cut, trained_until, day)


# --- who is replayed


@pytest.fixture
def tiny(tmp_path):
    """Six items since the first day; ann comes after the cut, bob before it, and cat with two accounts."""
    shop = small_shop.open_shop(tmp_path / "home", replay_horizon_days=5, metric_k=3, top_k=3, min_users=1, bootstrap_draws=50)
    goods = tuple(small_shop.item(f"i{n}", "red cup") for n in range(6))
    shop.deliver("2026-03-01", items=goods, users=(small_shop.user("bob", "2026-03-01 08:00"),),
                 events=(small_shop.event("bob", "i5", "purchase", "2026-03-01 09:00"),))  # fmt: skip
    shop.deliver("2026-03-02")
    shop.deliver(
        "2026-03-03",
        items=(small_shop.item("late", "blue cup"),),
        users=(small_shop.user("ann", "2026-03-03 08:00"), {**small_shop.user("cat1", "2026-03-03 08:00"), "person_id": "cat"},
               {**small_shop.user("cat2", "2026-03-03 08:00"), "person_id": "cat"}),
        events=(
            small_shop.event("ann", "i0", "purchase", "2026-03-03 10:00"),
            small_shop.event("ann", "i1", "purchase", "2026-03-03 10:00"),
            small_shop.event("ann", "late", "purchase", "2026-03-03 11:00"),
            small_shop.event("bob", "i0", "purchase", "2026-03-03 10:00"),
            small_shop.event("cat1", "i2", "purchase", "2026-03-03 12:00"),
        ),
    )  # fmt: skip
    shop.deliver("2026-03-04", events=(small_shop.event("cat2", "i3", "purchase", "2026-03-04 12:00"),))
    shop.deliver("2026-03-05", events=(small_shop.event("ann", "i0", "purchase", "2026-03-05 09:00"),
                                       small_shop.event("ann", "i4", "purchase", "2026-03-05 09:30")))  # fmt: skip
    for day in range(6, 10):
        shop.deliver(f"2026-03-{day:02d}")
    shop.deliver("2026-03-10", events=(small_shop.event("ann", "i3", "purchase", "2026-03-10 09:00"),))
    return shop


def told(shop, found):
    items = [f"i{n}" for n in range(6)]
    rows = []
    for row in range(len(found.users)):
        support = found.users.support
        known = [items[i] for i in support.item[support.indptr[row] : support.indptr[row + 1]]]
        met = [items[i] for user, i in found.users.met if user == row]
        query = [items[i] for i in found.truth.item[found.truth.indptr[row] : found.truth.indptr[row + 1]]]
        rows.append((int(found.person[row]), known, met, query))
    return rows


def test_who_came_is_served_at_each_size_and_judged_by_what_came_after(tiny):
    _, found = newcomers(tiny, date(2026, 3, 10), date(2026, 3, 2))
    ann, cat = sorted(set(found.person.tolist()))
    assert told(tiny, found) == [
        # nothing known: everything of the five days from the first event on; i3 came later
        (ann, [], [], ["i0", "i1", "i4"]),
        # i1 is of the same order as i0: neither hit nor miss
        (ann, ["i0"], ["i0", "i1"], ["i4"]),
        # after the third item nothing follows within five days but i3, from the fifth of March on
        (ann, ["i0", "i1", "i4"], ["i0", "i1", "i4"], ["i3"]),
        (cat, [], [], ["i2", "i3"]),
        (cat, ["i2"], ["i2"], ["i3"]),
    ]
    assert found.came == 2  # bob was there before, and two accounts are one person
    assert found.users.cohort.tolist() == ["zero", "few", "few", "zero", "few"]
    assert (found.users.support.ahead_days > 0).all()


def test_an_item_that_came_after_the_cut_is_known_to_nobody(tiny):
    at_cut, found = newcomers(tiny, date(2026, 3, 10), date(2026, 3, 2))
    assert "late" not in at_cut.catalogue.item_ids
    assert found.truth.item.max() < 6
    assert found.users.met[:, 1].max() < 6


def test_who_is_replayed_is_named_nowhere(tiny):
    _, found = newcomers(tiny, date(2026, 3, 10), date(2026, 3, 2))
    assert not {"ann", "cat1", "cat2"} & set(found.users.user_ids)
    assert not {"ann", "cat1", "cat2"} & set(found.users.person_ids)


# --- what training sees


def test_nothing_after_the_cut_is_seen_by_training(shop, tmp_path, publish_days):
    models = []
    for run in ("before", "after"):
        plan = plan_replay(shop.settings, LAST) | {"run": run}
        assert plan["trained_until"] == str(BEFORE)
        episodes = Path(export_replay(shop.settings, plan))
        train(episodes, tmp_path / run, Config(**TRAINING))
        models.append({file.name: file.read_bytes() for folder in (episodes, tmp_path / run) for file in folder.glob("*.*")})
        happens_otherwise(shop, publish_days)
    assert {"facts.json", "evidence.safetensors", "catalogue.json", "model.safetensors", "config.json"} <= set(models[0])
    assert models[0] == models[1]


def happens_otherwise(shop, publish_days):
    """Deliver every day since the cut anew: other items, users and events, an item that is gone."""
    days = [CUT + timedelta(days=offset) for offset in range((LAST - CUT).days + 1)]
    goods = [(day, small_shop.item(f"other{day}", "blue lamp")) for day in days]
    goods += [(day, small_shop.item("red0", "green lamp", available=False)) for day in days]
    publish_days(
        shop,
        CUT,
        len(days),
        items=goods,
        users=[(day, small_shop.user("old00", f"{day} 08:00", "Spain")) for day in days],
        events=[
            (day, small_shop.event(f"old{n:02d}", f"other{day}", "purchase", f"{day} 10:00")) for day in days for n in range(20)
        ],
    )


def test_the_training_input_is_of_the_protocol(shop):
    plan = plan_replay(shop.settings, LAST, cut=CUT - timedelta(days=7))
    facts = json.loads((Path(export_replay(shop.settings, plan)) / "facts.json").read_text())["facts"]
    assert facts["trained_until"] == facts["fitted_until"] == str(CUT - timedelta(days=8))
    assert (facts["window_days"], facts["horizon_days"], facts["seen_items"]) == (28, 9, "exclude")


def test_two_replays_never_share_a_folder(shop):
    plan, other = plan_replay(shop.settings, LAST), plan_replay(shop.settings, LAST, cut=CUT - timedelta(days=7))
    of_run = plan_replay(shop.settings.changed(run_id="backfill__2026-03-31T00:00:00+00:00"), LAST)
    folders = {model_folder(shop.settings, one) for one in (plan, other, of_run)}
    assert len(folders) == 3
    assert all(shop.settings.places.work.resolve() / "training" in folder.parents for folder in folders)


@pytest.mark.parametrize(
    ("day", "cut", "error", "said"),
    [
        (LAST, LAST + timedelta(days=1), BadSetting, "nobody could have come since"),
        (FIRST + timedelta(days=3), None, MissingDay, "no model can be trained"),
        (LAST + timedelta(days=1), None, MissingDay, "needs the events of 2026-04-01, which are not published"),
    ],
)
def test_a_replay_that_cannot_be_is_refused_in_a_sentence(shop, day, cut, error, said):
    with pytest.raises(error, match=said):
        plan_replay(shop.settings, day, cut)


# --- whose functions make the lists


def test_the_lists_are_those_that_the_night_would_make(shop):
    model = shop.folder(TextPrototype())
    plan = shop.plan(TextPrototype(), BEFORE)
    night = open_night(shop.settings, plan, shop.lake.reader(plan["versions"]))
    made = rank_blocks(night, 0, 1).to_pylist()
    reader = shop.lake.reader()
    stage = with_users(open_stage(reader, shop.settings, str(BEFORE)), reader, night.users)
    lists = stage.lists_of(Path(model), night.users)
    ids = stage.known.evidence.catalogue.item_ids
    assert len(night.users) == 24
    for row, user in enumerate(night.users.user_ids):
        wanted = [one["item_id"] for one in made if one["user_id"] == user][:3]
        assert [ids[item] for item in lists[row]] == wanted


def test_what_is_known_of_others_changes_no_list(shop):
    _, found = newcomers(shop)
    reader = shop.lake.reader()
    stage = open_stage(reader, shop.settings, str(BEFORE))
    lists = stage.lists_of(Path(shop.folder(TextPrototype())), found.users)
    few = replace_support_of_first(found)
    again = stage.lists_of(Path(shop.folder(TextPrototype())), few)
    assert (lists[-1] == again[-1]).all()
    assert not (lists[:, 0] == -1).any()


def replace_support_of_first(found):
    return replace(found.users, country=np.array(["Spain", *found.users.country[1:]], object))


def test_who_likes_a_colour_is_served_better_with_items_known(shop):
    """By likeness of texts alone: after one item of a colour the list is of that colour, and popularity's is not."""
    model = shop.folder(TextPrototype(popularity_weight=0.1))
    rows = measure(shop.settings, shop.lake.reader(), BEFORE, LAST, Path(model)).rows.to_pylist()
    value = {(row["group"], row["name"]): row["value"] for row in rows if row["metric"] == "ndcg@3"}
    assert value["k>=1", "text_prototype"] > 1.5 * value["k>=1", "popularity"]
    sizes = [value[f"k={size}", "text_prototype"] for size in (1, 3, 5)]
    assert value["k>=1", "text_prototype"] == pytest.approx(np.mean([s for s in sizes if s is not None]))
    ratio = {(row["group"], row["name"], row["against"]): row for row in rows if row["metric"] == "ndcg_ratio@3"}
    one = ratio["k>=1", "text_prototype", "popularity"]
    assert one["value"] == pytest.approx(value["k>=1", "text_prototype"] / value["k>=1", "popularity"])
    assert one["ci_low"] <= one["value"] <= one["ci_high"]


# --- what is published


def test_a_replay_is_published_whole_and_the_same_again(shop):
    model = Path(shop.folder(TextPrototype()))
    save(
        Popularity(),
        model / "closed_form",
        {"encoder": ""},
    )
    plan = plan_replay(shop.settings, LAST)
    done = publish_replay(shop.settings, plan, str(model))
    rows = shop.lake.reader().read("replays", LAST, LAST)
    assert rows.schema.equals(REPLAYS.schema)
    # three names by three metrics and two ratios in each group; a closed form that is a baseline is measured as one
    assert rows.num_rows == done["rows"] == len(GROUPS) * (3 * 3 + 2)
    assert set(rows["users"].to_pylist()) <= set(range(13))
    publish_replay(shop.settings, plan, str(model))
    assert shop.lake.reader().read("replays", LAST, LAST).equals(rows)
    record = shop.lake.day("replays", LAST)
    assert {one.table for one in record.inputs} == {"events", "items", "users"}
    assert record.model_version.startswith("replay-")
    page = Path(done["report"])
    assert page.name == f"replay-{LAST}.html"
    assert page.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert "new0" not in page.read_text()
    assert read_replay(shop.settings).trained_until == BEFORE


def test_each_number_of_the_page_stands_below_its_name():
    def row(metric, name, against, value):
        return {"group": "k=1", "metric": metric, "name": name, "against": against, "value": value, "ci_low": value, "ci_high": value,
                "users": 30}  # fmt: skip

    rows = [row("ndcg@10", "stack", "", 0.5), row("hit_rate@10", "stack", "", 0.75), row("ndcg@10", "popularity", "", 0.25),
            row("ndcg_ratio@10", "stack", "item_knn", 1.25), row("ndcg_ratio@10", "stack", "popularity", 2.0)]  # fmt: skip
    replay = Replay(BEFORE, LAST, 30, pa.Table.from_pylist(rows))
    page = report_page(load_settings(home="unused", min_users=2), replay)
    head = re.findall(r"<th(?: [^>]*)?>(.*?)</th>", page[page.index("<thead>") : page.index("</thead>")])
    first = re.findall(r"<t[dh][^>]*>([^<]*)", next(line for line in page.split("<tr") if '<td class="number">0.5000' in line))
    found = dict(zip(head, first, strict=True))
    assert (found["known"], found["persons"]) == ("1 item known", "30")
    assert (found["nDCG"], found["hit rate"], found["× item kNN"], found["× popularity"]) == ("0.5000", "0.7500", "1.25", "2.00")
    assert replay_lines(rows, 10)[0] == (
        "items known", "persons", "stack of closed forms", "item kNN, best form", "popularity, best window",
    )  # fmt: skip
    assert replay_lines(rows, 10)[2][1:] == ("30", "0.5000 (0.5000–0.5000)", "too few", "0.2500 (0.2500–0.2500)")


def test_a_floor_that_is_crossed_is_a_sentence(shop):
    model = shop.folder(TextPrototype())
    floors = {"floor_replay_ndcg": 0.99, "floor_replay_ratio": 50.0}
    settings = shop.settings.changed(**floors)
    said = publish_replay(settings, plan_replay(settings, LAST), model)["warnings"]
    assert len(said) == 2
    assert "below the floor of 0.9900" in said[0]
    assert "times that of popularity with text_prototype, below the floor of 50.00" in said[1]
    assert publish_replay(shop.settings, plan_replay(shop.settings, LAST), model)["warnings"] == []


def test_nobody_came_and_the_replay_says_so(shop):
    model = shop.folder(TextPrototype())
    plan = plan_replay(shop.settings, LAST, cut=LAST)
    done = publish_replay(shop.settings, plan, model)
    assert done["came"] == 0
    rows = shop.lake.reader().read("replays").to_pylist()
    assert {(row["value"], row["users"]) for row in rows} == {(None, 0)}
    assert "0 persons are too few" in Path(done["report"]).read_text()


def test_the_command_does_it_all(shop, tmp_path, monkeypatch):
    options = tmp_path / "training.json"
    options.write_text(json.dumps(TRAINING))
    settings = shop.settings.changed(replay_options=["--settings", str(options)])
    done = replay_day(settings, LAST)
    assert done["came"] == 12
    names = {row["name"] for row in shop.lake.reader().read("replays").to_pylist()}
    assert {"pair_network", "popularity", "item_knn"} <= names
    left = settings.places.work.glob("train*/replay-*")
    assert {path.parent.name for path in left} == {"train", "training"}  # where an erasure and `recpipe maintain` look


def test_a_weekly_table_is_late_after_its_sunday_alone(shop):
    model = shop.folder(TextPrototype())
    sundays = [date(2026, 3, 15), date(2026, 3, 29)]
    for day in sundays:
        publish_replay(shop.settings, plan_replay(shop.settings, day, cut=CUT), model)
    (found,) = [one for one in freshness(shop.settings) if one.table == "replays"]
    assert found.missing == (date(2026, 3, 22),)
    assert [found.days_behind(date(2026, 3, 29) + timedelta(days=n)) for n in (0, 6, 7, 8)] == [0, 0, 7, 7]


def test_datetimes_of_the_replay_are_the_shops(shop):
    """A shop whose midnight is not that of UTC: who registered before its own midnight was there before the cut."""
    settings = shop.settings.changed(timezone="Asia/Tokyo")
    at_cut = open_stage(shop.lake.reader(), settings, str(BEFORE)).known.evidence
    assert at_cut.until == np.datetime64(datetime(2026, 3, 10, 15, tzinfo=UTC).replace(tzinfo=None), "us")

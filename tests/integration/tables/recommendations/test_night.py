"""A night is a pure function of its day, the tables as of the day, and one model version."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from coloured_night import DAY, TEXT, fill, published
from small_shop import Shop, event, item, open_shop, user
from typer.testing import CliRunner

from recpipe.contract import RECOMMENDATIONS
from recpipe.demo.results import three_users
from recpipe.errors import AuditFailed, MissingDay, MissingModel, RecpipeError
from recpipe.models.io import read_config, save
from recpipe.models.item_knn import ItemKNN
from recpipe.models.popularity import Popularity
from recpipe.models.text_prototype import TextPrototype
from recpipe.pipeline import blocks
from recpipe.pipeline.plan import by_hand
from recpipe.ranking import order
from recpipe.registry.model_folder import content_hash
from recpipe.tables.recommendations import night
from recpipe.tables.recommendations.night_plan import plan_night
from recpipe.tables.recommendations.night_publish import publish_episodes, publish_night, recommend_day
from recpipe.tables.recommendations.night_shards import rank_shard


@pytest.fixture
def three(tmp_path) -> Shop:
    return fill(open_shop(tmp_path / "home", top_k=3))


def staged(shop: Shop, learner, day=DAY, shards=1) -> pa.Table:
    """Rank a night and return its rows, without publishing them."""
    plan = shop.plan(learner, day, shards)
    files = [rank_shard(shop.settings, plan, shard) for shard in range(shards)]
    rows = pa.concat_tables(pq.read_table(file) for file in files).cast(RECOMMENDATIONS.schema)
    return rows.sort_by([("user_id", "ascending"), ("rank", "ascending")])


def lists(rows: pa.Table) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in rows.to_pylist():
        found.setdefault(row["user_id"], []).append(row["item_id"])
    return found


def test_the_whole_table_of_a_night(three):
    half = pytest.approx(0.5**0.5, abs=1e-5)

    def row(user_id, rank, item_id, score, cohort, kind, *because):
        return {
            "day": DAY, "user_id": user_id, "rank": rank, "item_id": item_id, "score": score, "cohort": cohort,
            "reason": {"kind": kind, "because_item_ids": list(because)}, "model_version": "1", "propensity": 1.0,
        }  # fmt: skip

    assert staged(three, TEXT).to_pylist() == [
        row("u1", 1, "b", pytest.approx(1, abs=1e-5), "warm", "support", "a"),
        row("u1", 2, "e", half, "warm", "support", "a"),
        row("u1", 3, "c", 0, "warm", "popular"),
        row("u2", 1, "e", pytest.approx(1, abs=1e-5), "few", "support", "c", "a"),
        row("u2", 2, "b", half, "few", "support", "a"),
        row("u3", 1, "a", pytest.approx(0.999, abs=1e-5), "zero", "popular"),
        row("u3", 2, "c", pytest.approx(0.4995, abs=1e-5), "zero", "popular"),
        row("u3", 3, "b", 0, "zero", "popular"),
    ]


def test_a_day_without_events_has_lists_too(three):
    day = three.deliver("2026-03-03")
    assert lists(staged(three, TEXT, day)) == {"u1": ["b", "e", "c"], "u2": ["e", "b"], "u3": ["a", "c", "b"]}


def test_users_registered_today_have_lists(three):
    day = three.deliver("2026-03-03", users=(user("u4", "2026-03-03 09:00"),))
    assert lists(staged(three, TEXT, day))["u4"] == ["a", "c", "b"]


def test_seen_items_may_be_allowed(tmp_path):
    shop = fill(open_shop(tmp_path / "home", top_k=3, seen_items="allow"))
    assert lists(staged(shop, TEXT))["u1"] == ["a", "b", "e"]


def test_what_was_sent_back_is_not_listed_again(three):
    """Also where the purchase is older than the history that is read."""
    day = three.deliver(
        "2026-03-03", events=(event("u3", "c", "return", "2026-03-03 10:00"), event("u1", "a", "return", "2026-03-03 10:00"))
    )
    found = lists(staged(three, TEXT, day))
    assert found["u3"] == ["a", "b", "e"]
    assert "a" not in found["u1"]


def test_what_was_bought_before_many_views_is_not_listed_again(tmp_path):
    shop = fill(open_shop(tmp_path / "home", top_k=3, last_events=2))
    day = shop.deliver("2026-03-03", events=tuple(event("u1", "e", "view", f"2026-03-03 1{n}:00") for n in range(5)))
    plan = shop.plan(TEXT, day)
    assert lists(staged(shop, TEXT, day))["u1"] == ["b", "c"]
    assert publish_night(shop.settings, plan, [rank_shard(shop.settings, plan, 0)]) > 0  # the audit agrees


def test_a_lapsed_user_has_a_list_of_what_is_popular(tmp_path):
    shop = fill(open_shop(tmp_path / "home", top_k=3, lookback_days=2))
    day = shop.deliver("2026-03-04", events=(event("u3", "c", "purchase", "2026-03-04 10:00"),))
    done = recommend_day(shop.settings, day, Path(shop.model(TEXT, "1")).name)
    rows = [row for row in published(shop, day=day).to_pylist() if row["user_id"] == "u1"]
    assert {(row["cohort"], row["reason"]["kind"]) for row in rows} == {("warm", "popular")}
    assert [row["item_id"] for row in rows] == ["c", "a", "b"]
    assert done["episodes"] == 1


def test_the_demo_shows_a_long_known_user_of_whom_something_is_known(tmp_path):
    """u1 has been known for longest, and is lapsed."""
    shop = fill(open_shop(tmp_path / "home", top_k=3, lookback_days=2))
    bought = tuple(event(name, "a", "purchase", "2026-03-04 10:00") for name in ("u3", "u9"))
    day = shop.deliver("2026-03-04", users=(user("u9", "2021-01-01 00:00"),), events=bought)
    recommend_day(shop.settings, day, Path(shop.model(TEXT, "1")).name)
    assert three_users(shop.lake.reader(), day) == ["u3", "u9"]


def test_items_of_later_days_and_items_taken_off_sale_are_not_listed(three):
    three.deliver("2026-03-03", items=(item("f", "red"), item("b", "red", available=False)))
    assert lists(staged(three, TEXT))["u1"] == ["b", "e", "c"]
    assert lists(staged(three, TEXT, date(2026, 3, 3)))["u1"] == ["f", "e", "c"]


def test_a_catalogue_smaller_than_the_list_gives_short_lists(tmp_path):
    shop = fill(open_shop(tmp_path / "home", top_k=20))
    found = lists(staged(shop, TEXT))
    assert {name: len(items) for name, items in found.items()} == {"u1": 3, "u2": 2, "u3": 4}
    rows = publish_night(shop.settings, shop.plan(TEXT, DAY), [rank_shard(shop.settings, shop.plan(TEXT, DAY), 0)])
    assert rows == 9


def test_a_list_holds_only_so_many_of_a_category(tmp_path):
    shop = open_shop(tmp_path / "home", top_k=4, max_per_category=2, category_level=1)
    shelf = [item(f"r{n}", "red", ["shop", "cups"]) for n in range(5)] + [
        item(f"s{n}", "red blue", ["shop", "mugs"]) for n in range(5)
    ]
    shop.deliver("2026-03-02", items=tuple(shelf), events=(event("u1", "r0", "purchase", "2026-03-02 12:00"),))
    rows = staged(shop, TEXT)
    assert lists(rows) == {"u1": ["r1", "r2", "s0", "s1"]}
    assert publish_night(shop.settings, shop.plan(TEXT, DAY), [rank_shard(shop.settings, shop.plan(TEXT, DAY), 0)]) == 4


def test_a_night_that_forgets_the_limit_of_a_category_is_refused(tmp_path, monkeypatch):
    shop = open_shop(tmp_path, top_k=3, max_per_category=2, category_level=1)
    shelf = [item(f"{name}{n}", name, ["shop", name]) for name in ("red", "blue") for n in range(4)]
    shop.deliver("2026-03-02", items=tuple(shelf), events=(event("u1", "red0", "purchase", "2026-03-02 12:00"),))
    honest, plan = order.rank, shop.plan(TEXT, DAY)
    monkeypatch.setattr(night, "rank", lambda scores, barred, k, category, most: honest(scores, barred, k, category, 0))
    with pytest.raises(AuditFailed, match="more items of a category than set"):
        publish_night(shop.settings, plan, [rank_shard(shop.settings, plan, 0)])
    monkeypatch.setattr(night, "rank", honest)
    assert publish_night(shop.settings, plan, [rank_shard(shop.settings, plan, 0)]) == 3


def test_nothing_of_the_future_changes_an_earlier_list(three):
    before = staged(three, ItemKNN(shrinkage=0.0))
    three.deliver(
        "2026-03-03",
        items=(item("a0", "red"), item("b", "blue"), item("e", "red blue", available=False)),
        users=(user("u0", "2026-03-01 00:00"), user("u3", "2026-03-01 00:00", "France")),
        events=(
            event("u3", "e", "purchase", "2026-03-03 10:00"),
            event("u2", "c", "return", "2026-03-03 10:00"),
            event("u1", "e", "purchase", "2026-03-02 10:00"),
            event("u9", None, "search", "2026-03-02 10:00", query="red"),
        ),
    )
    assert staged(three, ItemKNN(shrinkage=0.0)).equals(before)
    assert not staged(three, ItemKNN(shrinkage=0.0), date(2026, 3, 3)).drop_columns("day").equals(before.drop_columns("day"))


@pytest.fixture(scope="module")
def crowd(tmp_path_factory) -> Shop:
    """300 users and 90 items with texts that differ in their last bits."""
    shop = open_shop(tmp_path_factory.mktemp("crowd"), top_k=7, max_per_category=3, min_country_users=5)
    draw = np.random.default_rng(7)
    words = ["red", "blue", "green", "cup"]
    shelf = [
        item(f"i{n:02d}", " ".join(draw.choice(words, draw.integers(1, 9))), ["shop", f"c{n % 11}"], available=bool(n % 13))
        for n in range(90)
    ]
    people = [user(f"u{n:03d}", f"2026-02-{1 + n % 28:02d} 00:00", ["France", "Spain", None][n % 3]) for n in range(300)]
    met = [
        event(
            f"u{n:03d}",
            f"i{i:02d}",
            ["view", "purchase", "return"][int(draw.integers(0, 3))],
            f"2026-03-02 {draw.integers(0, 24):02d}:00",
        )
        for n in range(0, 300, 2)
        for i in draw.choice(90, draw.integers(1, 15), replace=False)
    ]
    typed = [event(f"u{n:03d}", None, "search", "2026-03-02 10:00", query="red cup") for n in range(1, 300, 10)]
    shop.deliver("2026-03-01", items=tuple(shelf), users=tuple(people))
    shop.deliver("2026-03-02", events=(*met, *typed))
    return shop


@pytest.mark.parametrize("learner", [TextPrototype(), ItemKNN(), Popularity()], ids=lambda learner: learner.name)
def test_rows_do_not_depend_on_shards_or_on_the_size_of_blocks(crowd, learner, monkeypatch):
    wanted = staged(crowd, learner)
    assert wanted.num_rows == 300 * 7
    for shards, size in ((2, 512), (7, 16), (1, 100), (3, 37)):
        monkeypatch.setattr(blocks, "MOST_USERS", size)
        monkeypatch.setattr(night, "users_a_block", lambda items, size=size: size)
        assert staged(crowd, learner, shards=shards).equals(wanted)


def test_every_row_has_a_reason_that_names_what_the_user_met(crowd):
    rows = staged(crowd, TextPrototype()).to_pylist()
    events = crowd.lake.reader().read("events").to_pylist()
    kept = {(row["user_id"], row["item_id"]) for row in events if row["event_type"] in ("view", "purchase")}
    kinds = set()
    for row in rows:
        kind, items = row["reason"]["kind"], row["reason"]["because_item_ids"]
        kinds.add(kind)
        assert 1 <= len(items) <= 2 if kind == "support" else items == []
        assert all((row["user_id"], item_id) in kept for item_id in items)
    assert kinds == {"support", "search", "popular_in_country", "popular"}


# --- plan and publication -----------------------------------------------------------------------------------------


def test_a_night_before_its_day_was_taken_in_is_refused(three):
    with pytest.raises(MissingDay, match="2026-03-03 of table events"):
        plan_night(three.settings, date(2026, 3, 3), "1")


def test_the_plan_of_a_night_says_what_it_reads(three):
    folder = three.model(TEXT, "5")
    plan = plan_night(three.settings, DAY, "5")
    assert plan.as_json() == {
        "day": "2026-03-02",
        "model_version": "5",
        "model_folder": folder,
        "model_sha256": content_hash(Path(folder)),
        "encoder": three.settings.text.encoder,
        "versions": three.lake.versions_now(["events", "items", "users"]),
        "shards": 2,
    }


def test_shards_read_what_the_plan_says_whatever_is_published_meanwhile(three):
    plan = three.plan(TEXT, DAY)
    before = pq.read_table(rank_shard(three.settings, plan, 0))
    three.deliver("2026-03-02", events=(event("u3", "b", "purchase", "2026-03-02 12:00"),))
    assert pq.read_table(rank_shard(three.settings, plan, 0)).equals(before)


def test_a_night_in_one_process(three):
    three.model(TEXT)
    done = recommend_day(three.settings, DAY, "1")
    assert done == {"day": "2026-03-02", "model_version": "1", "episodes": 2, "recommendations": 8}
    assert published(three).equals(staged(three, TEXT))
    assert published(three, "episodes")["user_id"].to_pylist() == ["u2", "u3"]
    record = three.lake.day("recommendations", DAY)
    assert record.model_version == "1"
    assert {entry.table for entry in record.inputs} == {"events", "items", "users"}
    assert all(entry.last_day == DAY for entry in record.inputs)
    again = published(three)
    recommend_day(three.settings, DAY, "1", shards=3)
    assert published(three).equals(again)


def test_a_published_night_keeps_its_model_version(three):
    three.model(TEXT, "1")
    three.model(Popularity(), "2")
    recommend_day(three.settings, DAY, "1")
    assert plan_night(three.settings, DAY).model_version == "1"
    assert plan_night(three.settings, DAY, "2").model_version == "2"


def test_a_night_of_missing_or_doubled_shards_is_not_published(three):
    plan = three.plan(TEXT, DAY, shards=2)
    files = [rank_shard(three.settings, plan, shard) for shard in range(2)]
    for some in (files[:1], [files[0], files[0]], []):
        with pytest.raises(RecpipeError, match="shards 0 to 1"):
            publish_night(three.settings, plan, some)
    with pytest.raises(RecpipeError, match="no shard 2"):
        rank_shard(three.settings, plan, 2)
    assert three.lake.day("recommendations", DAY) is None


def test_shards_of_another_plan_are_not_published(three):
    file = rank_shard(three.settings, three.plan(TEXT, DAY, version="1"), 0)
    with pytest.raises(RecpipeError, match="another plan"):
        publish_night(three.settings, three.plan(TEXT, DAY, version="2"), [file])


def test_a_model_of_another_encoder_is_refused(three):
    three.model(TEXT, "1", encoder="f" * 64)
    with pytest.raises(RecpipeError, match="RECPIPE_ENCODER"):
        rank_shard(three.settings, plan_night(three.settings, DAY, "1"), 0)


def flip_a_bit(folder: Path) -> None:
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(data)


def lay_another_model(folder: Path) -> None:
    """One that is whole in itself: its config.json names the sha256 of its own weights."""
    config = read_config(folder)
    save(Popularity(), folder, {"encoder": config["encoder"]})


@pytest.mark.parametrize("change", [flip_a_bit, lay_another_model, shutil.rmtree])
def test_a_model_that_changed_since_the_night_was_planned_is_refused(three, change):
    three.model(TEXT)
    plan = plan_night(three.settings, DAY, "1")
    change(Path(plan.model_folder))
    with pytest.raises(
        MissingModel, match=r"Model version 1 in .*/models/1 is not the one that was registered .* remove the folder"
    ):
        rank_shard(three.settings, plan, 0)


def test_lists_that_fail_their_audit_are_not_published(three):
    """A staged file is changed behind recpipe's back; the list of the night before stays."""
    plan = three.plan(TEXT, DAY)
    publish_night(three.settings, plan, [rank_shard(three.settings, plan, 0)])
    before = published(three)
    file = rank_shard(three.settings, plan, 0)
    table = pq.read_table(file)
    wrong = table.set_column(
        table.schema.get_field_index("cohort"), table.schema.field("cohort"), pa.array(["old"] * table.num_rows)
    )
    pq.write_table(wrong, file)
    with pytest.raises(AuditFailed, match="recommendations"):
        publish_night(three.settings, plan, [file])
    assert published(three).equals(before)


def test_runs_of_one_night_stage_in_folders_of_their_own(three):
    names = ["scheduled__2026-03-03T00:00:00+00:00", "../../escape"]
    files = []
    for name in names:
        settings = three.settings.changed(run_id=name)
        files.append(Path(rank_shard(settings, three.plan(TEXT, DAY), 0)))
    assert files[0].parent != files[1].parent
    assert all(file.resolve().is_relative_to((three.settings.places.work / "nights" / "2026-03-02").resolve()) for file in files)


def test_episodes_of_a_day_are_published_again_as_the_same_rows(three):
    plan = three.plan(TEXT, DAY)
    assert publish_episodes(three.settings, plan) == 2
    before = published(three, "episodes")
    assert publish_episodes(three.settings, plan) == 2
    assert published(three, "episodes").equals(before)


def test_the_command_makes_a_night(three, monkeypatch):
    from recpipe.cli.command import app

    three.model(TEXT)
    for name in ("home", "encoder", "top_k"):
        monkeypatch.setenv(f"RECPIPE_{name.upper()}", str(three.settings.flat()[name]))
    done = CliRunner().invoke(app, ["recommend", "--day", "2026-03-02", "--model-version", "1"])
    assert done.exit_code == 0, done.output
    assert done.output.strip() == "2026-03-02: 8 rows of recommendations and 2 episodes by model version 1."
    refused = CliRunner().invoke(app, ["recommend", "--day", "2026-03-09"])
    assert isinstance(refused.exception, MissingDay)


def test_nights_by_hand_stage_apart_and_leave_nothing(three):
    three.model(TEXT)
    plans = [by_hand(plan_night(three.settings, DAY, "1"), 1) for _ in range(2)]
    folders = {Path(rank_shard(three.settings, plan, 0)).parent for plan in plans}
    assert len(folders) == 2
    shutil.rmtree(three.settings.places.work / "nights")
    recommend_day(three.settings, DAY, "1")
    assert list((three.settings.places.work / "nights" / str(DAY)).iterdir()) == []

"""Classes of the items that have none: by hand on a shop of colours, and on real categories that were held back."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_shop import Shop, item, open_shop
from typer.testing import CliRunner

from recpipe.config.settings import load_settings
from recpipe.contract import TABLES
from recpipe.errors import AuditFailed, BadSetting, MissingDay, RecpipeError
from recpipe.lake.lake import Lake
from recpipe.pipeline.plan import plan_day
from recpipe.pipeline.publish import run_day
from recpipe.pipeline.shards import stage_shard
from recpipe.pipeline.task_outcomes import measure_task, measured_rows
from recpipe.tables.families import TASKS, task_of
from recpipe.tables.item_classes import item_classes
from recpipe.tables.item_classes.item_classes import CLASSES, FACTS
from recpipe.text.encoder import load_encoder
from recpipe.validation.audit import audit

DAY = date(2026, 3, 2)
WARM, COLD = ["paint", "warm"], ["paint", "cold"]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Reds are warm, blues are cold, both are paint; greens are tools; four items have no category."""
    shop = open_shop(tmp_path / "home", min_users=1)
    labelled = [
        item(f"{name}{n}", name, path) for name, path in (("red", WARM), ("blue", COLD), ("green", ["tools"])) for n in range(4)
    ]
    shop.deliver("2026-03-01", items=tuple(labelled))
    shop.deliver("2026-03-02", items=(item("x1", "red"), item("x2", "blue"), item("x3", "green"), item("x4", "red blue")))
    shop.know(
        "red", "blue", "green", "red blue", "paint warm", "paint cold", "tools", "gift her", "gift him", "self", "a", "b", "c"
    )
    return shop


def rows(shop: Shop, day: date = DAY) -> dict[str, dict]:
    found = shop.lake.reader().read("item_classes", day, day).to_pylist()
    return {row["item_id"]: row for row in found}


def test_every_item_without_a_category_gets_its_class(shop):
    done = run_day(shop.settings, CLASSES, DAY)
    found = rows(shop)
    assert (done["rows"], set(found)) == (4, {"x1", "x2", "x3", "x4"})
    assert {name: found[name]["class_path"] for name in ("x1", "x2", "x3")} == {"x1": WARM, "x2": COLD, "x3": ["tools"]}
    assert found["x4"]["class_path"] == ["paint"]  # half of each: no more than that is certain
    assert [found["x1"][name] for name in ("level", "abstained", "scheme")] == [2, False, "category"]
    assert set(found["x1"]["because_item_ids"]) <= {f"red{n}" for n in range(4)}
    record = shop.lake.day("item_classes", DAY)
    assert (
        record.model_version
        == f"classes-2+{load_encoder(shop.settings.text.encoder).fingerprint[:12]}"
        == found["x1"]["model_version"]
    )
    assert [(entry.table, entry.last_day) for entry in record.inputs] == [("items", DAY)]


def test_rows_do_not_depend_on_shards(shop, monkeypatch):
    monkeypatch.setattr(item_classes, "ITEMS_A_BLOCK", 1)
    run_day(shop.settings, CLASSES, DAY, shards=1)
    once = rows(shop)
    run_day(shop.settings, CLASSES, DAY, shards=3)
    assert rows(shop) == once


def test_a_later_day_changes_nothing(shop):
    run_day(shop.settings, CLASSES, DAY)
    before = rows(shop)
    shop.deliver("2026-03-03", items=(item("x1", "red", ["tools"]), item("y", "green")))
    run_day(shop.settings, CLASSES, DAY)
    assert rows(shop) == before
    run_day(shop.settings, CLASSES, date(2026, 3, 3))
    assert set(rows(shop, date(2026, 3, 3))) == {"x2", "x3", "x4", "y"}


def test_nothing_is_said_that_is_not_likely_enough(shop):
    run_day(shop.settings.changed(least_confidence=1.0), CLASSES, DAY)
    for row in rows(shop).values():
        assert (row["abstained"], row["class_path"], row["level"], row["because_item_ids"]) == (True, None, 0, [])
        assert 0 < row["confidence"] < 1


def test_a_shop_without_categories_has_an_empty_day(tmp_path):
    shop = open_shop(tmp_path / "home")
    shop.deliver("2026-03-02", items=(item("x1", "red"),))
    assert run_day(shop.settings, CLASSES, DAY)["rows"] == 0
    assert shop.lake.day("item_classes", DAY).status == "empty"


def test_classes_that_the_shop_makes_up_stand_beside_the_categories(shop, tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text("item_id,class,day\nred0,gift > her,\nblue0,gift > him,\ngreen0,self,2026-03-02\ngreen1,self,2026-03-04\n")
    settings = shop.settings.changed(labels=str(file))
    shop.know(*(f"{name} {' '.join(path)}" for name, path in (("red", WARM), ("blue", COLD), ("green", ["tools"]))))
    run_day(settings, CLASSES, DAY)
    found = shop.lake.reader().read("item_classes", DAY, DAY).to_pylist()
    own = {row["item_id"] for row in found if row["scheme"] == "labels"}
    assert own == {f"{name}{n}" for name in ("red", "blue", "green") for n in range(4)} - {"red0", "blue0", "green0"} | {
        "x1", "x2", "x3", "x4"
    }  # fmt: skip
    assert shop.lake.day("item_classes", DAY).model_version.count("+") == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("item_id\nred0\n", "no column 'class'"),
        ("item_id,class\nred0,\n", "row 1: column 'class'"),
        ("item_id,class\nred0,a\n,b\n", "row 2: column 'item_id'"),
        ("item_id,class,day\nred0,a,yesterday\n", "row 1: column 'day'"),
        ("item_id,class,scheme\nred0,a,category\n", "row 1: a class"),
        ("item_id,class\nred0, > \n", "row 1: a class"),
    ],
)
def test_labels_that_cannot_be_read_are_refused_with_their_row(shop, tmp_path, text, message):
    file = tmp_path / "labels.csv"
    file.write_text(text)
    with pytest.raises(BadSetting, match=message):
        run_day(shop.settings.changed(labels=str(file)), CLASSES, DAY)


def test_labels_that_change_under_way_are_refused(shop, tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text("item_id,class\nred0,a\nblue0,b\n")
    settings = shop.settings.changed(labels=str(file))
    plan = plan_day(settings, CLASSES, DAY)
    file.write_text("item_id,class\nred0,a\nblue0,c\n")
    with pytest.raises(RecpipeError, match="planned with version"):
        stage_shard(settings, CLASSES, plan, 0)


def test_a_day_that_was_not_taken_in_is_refused(shop):
    with pytest.raises(MissingDay, match="items"):
        run_day(shop.settings, CLASSES, date(2026, 3, 9))


def test_what_became_of_the_classes(shop):
    """x1 was right, x2 wrong, x3 is still without a category, and x4 was said as far as it is true."""
    run_day(shop.settings, CLASSES, DAY)
    confidence = {name: row["confidence"] for name, row in rows(shop).items()}
    later = shop.deliver("2026-03-09", items=(item("x1", "red", WARM), item("x2", "blue", WARM), item("x4", "red blue", COLD)))
    found = measure_task(shop.settings, CLASSES, shop.lake.reader(), later).to_pylist()
    by_name = {row["metric"]: row for row in found}
    assert by_name["accuracy:category"]["value"] == pytest.approx(2 / 3)
    assert by_name["coverage:category"]["value"] == 1.0
    right = {"x1": 1.0, "x2": 0.0, "x4": 1.0}
    away = sum(abs(confidence[name] - value) for name, value in right.items())  # fewer items than bins: each is one
    assert by_name["calibration_error:category"]["value"] == pytest.approx(away / 3)
    assert {(row["table"], row["cohort"], row["day"], row["users"]) for row in found} == {("item_classes", "all", later, 3)}


def test_an_unmeasured_day_has_no_outcome(shop):
    assert measured_rows(shop.settings, [CLASSES], shop.lake.reader(), date(2026, 3, 9)) == []
    with pytest.raises(MissingDay):
        measure_task(shop.settings, CLASSES, shop.lake.reader(), date(2026, 3, 9))


# --- the suite ----------------------------------------------------------------------------------------------------

GOOD = {
    "day": DAY, "scheme": "category", "item_id": "x1", "class_path": WARM, "level": 2, "confidence": 0.9, "abstained": False,
    "because_item_ids": ["red0"], "model_version": "v",
}  # fmt: skip
BREAKS = [
    ("unknown_items", {"item_id": "new"}),
    ("labelled_items", {"item_id": "red1"}),
    ("unknown_classes", {"class_path": ["paint", "hot"], "because_item_ids": []}),
    ("levels_amiss", {"level": 1}),
    ("levels_amiss", {"abstained": True}),
    ("unsure_classes", {"confidence": 0.59}),
    ("because_amiss", {"because_item_ids": []}),
    ("because_amiss", {"because_item_ids": ["blue0"]}),
]


@pytest.mark.parametrize(("fact", "change"), BREAKS)
def test_a_row_that_is_amiss_is_counted(shop, fact, change):
    plan = plan_day(shop.settings, CLASSES, DAY)
    state = item_classes.open_classes(shop.settings, plan, shop.lake.reader(plan.versions))
    assert set(item_classes.count_faults(state, [GOOD], [("category", "x1")]).values()) == {0}
    assert item_classes.count_faults(state, [GOOD | change], [])[fact] == 1
    assert item_classes.count_faults(state, [], [("category", "x1")])["items_without_row"] == 1


@pytest.mark.parametrize("fact", FACTS)
def test_a_fault_stops_the_publication(shop, fact):
    rows = pa.Table.from_pylist([GOOD], schema=TABLES["item_classes"].schema)
    facts = dict.fromkeys(FACTS, 0)
    suite = item_classes.suite(shop.settings)
    audit(shop.settings, "item_classes", DAY, rows.to_batches(), facts, suite).raise_if_failed()
    with pytest.raises(AuditFailed):
        audit(shop.settings, "item_classes", DAY, rows.to_batches(), facts | {fact: 1}, suite).raise_if_failed()


# --- the commands -------------------------------------------------------------------------------------------------


def test_the_command_makes_a_day_and_lists_the_tasks(shop, monkeypatch):
    from recpipe.cli.command import app

    monkeypatch.setenv("RECPIPE_HOME", str(shop.settings.places.home))
    monkeypatch.setenv("RECPIPE_ENCODER", shop.settings.text.encoder)
    assert all(name in CliRunner().invoke(app, ["tasks"]).output for name in TASKS)
    done = CliRunner().invoke(app, ["task", "item_classes", "--day", "2026-03-02"])
    assert (done.exit_code, "4 rows of item_classes" in done.output) == (0, True)
    with pytest.raises(BadSetting, match="There is no task 'x'"):
        task_of("x")


# --- real categories ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data() -> Path:
    if not os.environ.get("RECPIPE_TEST_DATA"):
        pytest.skip("needs real data: set RECPIPE_TEST_DATA to the folder that holds amazon2014_beauty and completejourney")
    return Path(os.environ["RECPIPE_TEST_DATA"])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "items", "least"), [("amazon2014_beauty", 600, 0.7), ("completejourney", 600, 0.75)])
def test_categories_that_were_held_back_are_found_again(tmp_path, data, name, items, least):
    """A fifth of some hundred items comes without its category, which follows a week later."""
    table = pq.read_table(data / name / "items.parquet", columns=["item_id", "title", "category_path"]).to_pandas().dropna()
    table = table[table["category_path"].str.count(" > ") >= 1].sample(items, random_state=0)
    settings = load_settings(home=tmp_path / "home", encoder="")
    whole = [
        {"item_id": str(row.item_id), "title": row.title, "category": row.category_path.split(" > ")[:2], "available": True}
        for row in table.itertuples()
    ]
    held = np.arange(len(whole)) % 5 == 0
    deliver(settings, DAY, [row | {"category": None} if hide else row for row, hide in zip(whole, held, strict=True)])
    deliver(settings, date(2026, 3, 9), [row for row, hide in zip(whole, held, strict=True) if hide])
    run_day(settings, CLASSES, DAY)
    found = measure_task(settings, CLASSES, Lake.from_settings(settings).reader(), date(2026, 3, 9)).to_pylist()
    value = {row["metric"].split(":")[0]: row["value"] for row in found}
    print(name, value)
    assert value["accuracy"] >= least
    assert value["coverage"] >= 0.5
    assert value["calibration_error"] <= 0.15


def deliver(settings, day, rows):
    schema = TABLES["items"].schema
    full = [{column: {**row, "day": day}.get(column) for column in schema.names} for row in rows]
    Lake.from_settings(settings).publish("items", [day], pa.Table.from_pylist(full, schema=schema))

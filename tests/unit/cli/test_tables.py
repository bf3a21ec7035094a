"""Commands for those who read the tables."""

from __future__ import annotations

import csv
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from recpipe.cli.command import app
from recpipe.config.settings import Settings
from recpipe.contract import RECOMMENDATIONS, TABLES
from recpipe.errors import BadSetting, MissingDay, RecpipeError
from recpipe.lake.lake import Lake
from recpipe.readers.freshness import freshness
from recpipe.readers.lists import Entry, read_list
from recpipe.readers.profile import read_profile
from recpipe.readers.table_files import export_day
from recpipe.readers.user_report import read_story

DAY = date(2011, 9, 1)


ESCAPES = "\x1b[31mRED\x1b]0;title\x07\x00 \u202edef\u2066\x9b"


def republish(settings: Settings, table: str, rows: list[dict[str, object]], day: date = DAY) -> None:
    made = pa.Table.from_pylist([{"day": day} | row for row in rows], schema=TABLES[table].schema)
    Lake.from_settings(settings).publish(table, [day], made, model_version="3" if table == "recommendations" else None)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "160"}, catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_a_list_is_shown_with_titles_and_reasons_in_words(shown: Settings) -> None:
    shown = read_list(shown, "few")
    assert (shown.day, shown.cohort, shown.model_version) == (DAY, "few", "3")
    assert (shown.support, shown.query_texts) == (("WHITE HANGING HEART",), ("night light",))
    assert shown.entries == (
        Entry(1, "22423", "CAKESTAND [3 TIER]", 1.5, "because of WHITE HANGING HEART and 47566"),
        Entry(2, "47566", "", 0.25, "popular in France"),
    )


def test_a_long_known_users_support_is_what_was_met_last(shown: Settings) -> None:
    shown = read_list(shown, "warm")
    assert shown.support == ("CAKESTAND [3 TIER]", "WHITE HANGING HEART")  # newest first, without what was sent back


def test_a_list_of_an_earlier_day_knows_nothing_later(shown: Settings) -> None:
    shown = read_list(shown, "zero", DAY - timedelta(days=1))
    assert (shown.model_version, shown.support) == ("2", ())
    assert shown.entries == (Entry(1, "85123A", "", 0.125, "popular these days"),)  # the title came a day later


def test_profile_prints_the_tags_of_a_user(shown: Settings) -> None:
    text = run("profile", "few")
    assert "User few on 2011-09-01: 2 tags" in text
    assert "topic:lantern" in text
    assert "0.50" in text
    assert "Came in the evening 4 of 5 times" in text
    with pytest.raises(RecpipeError, match="has no tags on 2011-09-01"):
        read_profile(shown, "zero")
    with pytest.raises(MissingDay):
        read_profile(shown, "few", DAY - timedelta(days=1))


def test_show_prints_a_list(shown: Settings) -> None:
    text = run("show", "few", "--day", "2011-09-01")
    assert "User few on 2011-09-01: cohort few, model version 3" in text
    assert "Met before, newest first: WHITE HANGING HEART" in text
    assert "Searched for: night light" in text
    assert "CAKESTAND [3 TIER]" in text
    assert "because of WHITE HANGING HEART and 47566" in text
    assert "Nothing is known of this user yet." in run("show", "zero")


def test_show_does_not_take_a_lapsed_user_for_an_unknown_one(lake_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECPIPE_LOOKBACK_DAYS", "30")
    day = DAY + timedelta(days=60)
    reason = {"kind": "popular", "because_item_ids": []}
    row = {"user_id": "warm", "rank": 1, "item_id": "22423", "score": 0.5, "cohort": "warm", "reason": reason}
    rows = [row | {"day": day, "model_version": "3"}]
    made = pa.Table.from_pylist(rows, schema=RECOMMENDATIONS.schema)
    Lake.from_settings(lake_settings).publish("recommendations", [day], made, model_version="3")
    shown = run("show", "warm")
    assert "Nothing within the last 30 days." in shown
    assert "Nothing is known" not in shown


def test_show_refuses_what_is_not_there(shown: Settings) -> None:
    with pytest.raises(RecpipeError, match="User nobody has no list on 2011-09-01"):
        read_list(shown, "nobody")
    with pytest.raises(MissingDay, match="Day 2011-09-02 of table recommendations does not stand in the register"):
        read_list(shown, "few", date(2011, 9, 2))


def test_an_empty_lake_is_said_to_be_empty(settings: Settings) -> None:
    with pytest.raises(MissingDay, match="No day of table recommendations is published"):
        read_list(settings, "few")
    assert freshness(settings) == []


def test_a_day_is_exported_as_parquet(shown: Settings) -> None:
    assert "4 rows of recommendations of 2011-09-01 stand in recommendations-2011-09-01.parquet" in run(
        "export", "--day", "2011-09-01"
    )
    table = pq.read_table("recommendations-2011-09-01.parquet")
    assert table.schema.equals(RECOMMENDATIONS.schema)
    assert table.select(["user_id", "rank"]).to_pylist() == [
        {"user_id": "few", "rank": 1}, {"user_id": "few", "rank": 2}, {"user_id": "warm", "rank": 1}, {"user_id": "zero", "rank": 1},
    ]  # fmt: skip


def test_a_day_is_exported_as_csv(shown: Settings) -> None:
    run("export", "--day", "2011-09-01", "--format", "csv", "--out", "lists.csv")
    header, first, *others = Path("lists.csv").read_text().splitlines()
    assert header == (
        '"day","user_id","rank","item_id","score","cohort","reason_kind","because_item_ids","model_version","propensity"'
    )
    assert first == '2011-09-01,"few",1,"22423",1.5,"few","support","85123A|47566","3",1'
    assert len(others) == 3


def test_a_day_is_exported_as_json_lines(shown: Settings) -> None:
    run("export", "--day", "2011-09-01", "--format", "jsonl", "--out", "lists.jsonl")
    rows = [json.loads(line) for line in Path("lists.jsonl").read_text().splitlines()]
    assert len(rows) == 4
    assert rows[0] == {
        "day": "2011-09-01", "user_id": "few", "rank": 1, "item_id": "22423", "score": 1.5, "cohort": "few",
        "reason": {"kind": "support", "because_item_ids": ["85123A", "47566"]}, "model_version": "3", "propensity": 1.0,
    }  # fmt: skip


FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1+1", "－2")


def test_a_csv_for_a_spreadsheet_holds_no_formula(lake_settings: Settings) -> None:
    listed = Lake.from_settings(lake_settings).reader().read("recommendations", DAY, DAY).to_pylist()
    row = listed[0] | {"score": -0.5, "reason": {"kind": "support", "because_item_ids": ["=2", "A-1"]}}
    harmless = ["'1", "a=b", " =1"]
    rows = [row | {"user_id": f"u{n}", "rank": 1, "item_id": text} for n, text in enumerate([*FORMULAS, *harmless])]
    republish(lake_settings, "recommendations", rows)
    run("export", "--day", "2011-09-01", "--format", "csv", "--out", "plain.csv")
    run("export", "--day", "2011-09-01", "--format", "csv", "--out", "safe.csv", "--spreadsheet")
    with Path("plain.csv").open(newline="") as plain, Path("safe.csv").open(newline="") as safe:
        before, after = list(csv.DictReader(plain)), list(csv.DictReader(safe))
    by_user = sorted(range(len(rows)), key=lambda n: f"u{n}")
    assert [one["item_id"] for one in before] == [rows[n]["item_id"] for n in by_user]  # as delivered, unless it is asked for
    assert [one["item_id"] for one in after] == [("'" if n < len(FORMULAS) else "") + rows[n]["item_id"] for n in by_user]
    assert {one["because_item_ids"] for one in after} == {"'=2|A-1"}
    assert {one["score"] for one in after} == {"-0.5"}
    with pytest.raises(BadSetting, match="Only a csv file"):
        export_day(lake_settings, DAY, "jsonl", Path("x.jsonl"), spreadsheet=True)


def test_an_export_refuses_a_missing_day_and_leaves_no_file(lake_settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(MissingDay, match="Day 2011-09-05 of table recommendations does not stand in the register"):
        export_day(lake_settings, date(2011, 9, 5), "csv", tmp_path / "lists.csv")
    Lake.from_settings(lake_settings).mark_open("recommendations", date(2011, 9, 6))
    with pytest.raises(MissingDay, match="Day 2011-09-06 of table recommendations is open"):
        export_day(lake_settings, date(2011, 9, 6), "csv", tmp_path / "lists.csv")
    with pytest.raises(BadSetting, match="There is no format 'xlsx'"):
        export_day(lake_settings, DAY, "xlsx", tmp_path / "lists.xlsx")
    with pytest.raises(BadSetting, match="its folder has to exist"):
        export_day(lake_settings, DAY, "csv", tmp_path / "nowhere" / "lists.csv")
    assert [path.name for path in tmp_path.iterdir()] == [".recpipe"]


def test_a_failed_export_leaves_the_old_file(lake_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.csv

    out = tmp_path / "lists.csv"
    export_day(lake_settings, DAY, "csv", out)
    before = out.read_bytes()

    def full_disk(table: object, file: Path) -> None:
        file.write_bytes(before[:40])
        raise OSError("No space left on device")

    monkeypatch.setattr(pyarrow.csv, "write_csv", full_disk)
    with pytest.raises(OSError, match="No space left"):
        export_day(lake_settings, DAY, "csv", out)
    assert out.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [".recpipe", "lists.csv"]


def test_tables_shows_how_far_each_table_has_come(shown: Settings) -> None:
    Lake.from_settings(shown).mark_open("recommendations", DAY + timedelta(days=1))
    found = {entry.table: (entry.newest.day, entry.newest.rows, entry.days, entry.missing) for entry in freshness(shown)}
    assert found["recommendations"] == (DAY, 4, 2, ())
    assert found["events"] == (DAY, 4, 1, ())
    text = run("tables")
    assert "recommendations" in text
    assert "2011-09-01" in text
    assert ".recpipe/lake" in text


def test_titles_searches_and_tags_steer_no_terminal(lake_settings: Settings) -> None:
    titled = [{"item_id": item, "title": ESCAPES + "\n[bold]x[/]", "available": True} for item in ("85123A", "22423", "47566")]
    republish(lake_settings, "items", titled)
    support = [{"item_id": "85123A", "label": 1.0, "weight": 0.9, "ts": datetime(2011, 9, 1, 9, tzinfo=UTC)}]
    episode = {"user_id": "few", "cohort": "few", "k": 1, "query_texts": [ESCAPES], "support": support}
    republish(lake_settings, "episodes", [episode])
    profiled = {"user_id": "few", "tag": "topic:" + ESCAPES, "kind": "topic", "weight": 0.5, "seen": 6.0, "expected": 1.0}
    profiled |= {
        "pieces": 7,
        "because_item_ids": [],
        "evidence": ESCAPES,
        "first_day": DAY,
        "last_day": DAY,
        "model_version": "x",
    }
    republish(lake_settings, "user_profiles", [profiled])
    for words in (("show", "few"), ("profile", "few"), ("days",), ("tables",)):
        text = run(*words)
        assert not set("\x1b\x07\x00\u202e\u2066\x9b") & set(text), words
    assert "RED" in run("show", "few")
    assert "[bold]x[/]" in run("show", "few")
    assert "RED" in run("profile", "few")


def test_a_user_who_met_everything_is_told_from_one_who_is_not_known(lake_settings: Settings) -> None:
    listed = Lake.from_settings(lake_settings).reader().read("recommendations", DAY, DAY).to_pylist()
    republish(lake_settings, "recommendations", [row for row in listed if row["user_id"] != "warm"])
    with pytest.raises(RecpipeError, match=r"User warm is known, and has no list .* had met all 3 items that could be shown"):
        read_list(lake_settings, "warm")
    with pytest.raises(RecpipeError, match="all 3 items"):
        read_story(lake_settings, "warm")
    assert read_story(lake_settings, "nobody") is None


def test_a_user_whom_rules_leave_nothing_has_a_sentence_too(lake_settings: Settings) -> None:
    republish(lake_settings, "recommendations", [])
    with pytest.raises(RecpipeError, match=r"of 3 items that were available, 0 had been met, and the others are barred"):
        read_list(lake_settings, "zero")
    with pytest.raises(RecpipeError, match=r"of 3 items that were available, 0 had been met"):
        read_list(lake_settings.changed(seen_items="allow"), "warm")
    republish(
        lake_settings,
        "items",
        [
            {"item_id": "22423", "available": True},
            {"item_id": "85123A", "available": False},
            {"item_id": "47566", "available": False},
        ],
    )
    with pytest.raises(RecpipeError, match="had met the one item that could be shown"):
        read_list(lake_settings, "warm")
    republish(lake_settings, "items", [{"item_id": item, "available": False} for item in ("22423", "85123A", "47566")])
    with pytest.raises(RecpipeError, match="no item was available"):
        read_list(lake_settings, "warm")

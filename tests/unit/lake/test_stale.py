"""What is stale: made from a day that was replaced, or that was asked for and came in later."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from recpipe.cli.command import app
from recpipe.contract import EPISODES, ITEMS
from recpipe.lake.day_record import Input
from recpipe.lake.lake import Lake
from recpipe.lake.stale import stale_days

MONDAY = date(2026, 3, 2)
MONDAY_TO_WEDNESDAY = MONDAY, MONDAY + timedelta(2)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def deliver(lake: Lake, day: date) -> None:
    lake.publish("items", [day], ITEMS.schema.empty_table())


def make(lake: Lake, first: date = MONDAY, last: date = MONDAY_TO_WEDNESDAY[1]) -> None:
    """Make Wednesday's episodes from the items of some days."""
    reader = lake.reader()
    reader.read("items", first, last)
    lake.publish("episodes", [MONDAY_TO_WEDNESDAY[1]], EPISODES.schema.empty_table(), inputs=reader.inputs)


@pytest.mark.parametrize("late", [0, 1, 2])
def test_a_day_that_was_asked_for_and_comes_in_later_makes_stale(lake, late):
    """At either edge of what was read, and between."""
    for n in {0, 1, 2} - {late}:
        deliver(lake, MONDAY + timedelta(n))
    make(lake)
    assert stale_days(lake) == []
    deliver(lake, MONDAY + timedelta(late))
    (found,) = stale_days(lake)
    assert (found.table, found.source, found.source_day) == ("episodes", "items", MONDAY + timedelta(late))
    make(lake)
    assert stale_days(lake) == []


def test_a_day_that_was_not_asked_for_makes_nothing_stale(lake):
    deliver(lake, MONDAY)
    make(lake)
    deliver(lake, MONDAY - timedelta(1))
    deliver(lake, MONDAY + timedelta(3))
    assert stale_days(lake) == []


def test_a_table_of_which_nothing_was_there_is_remembered(lake):
    make(lake)
    assert lake.day("episodes", MONDAY_TO_WEDNESDAY[1]).inputs == (Input("items", *MONDAY_TO_WEDNESDAY, -1),)
    deliver(lake, MONDAY)
    assert [entry.source_day for entry in stale_days(lake)] == [MONDAY]


def test_ends_that_were_left_open_are_those_of_the_days_that_were_there(lake):
    reader = lake.reader()
    assert (reader.read("items").num_rows, reader.inputs) == (0, [])
    deliver(lake, MONDAY)
    reader = lake.reader()
    reader.read("items")
    reader.read("items", last=MONDAY + timedelta(1))
    assert [(entry.first_day, entry.last_day) for entry in reader.inputs] == [(MONDAY, MONDAY), (MONDAY, MONDAY + timedelta(1))]


@pytest.mark.parametrize(
    ("table", "command"),
    [
        ("outcomes", "evaluate"),
        ("newcomer_outcomes", "evaluate"),
        ("replays", "replay"),
        ("item_digests", "task item_digests"),
        ("recommendations", "recommend"),
        ("events", "ingest"),
    ],
)
def test_the_command_says_how_a_day_is_made_again(lake, monkeypatch, table, command):
    from recpipe.contract import TABLES

    monkeypatch.setenv("RECPIPE_LAKE", lake.root)
    lake.publish(table, [MONDAY], TABLES[table].schema.empty_table(), inputs=[Input("items", MONDAY, MONDAY, -1)])
    deliver(lake, MONDAY)
    said = " ".join(CliRunner().invoke(app, ["stale"], catch_exceptions=False).stdout.split())
    assert said.startswith(f"{table} of 2026-03-02 was made without items; 2026-03-02 changed since")
    assert said.endswith(f"Run it again: recpipe {command} --day 2026-03-02")

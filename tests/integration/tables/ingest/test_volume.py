"""A day of next to no events, after weeks of many, stops until a person says that it is right."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from recpipe.cli.command import app
from recpipe.config.settings import Settings, load_settings
from recpipe.contract import TABLES
from recpipe.errors import AuditFailed
from recpipe.lake.lake import Lake
from recpipe.tables.ingest.days_in import ingest_day, ingest_history

DAY = date(2011, 9, 1)  # a Thursday
WEEK = timedelta(weeks=1)


def publish(settings: Settings, *days: date, rows: int = 2000) -> None:
    """Publish days of so many events."""
    schema = TABLES["events"].schema
    for day in days:
        columns = {
            "day": pa.repeat(pa.scalar(day), rows),
            "event_id": pa.array(np.arange(rows)).cast(pa.string()),
            "event_type": pa.repeat("view", rows),
            "item_id": pa.repeat("i1", rows),
            "ts": pa.repeat(pa.scalar(datetime(day.year, day.month, day.day, 12), schema.field("ts").type), rows),
        }
        data = [columns.get(f.name, pa.nulls(rows, f.type)) for f in schema]
        Lake.from_settings(settings).publish("events", [day], pa.Table.from_arrays(data, schema=schema))


def test_a_tiny_day_after_weeks_of_thousands_is_refused_with_counts_and_a_remedy(settings, deliver, an_event, rows_of):
    publish(settings, *(DAY - back * WEEK for back in (1, 2, 3)))
    deliver(settings, events=[an_event(user=str(n)) for n in range(7)])
    with pytest.raises(AuditFailed) as caught:
        ingest_day(settings, DAY)
    assert str(caught.value) == (
        "Day 2011-09-01 of table events was not published. share_of_usual_rows: The day has at least 10.0% of the rows that are usual "
        "on its weekday (median of the weeks before), but it has 7, where 2,000 are usual. See whether the delivery is whole, and have "
        "the rest delivered. If the shop really had such a day, say so: recpipe ingest --day DAY --accept-volume, the parameter "
        "accept_volume of a run of ingest_clickstream, or the day in RECPIPE_ACCEPTED_DAYS."
    )
    assert len(rows_of(settings, "events")) == 6000
    assert Lake.from_settings(settings).day("events", DAY).status == "open"


def test_an_empty_day_is_refused_too_and_a_published_one_stays(settings, deliver, an_event, rows_of):
    publish(settings, *(DAY - back * WEEK for back in (1, 2, 3)), DAY)
    before = Lake.from_settings(settings).days("events")
    deliver(settings)
    with pytest.raises(AuditFailed, match="it has 0, where 2,000 are usual"):
        ingest_day(settings, DAY)
    assert Lake.from_settings(settings).days("events") == before
    assert len(rows_of(settings, "events")) == 8000


def test_a_person_says_that_it_is_right(settings, deliver, an_event):
    publish(settings, *(DAY - back * WEEK for back in (1, 2, 3)))
    deliver(settings, events=[an_event()])
    assert ingest_day(load_settings(home=settings.places.home, accepted_days=[DAY]), DAY)["events"] == 1
    with pytest.raises(AuditFailed):
        ingest_day(settings.accepting(DAY - WEEK), DAY)


def test_the_command_takes_a_persons_word(settings, deliver, an_event, monkeypatch):
    publish(settings, *(DAY - back * WEEK for back in (1, 2, 3)))
    deliver(settings, events=[an_event()])
    monkeypatch.setenv("RECPIPE_HOME", str(settings.places.home))
    assert isinstance(CliRunner().invoke(app, ["ingest", "--day", str(DAY)]).exception, AuditFailed)
    done = CliRunner().invoke(app, ["ingest", "--day", str(DAY), "--accept-volume"])
    assert (done.exit_code, "1 rows of events" in done.output) == (0, True)


@pytest.mark.parametrize(
    ("weeks", "rows", "count"), [((1, 2), 2000, 1), ((1, 2, 3), 900, 1), ((1, 2, 3), 2000, 200), ((-1, -2, -3), 2000, 1)]
)
def test_nothing_stops_where_little_is_known_or_enough_came(settings, deliver, an_event, weeks, rows, count):
    """Days that are later do not count: a backfill out of order is held against what came before it alone."""
    publish(settings, *(DAY - back * WEEK for back in weeks), rows=rows)
    deliver(settings, events=[an_event(user=str(n)) for n in range(count)])
    assert ingest_day(settings, DAY)["events"] == count


def test_the_bound_is_a_setting(settings, deliver, an_event):
    publish(settings, *(DAY - back * WEEK for back in (1, 2, 3)))
    deliver(settings, events=[an_event()])
    assert ingest_day(load_settings(home=settings.places.home, least_volume=0.0), DAY)["events"] == 1


def test_days_of_one_commit_count_for_each_other_and_the_days_before_are_published(settings, deliver):
    def day_of(day, rows):
        when = datetime(day.year, day.month, day.day, 12)
        return pa.table(
            {
                "user_id": [str(n) for n in range(rows)],
                "item_id": ["i1"] * rows,
                "event_type": ["view"] * rows,
                "ts": [when] * rows,
            }
        )

    settings = load_settings(home=settings.places.home, least_volume_rows=100)
    days = [DAY - back * WEEK for back in (3, 2, 1, 0)]
    for day in [DAY - timedelta(days=back) for back in range(22)]:
        deliver(settings, day, events=day_of(day, 3 if day == DAY else 120) if day in days else None)
    with pytest.raises(AuditFailed, match="it has 3, where 120 are usual"):
        ingest_history(settings, days[0], DAY)
    there = {record.day: record.status for record in Lake.from_settings(settings).days("events")}
    assert (there[DAY - timedelta(days=1)], there[DAY]) == ("empty", "open")

"""An export that is cut at another midnight than the shop's is recognised and named."""

import json
import logging
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from recpipe.config.settings import load_settings
from recpipe.days import day_start
from recpipe.errors import BadDelivery
from recpipe.tables.ingest.midnight import HalfHours, other_midnight
from recpipe.tables.ingest.stage import stage_day
from recpipe.tables.ingest.staged import FACTS

DAY = date(2011, 9, 1)


def found(zone, first, hours=24.0, count=200, late=0):
    """What is found of events between two moments, some of them late by a day."""
    settings = load_settings(timezone=zone)
    times = [first + timedelta(hours=hours * n / count) for n in range(count)]
    times += [day_start(DAY, settings.shop.zone) - timedelta(hours=1 + n % 20) for n in range(late)]
    half_hours = HalfHours()
    half_hours.add(pa.array([*times, None], pa.timestamp("us", "UTC")), day_start(DAY, settings.shop.zone))
    return settings, other_midnight(settings.shop, DAY, half_hours)


MIDNIGHT_UTC = datetime(2011, 9, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "hours"), [("America/Los_Angeles", -7), ("Asia/Shanghai", 8), ("Asia/Kolkata", 5.5), ("Europe/Berlin", 2)]
)
def test_a_day_that_is_cut_at_midnight_utc(zone, hours):
    settings, midnight = found(zone, MIDNIGHT_UTC)
    assert (midnight.hours, midnight.utc_hours) == (hours, 0)
    sentence = midnight.sentence(settings, DAY)
    assert f"cut at midnight UTC, and the shop's zone is {zone}" in sentence
    assert "RECPIPE_TIMEZONE" in sentence


def test_a_day_that_is_cut_in_another_zone():
    settings, midnight = found("Europe/London", datetime(2011, 8, 31, 15, tzinfo=UTC))  # midnight in Tokyo
    assert midnight.utc_hours == 9
    assert "the midnight of a clock +9 hours from UTC" in midnight.sentence(settings, DAY)


@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Asia/Shanghai", "Australia/Lord_Howe"])
def test_a_day_that_is_cut_at_the_shops_midnight(zone):
    start = day_start(DAY, load_settings(timezone=zone).shop.zone)
    assert found(zone, start)[1] is None
    assert found(zone, start + timedelta(hours=8), 10)[1] is None  # a shop with hours
    assert found(zone, start, late=40)[1] is None  # late events are no other midnight
    assert found(zone, start + timedelta(hours=8), 10, late=4)[1] is None


def test_a_few_events_tell_nothing():
    assert found("Asia/Shanghai", MIDNIGHT_UTC, count=20)[1] is None


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Asia/Shanghai"])
def test_a_delivery_is_warned_of_or_refused(settings, deliver, an_event, caplog, zone):
    settings = load_settings(home=settings.places.home, timezone=zone)
    events = [{**an_event(line=n), "ts": MIDNIGHT_UTC + timedelta(minutes=30 * n)} for n in range(48)]
    deliver(settings, events=events)
    if zone == "Asia/Shanghai":
        with pytest.raises(
            BadDelivery, match=r"after the end of the day.*cut at midnight UTC, and the shop's zone is Asia/Shanghai"
        ):
            stage_day(settings, DAY)
        return
    with caplog.at_level(logging.WARNING):
        folder = Path(stage_day(settings, DAY))
    assert "cut at midnight UTC" in caplog.text
    assert json.loads((folder / FACTS).read_text())["days"][str(DAY)]["events"]["other_midnight_hours"] == -7

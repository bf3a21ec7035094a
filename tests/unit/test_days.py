from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recpipe.days import day_of, day_of_run, day_start, days_between, parse_day
from recpipe.errors import BadSetting

LONDON = ZoneInfo("Europe/London")
ZONES = [
    ZoneInfo(name) for name in ("UTC", "Europe/London", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "Australia/Lord_Howe")
]


def test_a_daily_run_is_for_the_day_its_interval_covers():
    end = day_start(date(2011, 9, 2), LONDON)
    assert day_of_run({}, "scheduled", end, LONDON) == date(2011, 9, 1)
    assert day_of_run({"day": None}, "backfill", end, LONDON) == date(2011, 9, 1)


def test_a_weekly_run_is_for_the_last_day_of_its_week():
    monday_after = day_start(date(2011, 8, 29), LONDON)
    assert day_of_run({}, "backfill", monday_after, LONDON) == date(2011, 8, 28)


def test_the_named_day_wins():
    assert day_of_run({"day": "2011-09-05"}, "scheduled", day_start(date(2011, 9, 2), LONDON), LONDON) == date(2011, 9, 5)


@pytest.mark.parametrize("run_type", ["manual", "asset_triggered", "operator_triggered"])
def test_a_run_without_a_day_is_refused(run_type):
    with pytest.raises(BadSetting, match=f"A {run_type} run has to name its day"):
        day_of_run({}, run_type, datetime(2011, 9, 2, tzinfo=UTC), LONDON)


def test_a_text_that_is_no_day_is_refused():
    with pytest.raises(BadSetting, match=r"'1.9.2011' is no day; write it as 2011-09-01\."):
        parse_day("1.9.2011")


def test_days_change_length_with_the_clock():
    lengths = [
        day_start(d + timedelta(days=1), LONDON) - day_start(d, LONDON)
        for d in (date(2011, 3, 26), date(2011, 3, 27), date(2011, 10, 30))
    ]
    assert lengths == [timedelta(hours=24), timedelta(hours=23), timedelta(hours=25)]


@given(st.dates(date(2000, 1, 1), date(2030, 12, 30)), st.sampled_from(ZONES))
def test_every_instant_belongs_to_exactly_one_day(day, zone):
    start, end = day_start(day, zone), day_start(day + timedelta(days=1), zone)
    # Samoa left out 2011-12-30: that day has no instant at all
    if start < end:
        assert day_of(start, zone) == day
        assert day_of(end - timedelta(microseconds=1), zone) == day
    assert day_of(end, zone) > day or start == end


def test_days_between_includes_both_ends():
    assert list(days_between(date(2011, 8, 31), date(2011, 9, 2))) == [date(2011, 8, 31), date(2011, 9, 1), date(2011, 9, 2)]
    assert list(days_between(date(2011, 9, 2), date(2011, 9, 1))) == []

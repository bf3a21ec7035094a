"""Times as engines write them, each in its form, and what is no time."""

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from recpipe.tables.ingest.rows.shop_readings import Shop
from recpipe.tables.ingest.rows.times import read_time

SHANGHAI = Shop(ZoneInfo("Asia/Shanghai"), ">")
TEN = datetime(2026, 3, 10, 10, tzinfo=UTC)
MILLIS = TEN.replace(microsecond=123_000)
MICROS = TEN.replace(microsecond=123_456)
LOCAL = datetime(2026, 3, 10, 2, tzinfo=UTC)


def read(values, shop=SHANGHAI, kind=None):
    moments, bad = read_time(pa.array(values, kind), shop)
    assert moments.type == pa.timestamp("us", "UTC")
    return moments.to_pylist(), [] if bad is None else bad.tolist()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-10 10:00:00 UTC", TEN), ("2026-03-10 10:00:00.123456 UTC", MICROS), ("2026-03-10 10:00:00.123 GMT", MILLIS),
        ("2026-03-10T10:00:00.000Z", TEN), ("2026-03-10t10:00:00Z".upper(), TEN), ("2026-03-10T10:00:00z", TEN),
        ("2026-03-10 18:00:00.123+0800", MILLIS), ("2026-03-10T18:00:00+08:00", TEN), ("2026-03-10 18:00:00+08", TEN),
        ("2026-03-10 10:00:00+00", TEN), ("2026-03-10 10:00:00.123456789", MICROS.replace(hour=2)), ("2026-03-10 10:00:00.000000000", LOCAL),
        ("2026-03-10T10:00:00.123456789Z", MICROS), ("2026-03-10 18:00:00.123456789 +0800 CST", MICROS),
        ("2026-03-10 10:00:00 +0000 UTC", TEN), ("2026-03-10 10:00:00.5 +0000 UTC m=+0.0001", TEN.replace(microsecond=500_000)),
        ("2026-03-10 18:00:00.123 Asia/Shanghai", MILLIS), ("2026-03-10T11:00:00+01:00[Europe/Paris]", TEN),
        ("2026-03-10 05:00:00 America/Chicago", TEN), ("2026-03-10 10:00:00.000 Etc/UTC", TEN), ("2026-03-10T10:00Z[Europe/London]", TEN),
        ("2026-03-10 10:00:00.123", MILLIS.replace(hour=2)), ("2026-03-10 10:00", LOCAL), ("2026-03-10T10", LOCAL),
        ("20260310T100000Z", TEN), ("20260310100000", LOCAL), ("202603101000", LOCAL), ("  2026-03-10 10:00:00\t", LOCAL),
        ("2026-03-10", datetime(2026, 3, 9, 16, tzinfo=UTC)), ("20260310", datetime(2026, 3, 9, 16, tzinfo=UTC)),
        ("2024-02-29 10:00:00Z", datetime(2024, 2, 29, 10, tzinfo=UTC)), ("9999-12-31T00:00:00Z", datetime(9999, 12, 31, tzinfo=UTC)),
        ("0999-01-01T00:00:00Z", datetime(999, 1, 1, tzinfo=UTC)),
        ("1773136800", TEN), ("1773136800123", MILLIS), ("1773136800123456", MICROS), ("1773136800123456789", MICROS),
        ("1773136800.123", MILLIS), ("+1773136800", TEN), ("1773136800.123456", MICROS),
    ],
)  # fmt: skip
def test_texts(text, moment):
    assert read([text, None, ""]) == ([moment, None, None], [False] * 3)
    # among others, whose forms differ
    assert read(["2026-03-10 10:00:00", text, "no time"]) == ([LOCAL, moment, None], [False, False, True])


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-10 24:00:00", "2026-02-31 10:00:00", "2026-02-29 10:00:00Z", "2026-04-31", "2026-13-01", "2026-00-10 10:00:00",
        "2026-03-10 10:60:00", "2026-03-10 10:00:61", "2026-03-10 10:00:00+25:00", "2026-03-10 10:00:00 Mars/Olympus", "2026-W11-2",
        "2026-069", "2026-W11-2T10:00:00", "10/03/2026 10:00", "now", "infinity", "0000-00-00 00:00:00", "2026-03-10 10:00:00123",
        "0", "42", "1970", "99999999", "-1773136800", "99999999999999999999", "9999999999999999999", "1e9", "nan", "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00", "2026-03-10 10:00:00 \U0001f600", "\x00",
    ],
)  # fmt: skip
def test_what_is_no_time_is_one_bad_value(text):
    assert read(["2026-03-10 10:00:00", text]) == ([LOCAL, None], [False, True])


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1_773_136_800], pa.int64()), ([1_773_136_800_000], pa.int64()), ([1_773_136_800_000_000], pa.uint64()),
        ([1_773_136_800_000_000_000], pa.uint64()), ([1_773_136_800], pa.uint32()), ([1_773_136_800.0], pa.float64()),
        ([1_773_136_800_000.0], pa.float64()), ([Decimal(1_773_136_800_000)], pa.decimal128(20, 0)),
        ([Decimal(1_773_136_800_000_000_000)], pa.decimal256(40, 0)), ([Decimal("1773136800.000")], pa.decimal128(20, 3)),
    ],
)  # fmt: skip
def test_numbers_since_1970_say_by_their_size_what_they_count(values, kind):
    assert read(values, kind=kind) == ([TEN], [False])


def test_parts_of_seconds():
    assert read([1_773_136_800.123, 1_773_136_800_123.456, float("nan")])[0] == [MILLIS, MICROS, None]
    assert read([Decimal("1773136800.123456")])[0] == [MICROS]


def test_whole_numbers_that_are_written_like_a_clock_are_one():
    assert read([20_260_310_100_000, 202_603_101_000, 1_773_136_800]) == ([LOCAL, LOCAL, TEN], [False] * 3)


@pytest.mark.parametrize("number", [0, 1, 20_260_310, 10**8 - 1, -1_773_136_800, -(2**63)])
def test_a_number_of_no_known_unit_is_not_1970(number):
    assert read([number, 1_773_136_800], kind=pa.int64()) == ([None, TEN], [True, False])


def test_numbers_beyond_all_units():
    assert read([2**64 - 1], kind=pa.uint64())[0][0] is None or read([2**64 - 1], kind=pa.uint64())[0][0].year == 2554
    assert read([float("inf"), 1e300]) == ([None, None], [True, True])
    assert read([Decimal(10) ** 38], kind=pa.decimal256(40, 0)) == ([None], [True])


@pytest.mark.parametrize(("unit", "number"), [("s", 5), ("ms", 5_000), ("us", 5_000_000), ("ns", 5_000_000_000)])
@pytest.mark.parametrize("form", [int, float, str])
def test_a_unit_that_is_set_counts_whatever_the_size(unit, number, form):
    shop = Shop(ZoneInfo("Asia/Shanghai"), ">", time_unit=unit)
    moments, bad = read([form(number)], shop)
    assert (moments, bad) == ([datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC)], [False])


def test_of_a_zone_that_is_named_the_skipped_hour_is_the_moment_of_the_skip():
    assert read(["2026-03-29 01:30:00 Europe/London"])[0] == [datetime(2026, 3, 29, 1, tzinfo=UTC)]
    assert read(["2026-10-25 01:30:00 Europe/London"])[0] == [datetime(2026, 10, 25, 0, 30, tzinfo=UTC)]

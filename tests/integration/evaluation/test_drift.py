"""The drift signal: its arithmetic, and that it sees what it should and nothing else."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from recpipe.contract import EVENTS
from recpipe.dataset.history import Evidence
from recpipe.evaluation.drift import item_groups, psi
from recpipe.evaluation.outcomes import measure_day
from recpipe.lake.lake import Lake

LISTS, DAY = date(2026, 3, 8), date(2026, 3, 15)


def test_psi_by_hand():
    # half and half against one and three quarters, each with a hundredth spread evenly: 0.5, 0.5 and 0.2525, 0.7475
    expected = (0.2525 - 0.5) * np.log(0.2525 / 0.5) + (0.7475 - 0.5) * np.log(0.7475 / 0.5)
    assert psi(np.array([10, 10]), np.array([5, 15])) == pytest.approx(expected)


def test_psi_of_the_same_shares_is_nearly_nothing_and_symmetric():
    one, other = np.array([100, 300, 600]), np.array([10, 30, 60])
    assert psi(one, other) < 0.001
    assert psi(one, other[::-1]) == pytest.approx(psi(other[::-1], one))


def test_psi_without_events_is_nothing():
    assert psi(np.array([0, 0]), np.array([5, 1])) == 0.0


def test_items_are_grouped_by_what_sold_before():
    # sales before: 10, 5, 5, 0, and one that sold only since
    item = np.array([0] * 10 + [1] * 5 + [2] * 5 + [4], np.int32)
    ts = np.array(["2026-01-01"] * 20 + ["2026-03-01"], "datetime64[us]")

    class Four:
        def __len__(self):
            return 5

    evidence = Evidence(Four(), None, item, ts, np.datetime64("2026-03-08"))
    # shares in the order of sales: 0.5, 0.75, 1.0: groups 5, 8, 10
    assert item_groups(evidence, np.datetime64("2026-02-01")).tolist() == [5, 8, 10, 0, 0]


def more_events(settings, kind, count):
    day = LISTS + timedelta(days=2)
    ts = datetime(2026, 3, 10, 9, tzinfo=UTC)
    found = [
        {"day": day, "event_id": f"new-{n}", "user_id": f"w{n % 6}", "item_id": "i0", "event_type": kind, "ts": ts}
        for n in range(count)
    ]
    rows = pa.Table.from_pylist([{name: row.get(name) for name in EVENTS.columns} for row in found], schema=EVENTS.schema)
    Lake.from_settings(settings).publish("events", [day], rows)


def test_another_kind_of_event_is_seen(settings):
    before = measure_day(settings, DAY).drift.event_types
    more_events(settings, "view", 500)
    assert measure_day(settings, DAY).drift.event_types > before + 1


def test_more_of_the_same_is_no_drift_of_kinds(settings):
    more_events(settings, "purchase", 500)
    assert measure_day(settings, DAY).drift.event_types < 0.1


def test_users_are_counted_by_what_they_had_met_before_the_window(settings):
    from recpipe.dataset.as_of import read_known
    from recpipe.dataset.cohorts import users_of
    from recpipe.evaluation.drift import items_met

    known = read_known(Lake.from_settings(settings).reader(), settings, LISTS)
    users = users_of(known, settings, LISTS)
    assert items_met(known.evidence, users, np.datetime64("2026-03-01")).tolist() == [0] * 9
    assert items_met(known.evidence, users, np.datetime64("2026-03-02")).tolist() == [2] * 6 + [0] * 3

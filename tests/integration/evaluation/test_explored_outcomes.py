"""Outcomes of a night that drew some places of its lists."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest

from recpipe.contract import RECOMMENDATIONS
from recpipe.evaluation.day_outcomes import evaluate_day
from recpipe.evaluation.outcomes import measure_day
from recpipe.lake.lake import Lake


def test_outcomes_tell_what_a_nights_draws_came_to(settings):
    """W4 took the item drawn with 1/4, z0 the one drawn with 1/2, w0 did not take the one drawn with 1/2."""
    lake = Lake.from_settings(settings)
    lists = date(2026, 3, 8)
    found = lake.reader().read("recommendations", lists, lists).to_pylist()
    before = measure_day(settings, date(2026, 3, 15)).rows
    drawn = {"w4": ("i7", 0.25), "w0": ("i6", 0.5), "z0": ("i2", 0.5)}
    for row in found:
        if row["rank"] == 3 and row["user_id"] in drawn:
            row["item_id"], row["propensity"] = drawn[row["user_id"]]
            row["reason"] = {"kind": "new_item", "because_item_ids": []}
    lake.publish("recommendations", [lists], pa.Table.from_pylist(found, schema=RECOMMENDATIONS.schema), model_version="3")
    evaluate_day(settings, date(2026, 3, 15))
    rows = lake.reader().read("outcomes").to_pylist()
    said = {(row["cohort"], row["metric"]): (row["value"], row["users"]) for row in rows if "explored" in row["metric"]}
    assert said == {
        ("all", "explored_hit_rate"): (pytest.approx(2 / 3), 3),
        ("all", "explored_hit_rate_snips"): (pytest.approx(6 / 8), 3),
        ("all", "explored_hits_ips"): (pytest.approx(2), 3),
        ("warm", "explored_hit_rate"): (pytest.approx(1 / 2), 2),
        ("warm", "explored_hit_rate_snips"): (pytest.approx(4 / 6), 2),
        ("warm", "explored_hits_ips"): (pytest.approx(2), 2),
        **{("zero", metric): (None, 1) for metric in ("explored_hit_rate", "explored_hit_rate_snips", "explored_hits_ips")},
        **{("few", metric): (None, 0) for metric in ("explored_hit_rate", "explored_hit_rate_snips", "explored_hits_ips")},
    }
    assert sum("explored" in row["metric"] for row in rows) == 12
    assert not any("explored" in row["metric"] for row in before.to_pylist())

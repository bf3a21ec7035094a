"""What is measured of a published day, and that nothing is read where nobody listens."""

from __future__ import annotations

import socket
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from recpipe.airflow import metrics
from recpipe.config.settings import Settings, load_settings
from recpipe.contract import TABLES
from recpipe.lake.lake import Lake

DAY = date(2011, 9, 1)


def lists(*users: tuple[str, str]) -> pa.Table:
    rows = [
        {
            "day": DAY,
            "user_id": user,
            "rank": rank,
            "item_id": f"i{rank}",
            "score": 1.0,
            "cohort": cohort,
            "reason": {"kind": "popular", "because_item_ids": []},
            "model_version": "1",
        }
        for user, cohort in users
        for rank in (1, 2)
    ]
    return pa.Table.from_pylist(rows, schema=TABLES["recommendations"].schema)


@pytest.fixture
def shop(tmp_path: Path) -> Settings:
    settings = load_settings(home=tmp_path)
    lake = Lake.from_settings(settings)
    lake.publish("recommendations", [DAY], lists(("a", "few"), ("b", "warm"), ("c", "warm")))
    lake.publish("quarantine", [DAY], TABLES["quarantine"].schema.empty_table())
    return settings


def test_rows_users_and_ages(shop: Settings) -> None:
    found = metrics.measured(shop, DAY, ("recommendations", "quarantine", "outcomes"))
    age = float((datetime.now(shop.shop.zone).date() - DAY) / timedelta(days=1))
    assert found == {
        "recpipe.rows.recommendations": 6.0,
        "recpipe.rows.quarantine": 0.0,
        "recpipe.rows.outcomes": 0.0,
        "recpipe.age_days.recommendations": age,
        "recpipe.age_days.quarantine": age,
        "recpipe.users.zero": 0.0,
        "recpipe.users.few": 1.0,
        "recpipe.users.warm": 2.0,
    }


def test_nothing_is_read_where_nobody_listens(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path / "nowhere")
    assert metrics.tell(settings, DAY, "recommendations") == {}
    assert not (tmp_path / "nowhere").exists()


def test_a_day_that_cannot_be_counted_fails_nothing(
    shop: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_ON", "True")
    (shop.places.home / "lake" / "days" / "_delta_log" / "00000000000000000000.json").write_text("torn")
    assert metrics.tell(shop, DAY, "recommendations") == {}
    assert "The counters of 2011-09-01 were not sent" in caplog.text


def test_a_statsd_server_gets_them(shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk._shared.observability.metrics import stats
    from airflow.sdk.observability.metrics import stats_utils

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_ON", "True")
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_PORT", str(server.getsockname()[1]))
        stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)
        sent = metrics.tell(shop, DAY, "recommendations")
        got = {server.recv(1024).decode() for _ in sent}
    assert "airflow.recpipe.rows.recommendations:6.0|g" in got
    assert "airflow.recpipe.users.warm:2.0|g" in got

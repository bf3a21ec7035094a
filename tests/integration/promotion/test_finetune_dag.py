"""The DAG of the text encoder in the foreground: taught on a month, registered, promoted, and read by the next training and night."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pytest

from recpipe.config.settings import Settings
from recpipe.contract import EVENTS, ITEMS, USERS
from recpipe.lake.lake import Lake
from recpipe.local.home import airflow_environment, write_home
from recpipe.registry.encoder_versions import encoders, for_encoders
from recpipe.registry.encoders import of_week
from recpipe.registry.store import client
from recpipe.registry.versions import overview
from recpipe.text.cache import VectorCache
from recpipe.text.encoder import fingerprint_of

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("finetune"), pytest.mark.timeout(600)]

MONTH = (date(2026, 3, 1), date(2026, 3, 31))


@pytest.fixture
def shop(settings: Settings, tiny_encoder: Path) -> Settings:
    """The shop with a tiny encoder, days until the end of April, and another item for everybody on 17 March."""
    opened = settings.changed(
        encoder=str(tiny_encoder), gate_days=20, encoder_lead_weeks=0, promotion_margin=-100, min_users=5, first_day=date(2026, 3, 1),
        clock_day=date(2026, 5, 1), timezone="UTC", top_k=10, retry_seconds=1,
        finetune_options=["--steps", "4", "--batch-users", "8", "--window-days", "2", "--windows", "1"],
    )  # fmt: skip
    days = [date(2026, 3, 16) + timedelta(days=n) for n in range(46)]
    lake, day = Lake.from_settings(opened), date(2026, 3, 17)
    for table in (ITEMS, USERS):
        lake.publish(table.name, days, table.schema.empty_table())
    bought = lake.reader().events(date(2026, 3, 2), date(2026, 3, 15)).select(EVENTS.columns).to_pylist()
    owned = {user: {row["item_id"] for row in bought if row["user_id"] == user} for user in {row["user_id"] for row in bought}}
    missing = {user: sorted({f"i{user[1]}{n}" for n in range(8)} - items)[0] for user, items in sorted(owned.items())}
    more = [{**bought[0], "day": day, "ts": datetime(2026, 3, 17, 9, tzinfo=UTC), "event_id": f"{user}-more", "user_id": user,
             "item_id": item} for user, item in missing.items()]  # fmt: skip
    lake.publish("events", days, pa.Table.from_pylist(more, schema=EVENTS.schema))
    write_home(opened)
    return opened


def run(settings: Settings, *words: str) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW__", "RECPIPE_"))}
    done = subprocess.run(
        [str(Path(sys.executable).with_name(words[0])), *words[1:]],
        env={**env, **airflow_environment(settings)}, capture_output=True, text=True, check=False, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def test_a_month_is_taught_promoted_and_read(shop: Settings, tiny_encoder: Path) -> None:
    run(shop, "python", "-m", "recpipe.airflow.backfill.database_setup", "1")
    said = run(shop, "airflow", "dags", "backfill", "-s", str(MONTH[0]), "-e", str(MONTH[1]), "--local", "-y", "finetune_encoder")
    assert "1 of 1 runs of finetune_encoder succeeded" in said
    frozen, taught = encoders(shop)
    assert (frozen.content, frozen.learner) == (fingerprint_of(tiny_encoder), "frozen")
    assert (taught.trained_until, taught.fitted_until, taught.promoted_on) == (MONTH[1], date(2026, 3, 11), MONTH[1])
    assert overview(for_encoders(shop))[0]["aliases"] == "candidate, champion"
    metrics = client(shop).get_run(taught.run_id).data.metrics
    assert {"loss", "before.ndcg", "after.ndcg", "gate.candidate_value"} <= set(metrics)

    texts = json.loads(next((shop.places.work / "train" / str(MONTH[1])).glob("*/texts.json")).read_text())
    cache = VectorCache(shop.places.work / "encoder" / f"{taught.content[:16]}.sqlite", 32)
    assert len(cache.get([sha256(text.encode()).digest() for text in texts])) == len(set(texts)) == 32

    week = MONTH[1] + timedelta(days=20)  # its own days of the gate begin after the encoder's
    assert fingerprint_of(Path(of_week(shop, week).text.tuned_encoder)) == taught.content
    assert of_week(shop, week - timedelta(days=1)).text.tuned_encoder == ""

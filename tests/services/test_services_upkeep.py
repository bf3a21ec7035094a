"""A lake on S3 that is kept under a key of user ids: doctor, weekly upkeep and an erasure do there what they do on a disk."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stores import Stores

from recpipe.config.settings import Settings, load_settings
from recpipe.erasure.erase import erase
from recpipe.errors import BadSetting
from recpipe.lake.lake import Lake
from recpipe.lake.tombstones import erasure_tokens
from recpipe.maintenance.doctor.places import store
from recpipe.maintenance.maintain import tidy_tables
from recpipe.tables.ingest.days_in import ingest_day, ingest_history
from recpipe.user_ids.keys import user_key

BUCKET = "kept"
FIRST, DAYS, USERS = date(2026, 2, 1), 6, 5
LAST = FIRST + timedelta(days=DAYS - 1)
GONE = "kunde-00003-zq"
KEY, OTHER = "5a" * 32, "5b" * 32


def deliver(landing: Path) -> None:
    for day in (FIRST + timedelta(days=offset) for offset in range(DAYS)):
        at = datetime.combine(day, time(9))
        users = [f"kunde-{number:05d}-zq" for number in range(USERS)]
        rows: dict[str, list[dict[str, Any]]] = {
            "users": [{"user_id": user, "registered_at": at} for user in users],
            "items": [{"item_id": f"i{day.day}", "title": f"Lamp {day.day}", "price": 5.0}],
            "events": [
                {"event_id": f"{user}-{day}", "user_id": user, "item_id": f"i{day.day}", "event_type": "purchase", "ts": at}
                for user in users
            ],
        }
        for name, delivered in rows.items():
            folder = landing / name / f"day={day}"
            folder.mkdir(parents=True)
            pq.write_table(pa.Table.from_pylist(delivered), folder / "part.parquet")
            (folder / "_SUCCESS").touch()


@pytest.fixture(scope="module")
def settings(services: Stores, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    services.s3_client().create_bucket(Bucket=BUCKET)
    home = tmp_path_factory.mktemp("kept")
    made = load_settings(
        home=home, lake=f"s3://{BUCKET}/lake", storage_options=services.s3_options, user_key=KEY, first_day=FIRST
    )  # fmt: skip
    deliver(made.places.landing_root)
    ingest_history(made, FIRST, LAST)
    return made


def rows(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    reader = Lake.from_settings(settings).reader()
    return {
        table: sorted(reader.read(table).to_pylist(), key=lambda row: [str(value) for value in row.values()])
        for table in ("events", "users", "items")
    }


def objects(services: Stores) -> Iterator[tuple[str, bytes]]:
    """Give every object of the bucket, and of a parquet file what stands in it, too."""
    client = services.s3_client()
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for entry in page.get("Contents", []):
            data = client.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read()
            yield entry["Key"], data
            if entry["Key"].endswith(".parquet"):
                yield entry["Key"], str(pq.read_table(io.BytesIO(data)).to_pylist()).encode()


def places(services: Stores, *needles: str) -> set[str]:
    return {name for name, data in objects(services) for needle in needles if needle.encode() in data}


def test_no_raw_id_is_on_the_store(settings: Settings, services: Stores) -> None:
    assert places(services, user_key(settings, GONE))
    assert not places(services, "kunde-")


def test_a_lake_under_another_key_is_refused(settings: Settings) -> None:
    before = rows(settings)
    for key in (OTHER, ""):
        with pytest.raises(BadSetting, match="key"):
            ingest_day(load_settings(**{**settings.flat(), "user_key": key}), LAST)
    assert rows(settings) == before


def test_the_doctor_finds_conditional_puts(settings: Settings, services: Stores) -> None:
    (found,) = store(settings)
    assert found.level == "ok", found
    assert not [name for name, _ in objects(services) if "_doctor" in name]


def test_upkeep_joins_files_and_changes_no_row(settings: Settings) -> None:
    before = rows(settings)
    report = tidy_tables(settings)
    assert not report.failed
    assert any(step.what == "compact" and step.count for step in report.steps)  # the register has a file a day
    assert rows(settings) == before
    assert len(Lake.from_settings(settings).days("events")) == DAYS


def test_an_erased_user_is_in_no_object_and_does_not_come_back(settings: Settings, services: Stores) -> None:
    mapped = user_key(settings, GONE)
    before = rows(settings)
    erase(settings, erasure_tokens(settings, [GONE]))
    assert not places(services, GONE, mapped)
    others = {table: [row for row in found if row.get("user_id") != mapped] for table, found in before.items()}
    assert rows(settings) == others
    ingest_day(settings, LAST)
    assert not places(services, GONE, mapped)
    assert rows(settings) == others

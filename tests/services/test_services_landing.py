"""A shop whose landing lies on S3 goes through the same door: marks, folders by hour, refusals, sensors, erasures."""

from __future__ import annotations

import io
import json
import resource
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stores import KEYS, Stores

from recpipe.config.settings import Settings, load_settings
from recpipe.errors import BadDelivery, Unreachable
from recpipe.lake.lake import Lake
from recpipe.maintenance.doctor.places import folders
from recpipe.tables.ingest.days_in import ingest_day
from recpipe.tables.ingest.landed.delivery import find_delivery
from recpipe.tables.ingest.landed.landing import Landing
from recpipe.tables.ingest.stage import stage_day

DAY = date(2026, 3, 10)


@pytest.fixture(scope="module")
def bucket(services: Stores) -> str:
    services.s3_client().create_bucket(Bucket="drops")
    return "drops"


@pytest.fixture
def settings(services: Stores, bucket: str, tmp_path: Any, request: pytest.FixtureRequest) -> Settings:
    """A shop of its own below the bucket; the lake lies on this machine."""
    return load_settings(
        home=tmp_path, first_day=DAY, landing=f"s3://{bucket}/{request.node.name.partition('[')[0]}/landing",
        landing_options=services.s3_options, batch_rows=10_000,
    )  # fmt: skip


def events(count: int, **more: Any) -> pa.Table:
    when = [datetime(2026, 3, 10, number % 24, tzinfo=UTC) for number in range(count)]
    columns = {
        "event_id": [str(n) for n in range(count)],
        "user_id": [f"u{n % 97}" for n in range(count)],
        "item_id": ["A1"] * count,
    }
    return pa.table(columns | {"event_type": ["view"] * count, "ts": when} | more)


class Shop:
    """The hand that puts things into the bucket."""

    def __init__(self, services: Stores, settings: Settings) -> None:
        _, _, self.bucket, self.prefix = settings.places.landing.split("/", 3)
        self.client = services.s3_client()

    def put(self, name: str, content: bytes | pa.Table = b"") -> None:
        if isinstance(content, pa.Table):
            out = io.BytesIO()
            pq.write_table(content, out, row_group_size=50_000)
            content = out.getvalue()
        self.client.put_object(Bucket=self.bucket, Key=f"{self.prefix}/{name}", Body=content)

    def remove(self, name: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=f"{self.prefix}/{name}")

    def mark(self, *tables: str) -> None:
        for table in tables or ("items", "users", "events"):
            self.put(f"{table}/day=2026-03-10/_SUCCESS")


@pytest.fixture
def shop(services: Stores, settings: Settings) -> Shop:
    return Shop(services, settings)


def test_a_day_comes_in_from_s3(settings: Settings, shop: Shop) -> None:
    shop.put("items/day=2026-03-10/part-0.parquet", pa.table({"item_id": ["A1"], "title": ["Mug"]}))
    for hour in range(3):
        shop.put(f"events/day=2026-03-10/hour={hour:02}/000000_0", events(100, event_id=[f"{hour}-{n}" for n in range(100)]))
    shop.put("events/day=2026-03-10/")  # as consoles of object stores make folders
    shop.put("events/day=2026-03-10/hour=00/")
    shop.mark("items", "users")
    assert find_delivery(settings, DAY).missing == ("events",)
    shop.mark("events")
    assert ingest_day(settings, DAY) == {"items": 1, "users": 0, "quarantine": 0, "events": 300}
    assert [(found.level, found.check) for found in folders(settings) if found.check == "landing"] == [("ok", "landing")]


def test_what_is_strange_on_s3_refuses_the_day_by_name(settings: Settings, shop: Shop) -> None:
    shop.put("events/day=2026-03-10/part-0.parquet", events(10))
    shop.put("events/day=2026-03-10/part-1.csv", b"user_id\n1\n")
    shop.mark()
    with pytest.raises(BadDelivery, match=r"events/day=2026-03-10/part-1.csv \(does not end with .parquet\)"):
        stage_day(settings, DAY)
    shop.remove("events/day=2026-03-10/part-1.csv")
    shop.put("events/dt=2026-03-10/part-0.parquet", events(10))
    with pytest.raises(BadDelivery, match=r"events/dt=2026-03-10 may hold rows of events"):
        stage_day(settings, DAY)
    assert {record.status for record in Lake.from_settings(settings).days()} == {"open"}


def test_a_manifest_on_s3_is_held_against_what_is_there(settings: Settings, shop: Shop) -> None:
    settings = settings.changed(landing_mark="manifest.json")
    shop.put("events/day=2026-03-10/part-0.parquet", events(10))
    for table in ("items", "users"):
        shop.put(f"{table}/day=2026-03-10/manifest.json", b'{"files": []}')
    url = f"{settings.places.landing}/events/day=2026-03-10/part-0.parquet"
    shop.put(
        "events/day=2026-03-10/manifest.json", json.dumps({"entries": [{"url": url, "meta": {"record_count": 11}}]}).encode()
    )
    with pytest.raises(BadDelivery, match=r"part-0.parquet \(has 10 rows, and 11 are listed\)"):
        stage_day(settings, DAY)
    shop.put(
        "events/day=2026-03-10/manifest.json", json.dumps({"entries": [{"url": url, "meta": {"record_count": 10}}]}).encode()
    )
    assert ingest_day(settings, DAY)["events"] == 10


def test_the_options_of_the_lake_serve_the_landing_where_both_are_of_one_kind(settings: Settings, services: Stores) -> None:
    both = settings.changed(lake="s3://drops/lake", storage_options=services.s3_options, landing_options={})
    assert Landing.of(both).children("") == []


def test_a_large_file_is_streamed(settings: Settings, shop: Shop) -> None:
    """130 MB of a file that hardly compresses, and some 64 MiB of it held at a time."""
    count = 1_000_000
    noise = np.random.default_rng(7).bytes(count * 128)
    text = pa.Array.from_buffers(pa.binary(128), count, [None, pa.py_buffer(noise)]).cast(
        pa.binary()
    )  # a column that nobody knows: it is read, and goes nowhere
    shop.put("events/day=2026-03-10/part-0.parquet", events(count, noise=text))
    shop.mark()
    del text, noise
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stage_day(settings, DAY)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 600


def test_a_missing_bucket_is_a_sentence(settings: Settings) -> None:
    with pytest.raises(Unreachable) as caught:
        stage_day(settings.changed(landing="s3://nowhere/landing"), DAY)
    assert str(caught.value).startswith("The landing s3://nowhere/landing cannot be read: there is no such bucket.")
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in str(caught.value)


def test_quarantined_rows_of_an_erased_user_are_found_in_files_on_s3(settings: Settings, shop: Shop) -> None:
    from recpipe.erasure.erase import erase
    from recpipe.lake.tombstones import erasure_tokens

    settings = settings.changed(max_bad_share=1.0)
    shop.put(
        "events/day=2026-03-10/hour=01/part-0.parquet",
        events(4, user_id=["gone", "gone", "here", "here"], item_id=["A1", None, None, "A1"]),
    )
    shop.mark()
    ingest_day(settings, DAY)
    erase(settings, erasure_tokens(settings, ["gone"]))
    left = Lake.from_settings(settings).reader().read("quarantine").to_pylist()
    assert [(row["source_file"], row["row_number"]) for row in left] == [("hour=01/part-0.parquet", 2)]

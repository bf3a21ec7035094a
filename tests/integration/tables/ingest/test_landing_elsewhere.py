"""The landing may lie anywhere: behind an address of a disk, in an object store, or where fsspec reaches; its mark may list the files."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recpipe.config.settings import Settings, load_settings
from recpipe.errors import BadDelivery, BadSetting, Unreachable
from recpipe.lake.lake import Lake
from recpipe.maintenance.doctor.places import folders
from recpipe.tables.ingest.days_in import ingest_day
from recpipe.tables.ingest.landed import byte_blocks
from recpipe.tables.ingest.landed.delivery import find_delivery, require_delivery
from recpipe.tables.ingest.landed.landing import Found, Landing
from recpipe.tables.ingest.rows.file_reading import open_file, read_batches
from recpipe.tables.ingest.stage import stage_day

DAY = date(2011, 9, 1)
NOBODY = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "x", "AWS_ACCESS_KEY_ID": "shop",
          "AWS_SECRET_ACCESS_KEY": "geheim", "max_retries": "0"}  # fmt: skip


def parquet(rows: list[dict[str, Any]]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


@pytest.fixture
def memory(settings: Settings) -> Iterator[tuple[Settings, Any]]:
    """A shop whose landing lies in fsspec's memory, and that file system."""
    store = fsspec.filesystem("memory")
    store.store.clear()
    yield load_settings(home=settings.places.home, landing="memory://shop/landing"), store
    store.store.clear()


def put(store: Any, name: str, content: bytes = b"") -> None:
    store.pipe(f"/shop/landing/{name}", content)


def put_day(store: Any, events: bytes) -> None:
    put(store, "events/day=2011-09-01/hour=12/part-0.parquet", events)
    put(store, "items/day=2011-09-01/000000_0", parquet([{"item_id": "i1", "title": "One"}]))
    for table in ("items", "users", "events"):
        put(store, f"{table}/day=2011-09-01/_SUCCESS")


def test_a_day_behind_an_address_of_a_disk(settings, deliver, an_event):
    deliver(settings, events=[an_event()])
    elsewhere = load_settings(home=settings.places.home / "other", landing=settings.places.landing_root.resolve().as_uri())
    assert elsewhere.places.landing_root == settings.places.landing_root.resolve()
    assert ingest_day(elsewhere, DAY)["events"] == 1


def test_a_day_where_fsspec_reaches(memory, an_event, rows_of):
    settings, store = memory
    put_day(store, parquet([an_event(user=str(n)) for n in range(50)] + [an_event(item=None)]))
    settings = settings.changed(max_bad_share=0.1)
    assert ingest_day(settings, DAY) == {"items": 1, "users": 0, "quarantine": 1, "events": 50}
    assert [row["source_file"] for row in rows_of(settings, "quarantine")] == ["hour=12/part-0.parquet"]


def test_a_day_that_is_not_there_yet_is_waited_for(memory, an_event):
    settings, store = memory
    put_day(store, parquet([an_event()]))
    store.rm("/shop/landing/users/day=2011-09-01/_SUCCESS")
    assert find_delivery(settings, DAY).message.startswith(
        "The delivery of 2011-09-01 is not complete: _SUCCESS is missing in users/day=2011-09-01 under memory://shop/landing."
    )


def test_what_is_strange_elsewhere_is_named_too(memory, an_event):
    settings, store = memory
    put_day(store, parquet([an_event()]))
    put(store, "events/day=2011-09-01/more.csv", b"x")
    put(store, "users/dt=2011-09-01/part-0.parquet", b"x")
    with pytest.raises(BadDelivery, match=r"events/day=2011-09-01/more.csv \(does not end with .parquet\)"):
        stage_day(settings, DAY)
    store.rm("/shop/landing/events/day=2011-09-01/more.csv")
    with pytest.raises(BadDelivery, match=r"users/dt=2011-09-01 may hold rows of users"):
        stage_day(settings, DAY)
    assert {record.status for record in Lake.from_settings(settings).days()} == {"open"}


def test_a_file_elsewhere_is_never_held_whole(memory, monkeypatch):
    settings, store = memory
    monkeypatch.setattr(byte_blocks, "BLOCK", 1000)
    monkeypatch.setattr(byte_blocks, "MOST", 3)
    content = bytes(range(256)) * 40
    put(store, "x", content)
    landing = Landing.of(settings)
    with landing.file(Found("x", "file", len(content))).open() as opened:
        assert opened.read() == content
        for start, length in ((5, 10), (990, 20), (0, 1), (10_235, 100), (3_000, 4_000)):
            opened.seek(start)
            assert opened.read(length) == content[start : start + length]
    reader = byte_blocks._Blocks(landing.filesystem.open_input_file(landing.path("x")), len(content))
    reader.read()
    assert len(reader._held) == 3


def test_a_store_that_goes_away_while_a_file_is_read_is_no_bad_delivery(memory, an_event, monkeypatch):
    """The rows come through Arrow: the error has to come back as it was, and not as a damaged file."""
    settings, store = memory
    put_day(store, parquet([an_event(user=str(n)) for n in range(50)]))
    delivery = require_delivery(settings, DAY)
    [file] = delivery.files["events"]

    def gone(self: Any, *_: Any) -> bytes:
        raise ConnectionResetError(104, "Connection reset by peer")

    with file.open() as opened:
        monkeypatch.setattr(type(store.open(f"/{file.path}")), "read", gone, raising=False)
        with pytest.raises(Unreachable, match="onnection reset by peer"):
            pq.ParquetFile(opened).read()


def test_a_store_that_does_not_answer_is_one_sentence_without_secrets(settings):
    settings = load_settings(home=settings.places.home, landing="s3://shop/landing", landing_options=NOBODY)
    with pytest.raises(Unreachable) as caught:
        stage_day(settings, DAY)
    assert str(caught.value) == (
        "The landing s3://shop/landing cannot be read: it does not answer. See that it is there and may be read, look at "
        "RECPIPE_LANDING and RECPIPE_LANDING_OPTIONS (recpipe doctor tries them), then run again."
    )
    [found] = [finding for finding in folders(settings) if finding.check == "landing"]
    assert found.level == "wrong"
    assert "geheim" not in found.says + found.remedy


def test_doctor_looks_at_a_landing_elsewhere(memory):
    settings, store = memory
    assert [(f.level, f.says) for f in folders(settings) if f.check == "landing"] == [
        ("warn", "memory://shop/landing answers, and holds nothing")
    ]
    put(store, "events/day=2011-09-01/_SUCCESS")
    assert [(f.level, f.says) for f in folders(settings) if f.check == "landing"] == [
        ("ok", "memory://shop/landing can be read: 1 entries")
    ]


@pytest.mark.parametrize(
    ("landing", "words"), [("nosuch://x/y", "nosuch"), ("sftp://host/landing", "paramiko"), ("s3://", "cannot be worked with")]
)
def test_an_address_that_nobody_knows_is_a_bad_setting(settings, landing, words):
    settings = load_settings(home=settings.places.home, landing=landing)
    with pytest.raises(BadSetting, match="RECPIPE_LANDING") as caught:
        find_delivery(settings, DAY)
    assert words in str(caught.value)


def test_a_landing_elsewhere_is_no_folder_to_drop_the_shipped_shop_in(settings):
    with pytest.raises(BadSetting, match=r"RECPIPE_LANDING is s3://shop/x, which is no folder of this machine"):
        _ = load_settings(home=settings.places.home, landing="s3://shop/x").places.landing_root


# --- a mark that lists the files


@pytest.fixture
def listed(settings: Settings) -> Settings:
    return load_settings(home=settings.places.home, landing_mark="_MANIFEST.json")


def manifest(settings: Settings, events: object, table: str = "events") -> None:
    for name in ("items", "users", "events"):
        folder = settings.places.landing_root / name / "day=2011-09-01"
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "_MANIFEST.json").exists() or name == table:
            held = events if name == table else {"files": []}
            (folder / "_MANIFEST.json").write_text(held if isinstance(held, str) else json.dumps(held))


def drop(settings: Settings, name: str, content: bytes) -> dict[str, Any]:
    path = settings.places.landing_root / "events" / "day=2011-09-01" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return {"path": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_a_manifest_says_what_is_read_whatever_its_name(listed, an_event):
    one = drop(listed, "hour=01/_clicks.bin", parquet([an_event()])) | {"rows": 1}
    drop(listed, "hour=02/part-0.parquet", parquet([an_event(user="u2")]))
    manifest(listed, {"files": [one, "hour=02/part-0.parquet"]})
    assert ingest_day(listed, DAY)["events"] == 2
    manifest(listed, {"entries": [
        {"url": f"{listed.places.landing_address}/events/day=2011-09-01/hour=01/_clicks.bin", "meta": {"content_length": one["bytes"], "record_count": 1}},
        {"url": "./hour=02/part-0.parquet"},
    ]})  # fmt: skip
    assert ingest_day(listed, DAY)["events"] == 2


def test_an_empty_manifest_says_that_nothing_happened(listed):
    manifest(listed, {"files": []})
    assert ingest_day(listed, DAY)["events"] == 0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"path": "part-9.parquet"}, "part-9.parquet (is listed and not there), events/day=2011-09-01/part-0.parquet (is not listed in _MANIFEST.json)"),
        ({"bytes": 7}, "bytes, and 7 are listed)"),
        ({"rows": 7}, "part-0.parquet (has 1 rows, and 7 are listed)"),
        ({"sha256": "0" * 64}, "part-0.parquet (has other bytes than are listed: its sha256 is another)"),
    ],
)  # fmt: skip
def test_what_is_not_as_it_is_listed_refuses_the_day_by_name(listed, an_event, change, why):
    manifest(listed, {"files": [drop(listed, "part-0.parquet", parquet([an_event()])) | change]})
    with pytest.raises(BadDelivery) as caught:
        stage_day(listed, DAY)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    "held",
    ["", "{", "[" * 100_000, "7", '{"tables": []}', '{"files": [7]}', '{"files": ["../day=2011-09-02/part-0.parquet"]}', '{"files": ["/etc/passwd"]}',
     '{"files": ["s3://other/part-0.parquet"]}', '{"files": ["a", "a"]}', '{"files": [{"path": "a", "bytes": -1}]}',
     '{"files": [{"path": "a", "rows": true}]}', '{"files": [{"path": "a", "sha256": 7}]}'],
)  # fmt: skip
def test_a_manifest_that_is_none_refuses_the_day_with_a_sentence(listed, held):
    manifest(listed, held)
    with pytest.raises(BadDelivery, match=r"events/day=2011-09-01/_MANIFEST.json .* Nothing was published") as caught:
        stage_day(listed, DAY)
    assert "\n" not in str(caught.value)


def test_a_store_that_is_lost_at_the_last_look_is_no_bad_delivery(memory, an_event, monkeypatch):
    settings, store = memory
    put_day(store, parquet([an_event()]))
    [file] = require_delivery(settings, DAY).files["events"]
    info = type(store).info

    def lost(self, path, **more):
        if path.endswith("part-0.parquet") and opened:
            raise ConnectionResetError(104, "Connection reset by peer")
        return info(self, path, **more)

    opened: list[bool] = []
    monkeypatch.setattr(type(store), "info", lost)
    with open_file(file, file.name) as whole:
        batches = read_batches(settings, file, file.name, whole)
        assert next(batches).num_rows == 1
        opened.append(True)
        with pytest.raises(Unreachable, match="onnection reset by peer"):
            next(batches)

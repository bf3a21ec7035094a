"""The lake on S3: of writers that race for one version exactly one wins, by a conditional put."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pyarrow as pa
import pytest
from cluster import COMPOSE
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError
from stores import Stores

from recpipe.contract import ITEMS
from recpipe.lake.lake import Lake

ROUNDS, WRITERS = 10, 4


@pytest.fixture(scope="module")
def bucket(services: Stores) -> str:
    services.s3_client().create_bucket(Bucket="races")
    return "s3://races"


def items(day: date, name: str) -> pa.Table:
    row = dict.fromkeys(ITEMS.columns) | {"day": day, "item_id": name, "title": name, "available": True}
    return pa.Table.from_pylist([row], schema=ITEMS.schema)


def test_compose_asks_for_conditional_puts_and_nothing_allows_an_unsafe_rename() -> None:
    options = COMPOSE["scheduler"]["environment"]["RECPIPE_STORAGE_OPTIONS"]
    assert '"conditional_put": "etag"' in options
    assert "UNSAFE_RENAME" not in str(COMPOSE)


def test_every_commit_is_a_put_that_fails_where_one_is(services: Stores, bucket: str) -> None:
    lake = Lake(f"{bucket}/noted", storage_options=tuple(services.s3_options.items()))
    lake.publish("items", [date(2026, 1, 1)], items(date(2026, 1, 1), "a"))
    seen = [line.split(" ") for line in services.s3.log.read_text().splitlines() if " /races/noted/" in line]
    commits = [condition for method, path, condition in seen if method == "PUT" and "_delta_log/0" in path]
    assert commits == ["*"] * 4  # items and the register: a table, and a day
    assert {method for method, _, _ in seen} <= {"GET", "HEAD", "PUT"}  # nothing is renamed or removed


def test_of_writers_that_race_for_one_version_exactly_one_wins(services: Stores, bucket: str) -> None:
    """Without a second try: who loses is told so, and its rows are not there."""
    uri, options = f"{bucket}/raced", services.s3_options
    write_deltalake(uri, pa.table({"writer": pa.array([], pa.int64())}), storage_options=options)
    start = threading.Barrier(WRITERS)

    def write(table: DeltaTable, writer: int) -> bool:
        start.wait()
        try:
            row = pa.table({"writer": pa.array([writer], pa.int64())})
            write_deltalake(table, row, mode="append", commit_properties=CommitProperties(max_commit_retries=0))
        except CommitFailedError:
            return False
        return True

    winners = []
    with ThreadPoolExecutor(WRITERS) as pool:
        for _ in range(ROUNDS):
            tables = [DeltaTable(uri, storage_options=options) for _ in range(WRITERS)]
            won = list(pool.map(write, tables, range(WRITERS)))
            assert won.count(True) == 1
            winners.append(won.index(True))
    table = DeltaTable(uri, storage_options=options)
    assert table.version() == ROUNDS
    assert sorted(table.to_pyarrow_table()["writer"].to_pylist()) == sorted(winners)


def test_days_that_are_published_side_by_side_are_all_there(services: Stores, bucket: str) -> None:
    lake = Lake(f"{bucket}/side-by-side", storage_options=tuple(services.s3_options.items()))
    days = [date(2026, 1, number) for number in range(1, 9)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda day: lake.publish("items", [day], items(day, f"of {day}")), days))
    found = lake.reader().read("items")
    assert sorted(zip(found["day"].to_pylist(), found["item_id"].to_pylist(), strict=True)) == [
        (day, f"of {day}") for day in days
    ]

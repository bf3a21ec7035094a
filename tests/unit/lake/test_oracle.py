"""The oracle sees every change of a row, names it, and sees none where there is none."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from benchmarks.oracle import compare, short, write
from recpipe.contract import DAYS, EPISODES, USERS

DAY = date(2026, 1, 2)
MOMENT = datetime(2026, 1, 2, 3, tzinfo=UTC)


def support(weight: float) -> list[dict[str, Any]]:
    return [{"item_id": "i1", "label": 1.0, "weight": weight, "ts": MOMENT}]


def lake(
    home: Path,
    *,
    users: tuple[str, ...] = ("anna", "bert"),
    country: str | None = "DE",
    weight: float = 0.5,
    moment: datetime = MOMENT,
    version: int = 3,
    status: str = "closed",
) -> Path:
    """Write a lake of three tables, the users in the order that is given."""
    rows = {
        USERS: [{"day": DAY, "user_id": user, "registered_at": MOMENT, "country": country} for user in users],
        EPISODES: [
            {"day": DAY, "user_id": user, "cohort": "few", "k": 1, "support": support(weight), "query_texts": []} for user in users
        ],
        DAYS: [
            {
                "day": DAY, "table": "users", "status": status, "table_version": version, "model_version": None,
                "inputs": [{"table": "items", "first_day": DAY, "last_day": DAY, "version": version}],
                "code_version": "1", "run_id": f"run of {moment}", "rows": len(users), "recorded_at": moment,
            }
        ],
    }  # fmt: skip
    for table, own in rows.items():
        data = pa.Table.from_pylist(own, table.schema)
        write_deltalake(str(home / "lake" / table.name), data, partition_by=None if table is DAYS else ["day"])
    return home


def differences(folder: Path, **changed: Any) -> list[str]:
    """Compare a lake with one in which something is changed."""
    write(lake(folder / "one"), folder / "a")
    write(lake(folder / "other", **changed), folder / "b")
    return list(compare(folder / "a", folder / "b"))


def test_order_moments_and_counts_of_commits_are_no_difference(tmp_path: Path) -> None:
    later = datetime(2027, 1, 1, tzinfo=UTC)
    assert differences(tmp_path, users=("bert", "anna"), moment=later, version=9) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"country": "FR"}, f"users of {DAY}, country: 2 of 2 rows differ"),
        ({"country": None}, f"users of {DAY}, country: 2 of 2 rows differ"),
        ({"weight": 0.5 + 2**-24}, f"episodes of {DAY}, support: 2 of 2 rows differ"),
        ({"status": "empty"}, f"days of {DAY}, status: 1 of 1 rows differ"),
        ({"users": ("anna",)}, f"users of {DAY}: 1 rows in the first alone"),
    ],
)
def test_a_change_is_named_with_table_day_and_column(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    found = differences(tmp_path, **changed)
    assert said in found
    assert not [line for line in found if "anna" in line or "bert" in line]


def test_a_column_whose_difference_is_known_is_left_out_and_no_other(tmp_path: Path) -> None:
    write(lake(tmp_path / "one"), tmp_path / "a")
    write(lake(tmp_path / "other", status="empty"), tmp_path / "b")
    write(lake(tmp_path / "third", status="empty", users=("anna",)), tmp_path / "c")
    assert list(compare(tmp_path / "a", tmp_path / "b", ["days.status"])) == []
    assert f"days of {DAY}, rows: 1 of 1 rows differ" in list(compare(tmp_path / "a", tmp_path / "c", ["days.status"]))


def test_a_table_that_is_gone_is_named(tmp_path: Path) -> None:
    write(lake(tmp_path / "one"), tmp_path / "a")
    (tmp_path / "one" / "lake" / "episodes").rename(tmp_path / "episodes")
    write(tmp_path / "one", tmp_path / "b")
    assert list(compare(tmp_path / "a", tmp_path / "b")) == [f"episodes: in {tmp_path / 'a'} alone, 2 rows"]


def test_a_file_of_digests_stands_for_a_dump(tmp_path: Path) -> None:
    import json

    digests = tmp_path / "digests.json"
    digests.write_text(json.dumps(short(write(lake(tmp_path / "one"), tmp_path / "a"))))
    write(lake(tmp_path / "other", weight=0.25), tmp_path / "b")
    assert list(compare(digests, tmp_path / "a")) == []
    found = list(compare(digests, tmp_path / "b"))
    assert f"episodes: 1 of 1 days differ: {DAY}" in found
    assert all(line.startswith("episodes") for line in found)

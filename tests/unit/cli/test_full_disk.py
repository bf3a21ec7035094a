"""A full disk is said in a sentence, with what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recpipe import cli


def write_text() -> None:
    Path("/dev/full").write_text("a row")


def write_parquet() -> None:
    with pa.OSFile("/dev/full", "wb") as file:  # by its path alone, Arrow would remove the device when it fails, if root may
        pq.write_table(pa.table({"rank": range(100_000)}), file)


def write_sqlite() -> None:
    database = sqlite3.connect(":memory:")
    database.execute("PRAGMA max_page_count = 2")
    database.execute("CREATE TABLE vectors (vector BLOB)")
    database.execute("INSERT INTO vectors VALUES (zeroblob(100000))")


@pytest.mark.parametrize("write", [write_text, write_parquet, write_sqlite])
def test_a_full_disk_is_said_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], write: Callable[[], None]
) -> None:
    monkeypatch.setattr(cli, "app", write)
    with pytest.raises(SystemExit, match="1"):
        cli.main()
    said = capsys.readouterr().err
    assert said.startswith("recpipe: There is no space left")
    assert "docs/operations.md" in said

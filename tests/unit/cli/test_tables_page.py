"""docs/tables.md says what the contract says, and what it tells people to run does run."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from recpipe.config.settings import Settings
from recpipe.contract import SCHEMA_VERSION, TABLES

PAGE = (Path(__file__).parents[3] / "docs" / "tables.md").read_text(encoding="utf-8")


def section(name: str) -> str:
    """Return the text below a heading, up to the next one of its level or above."""
    found = re.search(rf"^(#+) {re.escape(name)}\n(.*?)(?=^#{{1,2}} |^### |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"docs/tables.md has no section '{name}'"
    return found.group(2)


def block(name: str, language: str) -> str:
    """Return the one code block of a language below a heading."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", section(name), re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"section '{name}' has {len(found)} blocks of {language}"
    return str(found[0])


@pytest.mark.parametrize("table", TABLES)
def test_every_column_stands_on_the_page_with_type_and_meaning(table: str) -> None:
    lines = re.findall(r"^\| `(\w+)` \| `([^`]+)` \| (always|where known) \| (.+) \|$", section(table), re.MULTILINE)
    schema = TABLES[table].schema
    assert [name for name, *_ in lines] == schema.names
    for name, kind, filled, meaning in lines:
        field = schema.field(name)
        assert kind == str(field.type).replace("item: ", "").replace("element: ", "")
        assert filled == ("where known" if field.nullable else "always")
        assert meaning == (field.metadata or {}).get(b"meaning", meaning.encode()).decode()
    assert f"Key within a day: {', '.join(f'`{name}`' for name in TABLES[table].key)}." in section(table)


@pytest.mark.parametrize("table", TABLES)
def test_the_row_on_the_page_is_a_row_of_the_table(table: str) -> None:
    row = json.loads(block(table, "json"))
    assert list(row) == TABLES[table].columns
    days = {name: date.fromisoformat(row[name]) for name in row if TABLES[table].schema.field(name).type == pa.date32()}
    for name in ("ts", "registered_at", "recorded_at"):
        if name in row:
            days[name] = pd.Timestamp(row[name])
    for entry in row.get("support", ()):
        entry["ts"] = pd.Timestamp(entry["ts"])
    for entry in row.get("inputs", ()):
        entry |= {name: date.fromisoformat(entry[name]) for name in ("first_day", "last_day")}
    assert pa.Table.from_pylist([row | days], schema=TABLES[table].schema).num_rows == 1


def test_the_page_names_the_schema_version() -> None:
    assert f"This is version {SCHEMA_VERSION} " in PAGE


@pytest.mark.parametrize("engine", ["pandas", "DuckDB"])
def test_the_queries_for_pandas_and_duckdb_read_the_newest_complete_lists(
    engine: str, read_only: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(read_only.places.home.parent)
    names: dict[str, object] = {}
    exec(block(engine, "python"), names)  # noqa: S102  # the page's own code is what is tested
    lists = names["lists"]
    assert isinstance(lists, pd.DataFrame)
    found = lists.sort_values(["user_id", "rank"])
    assert list(zip(found["user_id"], found["rank"], found["item_id"], strict=True)) == [
        ("few", 1, "22423"), ("few", 2, "47566"), ("warm", 1, "47566"), ("zero", 1, "85123A"),
    ]  # fmt: skip


@pytest.mark.parametrize("table", TABLES)
def test_the_query_of_each_table_runs(table: str, read_only: Settings) -> None:
    db = duckdb.connect()
    for name in TABLES:
        db.register(name, DeltaTable(f"{read_only.places.lake_root}/{name}").to_pyarrow_dataset())
    query = block(table, "sql").replace("2011-09-08", "2011-09-01")
    assert len(db.sql(query).fetchall()) >= 1


def test_the_query_for_spark_is_python() -> None:
    compile(block("Spark", "python spark"), "spark", "exec")


def test_the_words_on_the_page_name_the_settings_and_their_values() -> None:
    text, fields = " ".join(section("Terms").split()), Settings.fields()
    found = {"lookback_days": "400 days", "last_events": "200 events", "new_user_days": "28 days", "few_items": "10 distinct",
             "horizon_days": "7 days", "metric_k": "(10)"}  # fmt: skip
    for name, said in found.items():
        assert f"RECPIPE_{name.upper()}" in text
        assert said in text
        assert str(fields[name].default) in said


def test_the_page_says_of_every_number_that_may_be_null_why() -> None:
    assert "null for coverage and drift" in section("outcomes")
    assert "model version, for recommendations and outcomes" in section("days")

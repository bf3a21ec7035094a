"""What the demo ends with: three lists, the outcomes, and where to look further."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from recpipe.cli.tables import print_list
from recpipe.config import Settings
from recpipe.consume import read_list
from recpipe.contract import FEW, WARM, ZERO
from recpipe.days import days_between
from recpipe.demo.other_tables import show_other_tables
from recpipe.evaluate import outcome_table
from recpipe.lake import Lake, Reader
from recpipe.local import login
from recpipe.local.home import base_url, mlflow_url


def show_results(settings: Settings, console: Console, lists_day: date, evaluated: tuple[date, date]) -> None:
    """Print the lists of three users, the outcomes of some days, and where the tables and pages are."""
    reader = Lake.from_settings(settings).reader()
    for user in three_users(reader, lists_day):
        print_list(read_list(settings, user, lists_day), most=10)
        console.print()
    show_other_tables(reader, console, lists_day)
    say_what_serves(settings, console)
    console.print(outcome_table(settings, list(days_between(*evaluated))), highlight=False)
    console.print()
    _say_where(settings, console)


def say_what_serves(settings: Settings, console: Console) -> None:
    """Print the registered versions, and what the gate decided about each."""
    from recpipe.registry import overview

    for version in overview(settings):
        serves = "promoted" if version["promoted_on"] else "not promoted"
        console.print(f"Version {version['version']} ({version['learner']}) is {serves}. {version['reason']}", highlight=False)
    console.print()


def three_users(reader: Reader, day: date) -> list[str]:
    """Return a user without events, one with a few, and a long-known one: of each cohort the newest, fullest, first by id."""
    rows = reader.read("recommendations", day, day, ["user_id", "cohort", "reason"])
    # a lapsed user is long known too, but there is nothing to show of one
    rows = rows.filter((pc.field("cohort") != WARM) | (pc.field("reason", "kind") == "support")).drop_columns("reason")
    cohorts = rows.group_by(["user_id", "cohort"]).aggregate([]).sort_by("user_id")
    registered = reader.as_of("users", day).select(["user_id", "registered_at"])
    k = reader.read("episodes", day, day, ["user_id", "k"])
    known = cohorts.join(registered, "user_id").join(k, "user_id")
    orders: dict[str, list[tuple[str, str]]] = {
        ZERO: [("registered_at", "descending")],
        FEW: [("k", "descending"), ("registered_at", "descending")],
        WARM: [("registered_at", "ascending")],
    }
    picked = [_first(known, cohort, order) for cohort, order in orders.items()]
    return [user for user in picked if user is not None]


def _first(known: pa.Table, cohort: str, order: list[tuple[str, str]]) -> str | None:
    mine = known.filter(pc.field("cohort") == cohort).sort_by([*order, ("user_id", "ascending")])
    return str(mine["user_id"][0]) if mine.num_rows else None


def _say_where(settings: Settings, console: Console) -> None:
    table = Path(Lake.from_settings(settings).uri("recommendations")).resolve()
    user, password = login(settings)
    lines = [
        "[bold]The tables[/] are Delta tables; recpipe tables lists them, docs/tables.md is their contract.",
        f"  pandas   deltalake.DeltaTable('{table}').to_pandas(filters=[('day', '=', datetime.date(2011, 9, 3))])",
        f"  DuckDB   t = deltalake.DeltaTable('{table}').to_pyarrow_dataset(filesystem=pyarrow.fs.SubTreeFileSystem('{table}', "
        "pyarrow.fs.LocalFileSystem())); duckdb.sql('from t limit 5')",
        f"  Spark    spark.read.format('delta').load('{table}').where(\"day = '2011-09-03'\")",
        "[bold]The pages[/]",
        f"  Airflow  {base_url(settings)}  (login {user} / {password})",
        f"  recpipe  {base_url(settings)}/recpipe/  (a user's list, freshness, quality, quarantine; the same login)",
        f"  MLflow   {mlflow_url(settings)}",
        f"  reports  {settings.reports.resolve()}",
        "make down stops the services, make up starts them again.",
    ]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)

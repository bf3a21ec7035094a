"""The results of the demo: newcomers, a newcomer's first items, lists, outcomes, and further pages."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from recpipe.config.settings import Settings
from recpipe.contract import FEW, WARM, ZERO
from recpipe.days import days_between
from recpipe.demo.first_items import show_first_items
from recpipe.demo.other_tables import show_other_tables
from recpipe.demo.what_serves import ratio_sentences, what_serves, which_encoder
from recpipe.evaluation.outcome_text import outcome_table, replay_table
from recpipe.lake.lake import Lake
from recpipe.lake.reader import Reader
from recpipe.local.home import base_url, login, mlflow_url
from recpipe.printable import cell, readable
from recpipe.readers.lists import read_list
from recpipe.readers.outcome_curves import read_replay
from recpipe.readers.printed_lists import print_list


def show_results(settings: Settings, console: Console, replayed: date, lists_day: date, evaluated: tuple[date, date]) -> None:
    """Print how newcomers are served, the lists of four users, the outcomes of some days, and where the tables and pages are."""
    reader = Lake.from_settings(settings).reader()
    show_newcomers(settings, console, replayed)
    show_first_items(settings, console, reader, lists_day)
    for user in three_users(reader, lists_day):
        print_list(read_list(settings, user, lists_day), most=10)
        console.print()
    show_other_tables(reader, console, lists_day)
    console.print(
        readable(outcome_table(settings, list(days_between(*evaluated)))), highlight=False, markup=False, soft_wrap=True
    )
    console.print()
    _say_where(settings, console)


def show_newcomers(settings: Settings, console: Console, day: date) -> None:
    """Print the replay of a day, where its picture is, and what serves and why."""
    found = read_replay(settings)
    if found is None or found.day != day:
        return
    k, page = settings.evaluation.metric_k, settings.places.reports / f"replay-{day}.html"
    console.print(
        f"[bold]How well is a newcomer served?[/] nDCG@{k} by how many of the first items are known, 95 % interval over persons: everybody who "
        f"registered after {found.trained_until}, served by a model of the days up to then, on what they met in the {found.horizon_days} "
        f"days after, up to {day}.",
        highlight=False,
    )
    console.print(readable(replay_table(settings, day)), highlight=False, markup=False, soft_wrap=True)
    for sentence in ratio_sentences(found):
        console.print(cell(sentence), highlight=False)
    console.print(
        f"The picture: {page.with_suffix('.png').resolve()}\nThe page:    {page.resolve()}", highlight=False, soft_wrap=True
    )
    console.print()
    console.print(cell(what_serves(settings, found)), highlight=False)
    console.print(cell(which_encoder(settings)), highlight=False)
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
        f"  MLflow   {mlflow_url(settings.local)}",
        f"  reports  {settings.places.reports.resolve()}",
        "make down stops the services, make up starts them again.",
    ]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)

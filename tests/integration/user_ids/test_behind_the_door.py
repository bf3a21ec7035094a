"""Ids and mails planted in every place of a delivery, and a search of every byte that recpipe writes of them.

The DAGs run in one process; with ``RECPIPE_TEST_DOOR=services`` a scheduler runs them (`make test-services`).
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from recpipe.config.settings import Settings, load_settings
from recpipe.days import days_between
from recpipe.errors import AuditFailed
from recpipe.local.home import airflow_environment, write_home
from recpipe.local.services import down, up

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("services"), pytest.mark.timeout(900)]

KEY = "5e" * 31 + "07"
NAMES, NUMBERS, MAILS = "Kunde-7f3a9c", "9876501234", "geheim.example"
NEEDLES = [NAMES, NUMBERS, MAILS]
"""What every planted id begins with, or every planted address ends with."""
USERS = [f"{NAMES}{n:02d}" if n % 2 else f"{NUMBERS}{n:02d}" for n in range(80)]
ITEMS = [f"{20000 + n}" for n in range(40)]
WORDS = ["red", "blue", "green", "lantern", "candle", "mug", "heart", "holder", "paper", "bag", "metal", "sign", "glass", "jar"]
FIRST, LAST = date(2026, 1, 1), date(2026, 2, 22)
NIGHT, AFTER, BROKEN, HEADERLESS, TOO_BAD, AUDITED = (LAST + timedelta(days=n) for n in range(1, 7))
WEEK = (LAST - timedelta(days=6), LAST)
LATER = (("recommend_nightly", NIGHT, NIGHT), ("evaluate_recommendations", AFTER, AFTER))
TASKS = (
    "user_profiles", "campaign_audiences", "cart_recommendations", "complements", "search_recommendations", "review_insights",
    "item_digests", "item_classes",
)  # fmt: skip


COMMANDS = "import sys; from recpipe.cli import app; [app(line.split(), standalone_mode=False) for line in sys.argv[1:]]"
"""Several commands of recpipe in one process."""
RUNS = """
import json, sys
from datetime import datetime, timedelta, timezone
from recpipe.airflow.backfill.database_setup import prepare
prepare(1)
from airflow.configuration import conf
from airflow.dag_processing.dagbag import DagBag
dags = DagBag(conf.get("core", "dags_folder")).dags
for place, (dag, day) in enumerate(json.loads(sys.argv[1])):
    when = datetime(2026, 3, 1, tzinfo=timezone.utc) + timedelta(hours=place)
    print("RUN", dag, day, str(dags[dag].test(logical_date=when, run_conf={"day": day}).state.value), flush=True)
"""
"""Runs of DAGs for a day each, in one process."""


# --- the delivery -------------------------------------------------------------------------------------------------


def mail(n: int) -> str:
    return f"anna.{n}@post.{MAILS}"


def drop(landing: Path, table: str, day: date, rows: list[dict[str, Any]] | None, name: str = "part-0") -> None:
    folder = landing / table / f"day={day}"
    folder.mkdir(parents=True, exist_ok=True)
    if rows:
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")
    (folder / "_SUCCESS").touch()


def event(n: int, day: date, number: int, **more: Any) -> dict[str, Any]:
    """Return an event whose every id and free column names its user."""
    who = USERS[n % len(USERS)]
    row = {
        "event_id": f"{who}-{day}-{number}", "user_id": who, "item_id": ITEMS[(n * 7 + number) % len(ITEMS)],
        "event_type": ("view", "purchase", "cart")[number % 3], "ts": datetime(day.year, day.month, day.day, 9 + number % 9),
        "session_id": f"{who}/{day}", "order_id": f"{mail(n)}-{number}", "query": None, "text": None, "rating": None,
        "price": 2.5 + number, "quantity": 1 + number % 3, "platform": "web",
    }  # fmt: skip
    return {**row, **more}


def ordinary(day: date, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return a day of events; each third is a search, a review, or one that stands in the wrong column."""
    rows = []
    for number, n in enumerate(rng.integers(0, len(USERS), 60).tolist()):
        who, said = USERS[n], " ".join(rng.choice(WORDS, 3))
        more: dict[str, Any] = {}
        if number % 6 == 0:
            query = f"{said} for {who} {mail(n)}" if number % 4 else f"{said}"
            more = {"event_type": "search", "item_id": None, "query": query}
        elif number % 6 == 1:
            more = {"event_type": "review", "text": f"I am {who.upper()}; write to <{mail(n)}>. A good {said}.", "rating": 5.0}
        elif number % 6 == 2:
            more = {"platform": who if number % 4 else mail(n)}
        rows.append(event(n, day, number, **more))
    return rows


def amiss(day: date) -> list[dict[str, Any]]:
    """Return rows that are quarantined, each with an id or a mail where none belongs."""
    numbered, named = (n for n in (2, 3))
    who = USERS[numbered]
    return [
        event(named, day, 100, event_type=USERS[named]),
        event(named, day, 101, event_type=mail(named)),
        event(named, day, 102, user_id="view", event_type=USERS[named], platform=mail(named)),
        event(named, day, 103, item_id=USERS[named]),
        event(named, day, 104, item_id=mail(named)),
        event(numbered, day, 105, quantity=int(who)),
        event(numbered, day, 106, price=float(who)),
        event(numbered, day, 107, quantity=-1, platform=who, price=float(who)),
        event(named, day, 108, event_type="wish", session_id=mail(named), query=mail(named), text=USERS[named]),
        event(named, day, 109, ts=datetime(2040, 1, 1), platform=f"app of {USERS[named]}"),
        *[event(named, day, 110)] * 2,
    ]


def accounts(day: date) -> list[dict[str, Any]]:
    return [
        {
            "user_id": who, "registered_at": datetime(2025, 12, 1) if n % 8 else datetime(day.year, day.month, day.day),
            "country": ("Spain", "France")[n % 2] if n % 5 else mail(n), "platform": "app" if n % 7 else who,
            "person_id": USERS[n - 1] if n % 10 == 1 else None, "email": mail(n), "note": f"same as {who}, {mail(n)}",
        }
        for n, who in enumerate(USERS)
    ]  # fmt: skip


def catalogue() -> list[dict[str, Any]]:
    rows = [
        {
            "item_id": name, "title": f"{WORDS[n % len(WORDS)]} {WORDS[(n * 3 + 1) % len(WORDS)]} by {mail(n)}",
            "description": f"ask {mail(n)}", "category": ["home", mail(n)] if n % 9 == 0 else ["home", WORDS[n % 5]],
            "brand": mail(n) if n % 4 == 0 else "Acme", "price": 2.0 + n, "user_id": USERS[n], "maker": mail(n),
        }
        for n, name in enumerate(ITEMS)
    ]  # fmt: skip
    return [*rows, {**rows[0], "item_id": None}]


def deliver(landing: Path) -> None:
    """Drop two months of days, and after them four that are refused."""
    rng = np.random.default_rng(7)
    for day in days_between(FIRST, AUDITED):
        drop(landing, "events", day, ordinary(day, rng), name=f"{USERS[1]} {mail(1)}" if day >= LAST else "part-0")
        drop(landing, "users", day, accounts(day) if day in (FIRST, NIGHT) else None)
        drop(landing, "items", day, catalogue() if day == FIRST else None)
    for day in (LAST, NIGHT):
        drop(landing, "events", day, amiss(day), name=f"late {USERS[3]}")
    (landing / "events" / f"day={BROKEN}" / f"{USERS[5]}.parquet").write_bytes(b"PAR1" + ",".join(USERS).encode())
    pq.write_table(pa.table({USERS[0]: [USERS[0]], mail(0): ["x"]}), landing / "events" / f"day={HEADERLESS}" / "b.parquet")
    drop(landing, "events", TOO_BAD, [event(n, TOO_BAD, n, event_type=USERS[n]) for n in range(40)], name=mail(4))


def lists(folder: Path) -> dict[str, str]:
    """Write the shop's files of users, and return the settings that name them."""
    folder.mkdir()
    (folder / "stop.csv").write_text("\n".join(["user_id", *USERS[:4]]))
    answers = [f"old,{who},2026-02-03" for who in USERS[4:30]]
    (folder / "answers.csv").write_text("\n".join(["campaign_id,user_id,day", *answers]))
    (folder / "asked.csv").write_text("\n".join(["user_id", *USERS[:60]]))
    campaigns = [
        {"id": "old", "first_day": "2026-02-01", "last_day": "2026-02-05", "item_ids": ITEMS[:3], "candidates": "asked.csv"},
        {
            "id": "new",
            "first_day": str(NIGHT + timedelta(days=1)),
            "last_day": "2026-03-05",
            "item_ids": ITEMS[:5],
            "suppress": "stop.csv",
        },
    ]
    (folder / "campaigns.jsonl").write_text("\n".join(map(json.dumps, campaigns)))
    (folder / "headless.csv").write_text("\n".join(USERS))
    return {
        "campaigns": str(folder / "campaigns.jsonl"), "campaign_responses": str(folder / "answers.csv"),
        "suppression": str(folder / "stop.csv"),
    }  # fmt: skip


# --- the line -----------------------------------------------------------------------------------------------------


class Home:
    """A home with a key, and what runs commands on it as a person would; their output is kept below the home."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.said = 0

    def run(self, *words: str, **more: str) -> int:
        env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__")}
        env |= {**airflow_environment(self.settings), "RECPIPE_USER_KEY": KEY, **more}
        (self.settings.places.home / "logs").mkdir(parents=True, exist_ok=True)
        self.said += 1
        with (self.settings.places.home / "logs" / f"said-{self.said}.txt").open("w") as said:
            command = [str(Path(sys.executable).with_name(words[0])), *words[1:]]
            return subprocess.run(command, env=env, stdout=said, stderr=subprocess.STDOUT, check=False, timeout=500).returncode

    def said_last(self) -> str:
        return next((self.settings.places.home / "logs").glob(f"said-{self.said}.txt")).read_text()

    def backfill(self, dag: str, first: date, last: date) -> int:
        return self.run("airflow", "dags", "backfill", "-s", str(first), "-e", str(last), dag)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home in which the whole line has run under a key: two months by hand, then runs of the DAGs, refused ones among them."""
    folder = tmp_path_factory.mktemp("door")
    settings = load_settings(
        home=folder / "home", user_key=KEY, first_day=FIRST, airflow_port=free_port(), mlflow_port=free_port(),
        retries=0, dags_paused=False, poll_seconds=0.5, backfill_wait_minutes=0.05, wait_minutes=0.05, train_options=["--steps", "20"],
        max_bad_share=0.3, horizon_days=1, min_users=1, gate_days=2, campaign_min_responses=5, **lists(folder / "shop"),
    )  # fmt: skip
    deliver(settings.places.landing_root)
    home = Home(settings)
    assert home.run("recpipe", "history", "--from", str(FIRST), "--to", str(LAST)) == 0, home.said_last()
    (by_services if os.environ.get("RECPIPE_TEST_DOOR") == "services" else by_dag_test)(home)
    by_hand(home)
    return home


def by_services(home: Home) -> None:
    """Let a scheduler run the DAGs."""
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RECPIPE_USER_KEY", KEY)
            up(home.settings)
        home.backfill("ingest_clickstream", NIGHT, TOO_BAD)
        for dag, first, last in (("train_meta_model", *WEEK), *LATER):
            assert home.backfill(dag, first, last) == 0, home.said_last()
    finally:
        down(home.settings)


def by_dag_test(home: Home) -> None:
    """Run the DAGs in one process, with the key in a connection: Airflow's tasks and its database are real, no service is needed."""
    write_home(home.settings)
    taken = [["ingest_clickstream", str(day)] for day in days_between(NIGHT, TOO_BAD)]
    others = [[dag, str(last)] for dag, _, last in (("train_meta_model", *WEEK), *LATER)]
    connection = {"RECPIPE_USER_KEY": "", "AIRFLOW_CONN_RECPIPE_USER_KEY": json.dumps({"conn_type": "generic", "password": KEY})}
    assert home.run("python", "-c", RUNS, json.dumps([*taken, *others]), **connection) == 0, home.said_last()
    said = home.said_last()
    assert [f"RUN {dag} {day} success" in said for dag, day in [*taken, *others]] == [
        True,
        True,
        False,
        False,
        False,
        True,
        True,
        True,
    ], said


def by_hand(home: Home) -> None:
    """Run what is left of the line as commands, and a day whose audit fails."""
    from recpipe.tables.ingest.day_commit import publish_day
    from recpipe.tables.ingest.stage import stage_day
    from recpipe.tables.ingest.staged import FACTS, write_facts

    tasks = [f"task {name} --day {NIGHT}" for name in TASKS]
    asked = [f"show {USERS[7]}", f"profile {USERS[6]}", "days", "env", "stale"]
    assert home.run("python", "-c", COMMANDS, *tasks, *asked) == 0, home.said_last()
    headless = str(home.settings.places.home.parent / "shop" / "headless.csv")
    assert home.run("recpipe", "task", "campaign_audiences", "--day", str(NIGHT), RECPIPE_SUPPRESSION=headless) == 2
    staged = stage_day(home.settings, AUDITED)
    file = next((Path(staged) / "events").glob("*.parquet"))
    rows = pq.read_table(file)
    below = pc.negate(rows["price"])
    pq.write_table(rows.set_column(rows.schema.get_field_index("price"), rows.schema.field("price"), below), file)
    facts = json.loads((Path(staged) / FACTS).read_text())
    write_facts(Path(staged), facts["days"], facts["items_read"], facts["read"])  # as if it had been staged so
    with pytest.raises(AuditFailed):
        publish_day(home.settings, AUDITED, staged)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- what must hold -----------------------------------------------------------------------------------------------


def test_nothing_planted_stands_behind_the_door(home: Home, find_bytes: Callable[..., list[str]]) -> None:
    assert find_bytes(home.settings.places.home, NEEDLES) == []


def test_the_key_stands_nowhere(home: Home, find_bytes: Callable[..., list[str]]) -> None:
    assert find_bytes(home.settings.places.home, [KEY]) == []
    assert KEY not in repr(home.settings) + str(home.settings.model_dump())

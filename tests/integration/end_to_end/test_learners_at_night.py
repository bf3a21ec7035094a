"""Every learner on the whole line: setting, training DAG, registry, gate, night, reasons, and the backfill of an older day."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest
from small_shop import Shop, event, item, open_shop, user

from recpipe.config.model_settings import LEARNERS
from recpipe.contract import REASON_KINDS, TABLES
from recpipe.days import days_between
from recpipe.lake.day_record import DayRecord
from recpipe.local.home import airflow_environment, write_home
from recpipe.promotion.decision import DECISION
from recpipe.registry.store import client
from recpipe.training.networks import PLACES

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("learners"), pytest.mark.timeout(900)]

HERE = Path(__file__).parent
NAMES = get_args(LEARNERS)
FIRST, WEEKS, GATE_DAYS, TOP_K = date(2026, 1, 5), 6, 7, 4
COLOURS, KINDS, USERS = ("red", "blue", "green", "gold"), 8, 40
TRAINED = {name: FIRST + timedelta(days=7 * WEEKS + place) for place, name in enumerate(NAMES)}
"""Last day of each learner's training: one day after the other, so that each serves the one night after its own."""
LAST = max(TRAINED.values()) + timedelta(days=1)
COURSE = {"steps": 4, "warmup_steps": 1, "batch_users": 16, "width": 4, "cutoffs": 2, "evaluate_every": 2}


def bought(person: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return a person's purchases: of one colour mostly, one thing every five days."""
    days = (LAST - FIRST).days + 1
    when = np.arange(int(rng.integers(5)), days, 5)
    colour = np.where(rng.random(len(when)) < 0.8, person % len(COLOURS), rng.integers(len(COLOURS), size=len(when)))
    found = [f"{COLOURS[c]}{n}" for c, n in zip(colour, rng.integers(KINDS, size=len(when)), strict=True)]
    days_of = [str(FIRST + timedelta(days=int(day))) for day in when]
    return [
        event(f"u{person:02d}", i, "purchase", f"{day} {9 + person % 9:02d}:00") for i, day in zip(found, days_of, strict=True)
    ]


def fill(shop: Shop) -> None:
    """Publish two months, one commit a table: people who buy one colour, and one who comes on each of the nights."""
    rng = np.random.default_rng(5)
    events = [row for person in range(USERS) for row in bought(person, rng)]
    goods = [
        item(f"{colour}{n}", f"{colour} cup", available=(colour, n) != ("red", 0)) for colour in COLOURS for n in range(KINDS)
    ]
    people = [user(f"u{person:02d}", f"{FIRST} 00:00") for person in range(USERS)]
    come = [user(f"new-{day}", f"{day} 00:00") for day in days_between(min(TRAINED.values()) + timedelta(days=1), LAST)]
    dated = {
        "items": [{**row, "day": FIRST} for row in goods],
        "users": [{**row, "day": row["registered_at"].date()} for row in [*people, *come]],
        "events": [{**row, "day": row["ts"].date()} for row in events],
    }
    for name, rows in dated.items():
        schema = TABLES[name].schema
        full = [{column: row.get(column) for column in schema.names} for row in rows]
        shop.lake.publish(name, list(days_between(FIRST, LAST)), pa.Table.from_pylist(full, schema=schema))
    shop.know(*{row["title"] for row in goods})


@dataclass
class Line:
    """The home after all trainings and nights, and after the nights were run again."""

    shop: Shop
    said: dict[str, dict[str, Any]]

    def runs(self, day: date) -> list[DayRecord]:
        """Return what the register says of a night: of the first run, and of the backfill."""
        return self.shop.lake.history("recommendations", day)

    def lists(self, run: DayRecord) -> pa.Table:
        """Return the lists as a run published them, in the order of their key."""
        found = self.shop.lake.reader({"recommendations": run.table_version}).read("recommendations", run.day, run.day)
        return found.sort_by([("user_id", "ascending"), ("rank", "ascending")])


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """Each learner is trained by the DAG and serves a night; when all are there, the DAG runs all nights again."""
    folder = tmp_path_factory.mktemp("learners")
    (folder / "course.json").write_text(json.dumps(COURSE))
    (folder / "dags").mkdir()
    for name in ("train_meta_model", "recommend_nightly"):
        shutil.copy(HERE.parents[2] / "dags" / f"{name}.py", folder / "dags")
    shop = open_shop(
        folder / "home", dags_folder=str(folder / "dags"), train_options=["--settings", str(folder / "course.json"), "--device", "cpu"],
        first_day=FIRST, gate_days=GATE_DAYS, promotion_margin=-2.0, min_users=5, bootstrap_draws=100, top_k=TOP_K, shards=1, retries=0,
    )  # fmt: skip
    fill(shop)
    write_home(shop.settings)
    courses = json.dumps([[name, str(day)] for name, day in TRAINED.items()])
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__")}
    done = subprocess.run(
        [sys.executable, str(HERE / "train_and_serve.py"), courses], env={**env, **airflow_environment(shop.settings)},
        capture_output=True, text=True, check=False, timeout=800,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-4000:]}"
    found = [json.loads(text) for text in done.stdout.splitlines() if text.startswith('{"learner"')]
    return Line(shop, {row["learner"]: row for row in found})


@pytest.mark.parametrize("name", NAMES)
def test_a_learner_reaches_a_night_and_the_backfill_of_its_day(line: Line, name: str) -> None:
    day = TRAINED[name] + timedelta(days=1)
    assert line.said[name]["state"] == "success"

    # registry and gate
    version = next(v for v in all_of(line) if v.tags["learner"] == name and v.tags["trained_until"] == str(TRAINED[name]))
    decision = json.loads(version.tags[DECISION])
    assert (decision["promoted"], decision["version"], decision["day"]) == (True, str(version.version), str(TRAINED[name]))
    assert decision["users"] >= 5

    # the night, and its reasons
    first, again = line.runs(day)
    night = line.lists(first)
    assert set(night["model_version"].to_pylist()) == {str(version.version)}
    rows = night.to_pylist()
    check_lists(rows, day)
    check_reasons(rows)

    # the backfill, when newer versions are promoted: the version of its day, and the same rows
    assert again.run_id.startswith("backfill")
    assert again.model_version == first.model_version == str(version.version)
    assert line.lists(again).equals(night)


def all_of(line: Line) -> list[Any]:
    return list(client(line.shop.settings).search_model_versions(f"name='{line.shop.settings.promotion.registered_model}'"))


def check_lists(rows: list[dict[str, Any]], day: date) -> None:
    """Everybody, the one who came today included, has a list of the whole length, without what is not on sale."""
    users = {row["user_id"] for row in rows}
    assert f"new-{day}" in users
    assert len(users) == USERS + (day - min(TRAINED.values())).days
    for who in users:
        mine = [row for row in rows if row["user_id"] == who]
        assert [row["rank"] for row in mine] == list(range(1, TOP_K + 1))
        assert len({row["item_id"] for row in mine}) == TOP_K
        assert all(np.isfinite(row["score"]) for row in mine)
    assert "red0" not in {row["item_id"] for row in rows}


def check_reasons(rows: list[dict[str, Any]]) -> None:
    """Kinds of the contract; known people are told of what they bought themselves, newcomers of nobody's."""
    assert {row["reason"]["kind"] for row in rows} <= set(REASON_KINDS)
    for row in rows:
        if row["cohort"] == "zero":
            assert not row["reason"]["because_item_ids"]
    told = [row for row in rows if row["reason"]["because_item_ids"]]
    assert len(told) > len(rows) / 4


def test_every_learner_that_can_be_trained_is_a_setting() -> None:
    assert set(NAMES) == set(PLACES)

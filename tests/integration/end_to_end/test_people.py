"""People at work with a running Airflow: one is asked before a promotion, one is told that lists are late, and links can be followed."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from recpipe.config.settings import Settings
from recpipe.lake.lake import Lake
from recpipe.local.home import base_url, login, process_environment

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("services"), pytest.mark.timeout(600)]

WEEK_END = date(2011, 8, 21)
APPROVE = "/api/v2/dags/train_and_ask/dagRuns/asked"

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def call(services: Settings) -> Call:
    """Ask Airflow's API as the person who logs in; ``bytes`` of a page, or what its JSON says."""
    user, password = login(services)

    def ask(method: str, path: str, body: object = None, token: str = "") -> Any:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        url = path if path.startswith("http") else base_url(services) + path
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310  # of this machine
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            said = answer.read()
        return json.loads(said) if "json" in answer.headers["Content-Type"] else said

    token = ask("POST", "/auth/token", {"username": user, "password": password})["access_token"]
    return lambda method, path, body=None: ask(method, path, body, token)


@pytest.fixture(scope="module")
def history(services: Settings) -> Settings:
    """The home that runs, with the weeks before the candidate taken in, if the tests of nights have not done so before."""
    from recpipe.demo.shop import land
    from recpipe.tables.ingest.days_in import ingest_history

    if Lake.from_settings(services).day("events", WEEK_END) is None:
        land(services.places.landing_root, date(2011, 7, 1), WEEK_END)
        ingest_history(services, date(2011, 7, 1), WEEK_END)
    return services


def wait_until(what: Callable[[], bool], seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.5)


def states(call: Call) -> dict[str, str]:
    return {task["task_id"]: task["state"] for task in call("GET", f"{APPROVE}/taskInstances")["task_instances"]}


def answer(call: Call, option: str) -> None:
    wait_until(lambda: states(call)["approve"] == "awaiting_input")
    # As a person does, who reads first. Airflow's supervisor may take five seconds to note that the task has paused; one that is
    # answered before counts as lost ("finished with state success, but the task instance's state attribute is queued"), and asks again.
    time.sleep(8)
    call("PATCH", f"{APPROVE}/taskInstances/approve/-1/hitlDetails", {"chosen_options": [option], "params_input": {}})
    # the whole run: `approve` skips `promote` before it has ended itself, and a task that runs cannot be cleared to ask again
    wait_until(lambda: call("GET", APPROVE)["state"] in ("success", "failed"))


def test_a_person_rejects_and_approves_a_promotion(history: Settings, call: Call, receiver: Any) -> None:
    from recpipe.registry.versions import overview

    call("POST", "/api/v2/dags/train_and_ask/dagRuns",
         {"dag_run_id": "asked", "logical_date": None, "conf": {"day": str(WEEK_END)}})  # fmt: skip
    notice = receiver.wait_for("waits", 240)
    assert notice["day"] == str(WEEK_END)
    assert notice["link"].endswith("/dags/train_and_ask/runs/asked/tasks/approve/required_actions")
    asked = call("GET", f"{APPROVE}/taskInstances/approve/-1/hitlDetails")
    version = str(call("GET", f"{APPROVE}/taskInstances/register/xcomEntries/return_value")["value"]).strip('"')
    assert asked["subject"] == f"Promote version {version} of the recommender?"
    picture = asked["body"].partition("](")[2].partition(")")[0]
    assert call("GET", picture).startswith(b"\x89PNG")

    def promoted() -> bool:
        return bool(next(row for row in overview(history) if row["version"] == version)["promoted_on"])

    answer(call, "Reject")
    assert (states(call)["promote"], promoted()) == ("skipped", False)
    again = {"task_ids": ["approve", "promote"], "dag_run_id": "asked", "dry_run": False, "only_failed": False}
    call("POST", "/api/v2/dags/train_and_ask/clearTaskInstances", again)
    answer(call, "Approve")
    assert (states(call)["promote"], promoted()) == ("success", True)


def test_links_of_the_run_lead_to_pages(history: Settings, call: Call) -> None:
    """After the question was answered: what trained, registered and was promoted."""
    followed = []
    for task in ("train", "register", "promote"):
        found = call("GET", f"{APPROVE}/taskInstances/{task}/links?map_index=-1")["extra_links"]
        assert set(found) == {"Model version", "MLflow run"}
        for address in found.values():
            call("GET", address)  # it is answered, after it was sent on to MLflow
            followed.append(address)
    assert len(followed) == 6


def test_late_lists_are_told_of_and_those_of_a_backfill_are_not(services: Settings, call: Call, receiver: Any) -> None:
    call("PATCH", "/api/v2/dags/always_late", {"is_paused": False})
    notice = receiver.wait_for("late")
    yesterday = datetime.now(services.shop.zone).date() - timedelta(days=1)
    assert notice["day"] in (str(yesterday), str(yesterday - timedelta(days=1)))  # midnight may pass
    assert notice["what"].startswith(f"always_late of {notice['day']} was not done")
    earlier = str(yesterday - timedelta(days=3))
    command = [str(Path(sys.executable).with_name("airflow")), "dags", "backfill", "-s", earlier, "-e", earlier, "always_late"]
    subprocess.run(command, env=process_environment(services), check=True, capture_output=True, timeout=300)
    wait_until(lambda: called_back(services) == 2)
    assert [one["day"] for one in receiver.notices if one["kind"] == "late"] == [notice["day"]]


def called_back(settings: Settings) -> int:
    """Return how many deadlines the triggerer has been called for, and is done with."""
    home = settings.places.home / "airflow" / "airflow.db"
    with sqlite3.connect(f"file:{quote(str(home))}?mode=ro", uri=True) as database:
        query = (
            "select count(*) from deadline join callback on callback.id = deadline.callback_id where callback.state = 'success'"
        )
        return int(database.execute(query).fetchone()[0])

"""docs/adding-a-task.md: its code blocks make a task that runs on the rails."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from small_shop import Shop, event, item, open_shop, user
from typer.testing import CliRunner

from recpipe.contract import TABLES
from recpipe.errors import AuditFailed, BadSetting, MissingDay, RecpipeError
from recpipe.pipeline.plan import plan_day
from recpipe.pipeline.publish import publish_day, run_day
from recpipe.pipeline.shards import stage_shard
from recpipe.pipeline.task_outcomes import measure_task, measured_rows
from recpipe.tables.families import TASKS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "adding-a-task.md").read_text(encoding="utf-8")
DAY = date(2026, 3, 2)


@pytest.fixture
def page() -> Iterator[dict[str, Any]]:
    """Names of the page's blocks; the contract and the registry are as before afterwards."""
    before = [dict(TABLES), dict(TASKS)]
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        exec(block, names)  # noqa: S102  # the page's own code is what is tested
    yield names
    for known, old in zip((TABLES, TASKS), before, strict=True):
        known.clear()
        known.update(old)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Two days: a sells twice, then once; b sells once."""
    shop = open_shop(tmp_path / "home", horizon_days=1)
    bought = [event(f"u{n}", name, "purchase", f"2026-03-01 1{n}:00") for n, name in enumerate("aab")]
    shop.deliver(
        "2026-03-01", items=(item("a", "red"), item("b", "blue")), users=(user("u0", "2026-03-01 00:00"),), events=(*bought,)
    )
    later = event("u0", "a", "purchase", "2026-03-02 10:00"), event("u0", "b", "view", "2026-03-02 10:00")
    shop.deliver("2026-03-02", events=later)
    return shop


def rows(shop: Shop, day: date = DAY) -> list[tuple[str, int]]:
    found = shop.lake.reader().read("item_sales", day, day).sort_by("item_id").to_pylist()
    return [(row["item_id"], row["purchases"]) for row in found]


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_the_task_of_the_page_writes_its_table(page, shop, shards):
    done = run_day(shop.settings, page["SALES"], DAY, shards=shards)
    assert done == {"task": "item_sales", "day": "2026-03-02", "model_version": "count-1", "rows": 2}
    assert rows(shop) == [("a", 3), ("b", 1)]
    record = shop.lake.day("item_sales", DAY)
    assert (record.model_version, record.rows, [entry.table for entry in record.inputs]) == ("count-1", 2, ["events"])


def test_its_steps_are_those_of_its_dag(page, shop):
    task = page["SALES"]
    plan = plan_day(shop.settings, task, DAY)
    assert (plan.shards, set(plan.versions)) == (shop.settings.lists.shards, {"days", "events"})
    files = [stage_shard(shop.settings, task, plan, shard) for shard in range(plan.shards)]
    assert publish_day(shop.settings, task, plan, files[::-1]) == 2
    with pytest.raises(RecpipeError, match="each once, but was given"):
        publish_day(shop.settings, task, plan, files[:1])
    with pytest.raises(RecpipeError, match="another plan"):
        publish_day(shop.settings, task, replace(plan, model_version="count-2"), files)
    with pytest.raises(RecpipeError, match="there is no shard 2"):
        stage_shard(shop.settings, task, plan, 2)


def test_a_plan_sees_the_tables_as_they_were(page, shop):
    plan = plan_day(shop.settings, page["SALES"], DAY)
    shop.deliver("2026-03-02", events=(event("u0", "b", "purchase", "2026-03-02 10:00"),))
    files = [stage_shard(shop.settings, page["SALES"], plan, shard) for shard in range(plan.shards)]
    publish_day(shop.settings, page["SALES"], plan, files)
    assert rows(shop) == [("a", 3), ("b", 1)]


def test_a_day_that_is_amiss_is_not_published(page, shop):
    from dataclasses import replace

    task = page["SALES"]

    def none_bought(state, shard, shards):
        return page["make"]((state[0], dict.fromkeys(state[1], 0)), shard, shards)

    run_day(shop.settings, task, DAY)
    with pytest.raises(AuditFailed, match="nobody bought"):
        run_day(shop.settings, replace(task, build=none_bought), DAY)
    assert rows(shop) == [("a", 3), ("b", 1)]


def test_another_version_than_planned_is_refused(page, shop):
    from dataclasses import replace

    plan = plan_day(shop.settings, page["SALES"], DAY)
    with pytest.raises(RecpipeError, match="planned with version count-1, but the settings of this machine make version count-2"):
        stage_shard(shop.settings, replace(page["SALES"], version=lambda settings, day: "count-2"), plan, 0)
    with pytest.raises(BadSetting, match="asks no model"):
        plan_day(shop.settings, page["SALES"], DAY, "3")


def test_what_became_of_it_stands_in_the_outcomes(page, shop):
    with pytest.raises(MissingDay):
        measure_task(shop.settings, page["SALES"], shop.lake.reader(), DAY)
    run_day(shop.settings, page["SALES"], date(2026, 3, 1))
    (found,) = measured_rows(shop.settings, [page["SALES"]], shop.lake.reader(), DAY)
    assert found.to_pylist() == [
        {
            "day": DAY, "horizon_days": 1, "cohort": "all", "metric": "still_sold", "value": 1.0, "ci_low": None, "ci_high": None,
            "users": 2, "name": "count-1", "table": "item_sales", "group": None, "window_days": None,
            "nights": None,
        }
    ]  # fmt: skip


def test_the_command_runs_it(page, shop, monkeypatch):
    from recpipe.cli.command import app

    monkeypatch.setenv("RECPIPE_HOME", str(shop.settings.places.home))
    done = CliRunner().invoke(app, ["task", "item_sales", "--day", "2026-03-02"])
    assert "2 rows of item_sales by version count-1" in done.output


def test_the_dag_of_the_page_is_a_dag(monkeypatch):
    (block,) = re.findall(r"^```python dag\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"__doc__": block.split('"""')[1]}
    exec(block.split('"""', 2)[2], names)  # noqa: S102
    dag = names["count_sales"]
    assert dag.dag_id == "count_sales"
    assert sorted(dag.task_ids) == ["make", "plan", "publish", "wait_for_day"]
    assert [asset.name for asset in dag.get_task("publish").outlets] == ["recpipe.item_sales"]
    for task in dag.tasks:
        assert f"`{task.task_id}`" in dag.doc_md
    assert "recpipe.airflow.dag_factory" in sys.modules

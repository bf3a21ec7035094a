"""``airflow dags backfill --local``: one day after another, with neither scheduler nor api-server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def foreground(call: Callable[..., int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """Call the command with --local; the DAG is read from the folder of the tiny ones."""
    from airflow.dag_processing.dagbag import DagBag

    from recpipe.provider import foreground as room

    folder = Path(__file__).parent / "dags"
    monkeypatch.setenv("RECPIPE_HOME", str(tmp_path))
    monkeypatch.setattr(room, "get_bagged_dag", lambda _bundles, dag_id: DagBag(folder).dags[dag_id])
    return lambda *words, **flags: call(*words, local=True, **flags)


def noted(home: Path) -> list[dict[str, Any]]:
    file = home / "noted" / "tiny_foreground" / "runs.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_each_run_works_on_its_own_day(foreground: Callable[..., int], tmp_path: Path) -> None:
    words = ("tiny_foreground", "2011-03-26", "2011-03-28")
    assert foreground(*words) == 0
    assert [line["day"] for line in noted(tmp_path)] == ["2011-03-26", "2011-03-27", "2011-03-28"]
    assert foreground(*words) == 0  # they stand there, and are left alone
    assert len(noted(tmp_path)) == 3
    assert foreground(*words, reset_dagruns=True, run_backwards=True, yes=True) == 0
    assert [line["day"] for line in noted(tmp_path)][3:] == ["2011-03-28", "2011-03-27", "2011-03-26"]


def test_it_stops_at_the_first_day_that_fails(
    foreground: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("tiny_foreground", "2011-04-01", "2011-04-03")
    assert foreground(*words, conf='{"fail_on": "2011-04-02"}') == 1
    assert "FAILED 2011-04-02: note. The days after it were not run." in capsys.readouterr().out
    assert [line["day"] for line in noted(tmp_path)] == ["2011-04-01", "2011-04-02"]

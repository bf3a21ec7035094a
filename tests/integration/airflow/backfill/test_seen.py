"""Which tasks of a run may be skipped: the weekly training where a person is asked before a promotion."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

DAGS = Path(__file__).parents[4] / "dags"
BEFORE = ("wait_for_days", "export", "train", "register", "propose")
MOMENT = datetime(2011, 9, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def training() -> Any:
    """The DAG as the scheduler knows it, with a question to a person in it."""
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECPIPE_APPROVAL_HOURS", "1")
        dag = DagBag(DAGS / "train_meta_model.py").dags["train_meta_model"]
        return DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))


def ended(**states: str) -> list[Any]:
    """Return instances of tasks; those that were skipped have not run."""
    known = {**dict.fromkeys(BEFORE, "success"), **states}
    return [
        SimpleNamespace(task_id=name, state=state, start_date=ran, end_date=ran)
        for name, state in known.items()
        for ran in [None if state == "skipped" else MOMENT]
    ]


@pytest.mark.parametrize(
    ("states", "said"),
    [
        pytest.param({"approve": "success", "promote": "success"}, "", id="a person agreed"),
        pytest.param({"approve": "success", "promote": "skipped"}, "", id="a person refused"),
        pytest.param({"approve": "skipped", "promote": "success"}, "", id="the gate did not open, so nobody was asked"),
        pytest.param(
            {"train": "skipped", "register": "skipped", "propose": "skipped", "approve": "skipped", "promote": "skipped"},
            "approve, promote, propose, register, train skipped without having run",
            id="its time was up",
        ),
        pytest.param({"fetch": "skipped", "promote": "success"}, "", id="a task that the DAG has no more"),
        pytest.param({"train": "failed", "approve": "success", "promote": "success"}, "train failed", id="failed, and gone on"),
    ],
)
def test_a_promotion_may_be_skipped_and_a_training_may_not(training: Any, states: dict[str, str], said: str) -> None:
    from recpipe.airflow.backfill.run_ledger import undone

    assert undone(training, ended(**states)) == said

"""The other DAGs of recpipe with runs under way."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import get_current_context

NOT_OURS = ("__pycache__",)


def others_under_way(own: str) -> int:
    """Return how many runs of the other DAGs beside this one's file are under way.

    Parameters
    ----------
    own
        The DAG that asks, which does not count.
    """
    context = get_current_context()
    folder = Path(context["dag"].fileloc).parent
    names = sorted({path.stem for path in folder.glob("*.py")} - {own, *NOT_OURS})
    return sum(context["ti"].get_dr_count(dag_id=name, states=["running"]) for name in names)

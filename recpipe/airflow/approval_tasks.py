"""The question to a person between the gate and a promotion, as tasks of a DAG."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from airflow.sdk import get_current_context, task

from recpipe.airflow.defaults import run_day
from recpipe.airflow.notifications import TellQuestion
from recpipe.config.settings import Settings


def ask_before(settings: Settings, promoted: Any, registered: Any, *, of_encoder: bool = False) -> None:
    """Set a question to a person before the promotion, where the gate would let the candidate pass.

    Parameters
    ----------
    settings
        ``approval_hours`` is how long an answer is taken.
    promoted, registered
        The task that promotes, and the one that registers and returns the version.
    of_encoder
        Whether the version is one of the registered encoders.
    """
    from airflow.providers.standard.operators.hitl import ApprovalOperator

    @task.branch
    def propose(version: str) -> str:
        """Ask the gate, and go on with the question to a person if it would let the candidate pass."""
        from recpipe.promotion.approval import pictures, question

        with run_day() as (settings, day):
            named, decision = proposal(settings, version, day, of_encoder=of_encoder)
            asked = question(named, decision, pictures(named, version, "encoder" if of_encoder else "version"))
            get_current_context()["ti"].xcom_push("question", asked)
        return "approve" if decision["promoted"] else "promote"

    what = "text encoder" if of_encoder else "recommender"
    approve = ApprovalOperator(
        task_id="approve",
        subject="Promote version {{ ti.xcom_pull('register') }} of the " + what + "?",
        body="{{ ti.xcom_pull('propose', key='question') }}",
        defaults=ApprovalOperator.REJECT,
        response_timeout=timedelta(hours=settings.promotion.approval_hours),
        execution_timeout=None,
        notifiers=TellQuestion(),
    )
    propose(registered) >> [approve, promoted]
    approve >> promoted


def proposal(settings: Settings, version: str, day: Any, *, of_encoder: bool) -> tuple[Settings, dict[str, Any]]:
    """Return settings that name the registered model, and what its gate proposes."""
    if of_encoder:
        from recpipe.promotion.encoder_gate import propose_encoder
        from recpipe.registry.encoder_versions import for_encoders

        return for_encoders(settings), asdict(propose_encoder(settings, version, day))
    from recpipe.promotion.gate import propose

    return settings, asdict(propose(settings, version, day))

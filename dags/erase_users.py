"""### erase_users: a user is forgotten, here and in whatever comes in from now on

**Owner** recommendations. **Runs** by hand, with the parameter `ids`: the tokens that `recpipe erasure-token ID …` prints. Raw ids are
refused, since they would stay in Airflow's database.
**Reads** every table. **Writes** the list `erasures`; takes the users out of every table with a user, out of quotes, searches, quarantine,
scratch, training inputs and the encoder's cache; removes the files and log entries that hold them; `reports/erasures/` says what it did.

**What a late run means.** The shop owes the user an answer, by law within a month. Nothing else waits for it.

**Triage**

- `wait_for_quiet` waits: runs of other DAGs are under way. An erasure takes away the table versions that they were planned with, so it
  lets them end first, and goes on without them after three hours; then the task shows as skipped, and that is no failure.
- `erase` failed on `ids`: an entry is no token; the message says which place it has. Airflow refuses such a run when it is triggered, but
  keeps what was typed in its audit log: if that was a raw id, `airflow db clean --tables log --clean-before-timestamp NOW` takes it out.
- `erase` failed otherwise, or was killed: clear it. It looks for what is left, and ends in the same state. Its users are in the list
  from its first second on, so no day brings them back meanwhile.
- A run of another DAG says that a version "is no longer kept": it was planned before. Run it again from its first task on.
- The report says what was left, and why. Copies that the tables' consumers keep, and the shop's landing files, are theirs to clean.

Step by step: docs/operations.md (an erasure).

**Whom to call.** The owner, in working hours; who answers for privacy in the shop gets the report.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, dag, get_current_context, task

from recpipe.airflow.concurrency import others_under_way
from recpipe.airflow.defaults import default_args, refusals, run_limit, run_settings
from recpipe.config.settings import load_settings
from recpipe.user_ids.tokens import TOKEN

SETTINGS = load_settings()
MOST_USERS = 1000
PATIENCE = 3 * 60 * 60


@dag(
    schedule=None,
    doc_md=__doc__,
    description="Erases users from tables, scratch and caches, and from what comes in later",
    tags=["recpipe", "by-hand", "tier-2"],
    max_active_runs=1,
    **run_limit(),
    params={
        "ids": Param(
            [],
            type="array",
            items={"type": "string", "pattern": TOKEN, "maxLength": 70},
            maxItems=MOST_USERS,
            title="Users to erase",
            description="Tokens that `recpipe erasure-token ID …` prints; raw ids are refused.",
        )
    },
    default_args=default_args(SETTINGS, minutes=180),
)
def erase_users() -> None:
    @task.sensor(mode="reschedule", poke_interval=SETTINGS.run.poll_seconds, timeout=PATIENCE, soft_fail=True)
    def wait_for_quiet() -> bool:
        """Let runs end whose table versions the erasure takes away; after the sensor's timeout it goes on all the same."""
        return others_under_way("erase_users") == 0

    @task(task_id="erase", trigger_rule="none_failed")
    def forget() -> dict[str, Any]:
        """Erase the users whose tokens the run names; returns counts and where the report lies."""
        from recpipe.erasure.erase import erase

        with refusals():
            return erase(run_settings(), get_current_context()["params"]["ids"])

    wait_for_quiet() >> forget()


erase_users()

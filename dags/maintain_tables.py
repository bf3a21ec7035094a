"""### maintain_tables: small tables, and no leftovers

**Owner** recommendations. **Runs** weekly, after Sunday's midnight.
**Reads** the log of every table, the versions in MLflow, the scratch under `work/`. **Writes** no row: it joins small files, removes
files that no version of the last RECPIPE_KEEP_DAYS needs, model versions that nobody used in RECPIPE_KEEP_MODEL_DAYS, and the scratch
of runs that are over since RECPIPE_KEEP_SCRATCH_DAYS. It looks at what is there now, whatever its day: a backfill of it does once what
is to be done, and then nothing.

**What a late run means.** Nothing but disk: tables are read more slowly as small files gather.

**Triage**

- `tidy_tables` failed: its message names the table. Lost to other writers: nothing is broken, clear it when fewer days are being
  published. Killed: clear it, every step is whole or not done.
- `prune_models` failed: MLflow does not answer, or refuses; clear it, what was begun is finished.
- `prune_scratch` failed: a folder cannot be read; its message names it.
- A run says that a version "is no longer kept": it was planned longer than RECPIPE_KEEP_DAYS ago. Run it again from its first task on.
- The disk is full before Sunday: `recpipe maintain --dry-run` says what would go, `recpipe maintain` does it now.

Step by step: docs/operations.md (a full disk).

**Whom to call.** The owner, in working hours; nothing here is urgent.
"""

from __future__ import annotations

from airflow.sdk import dag, task

from recpipe.airflow.defaults import WEEKLY, day_param, default_args, refusals, run_limit, run_settings, schedule
from recpipe.config.settings import load_settings

SETTINGS = load_settings()


@dag(
    **schedule(SETTINGS, WEEKLY, days=7),
    doc_md=__doc__,
    description="Joins small files, removes old versions, unused models and scratch",
    tags=["recpipe", "weekly", "tier-2"],
    max_active_runs=1,
    **run_limit(),
    params={"day": day_param()},
    default_args=default_args(SETTINGS, minutes=120),
)
def maintain_tables() -> None:
    @task
    def tidy_tables() -> str:
        """Join small files and remove those of old versions; returns what was done, in a line."""
        from recpipe.maintenance import maintain

        with refusals():
            return maintain.tidy_tables(run_settings()).finished()

    @task
    def prune_models() -> str:
        """Remove versions that nobody used; returns what was done, in a line."""
        from recpipe.maintenance import maintain

        with refusals():
            return maintain.prune_models(run_settings()).finished()

    @task
    def prune_scratch() -> str:
        """Remove the scratch of runs that are over; returns what was done, in a line."""
        from recpipe.maintenance import maintain

        with refusals():
            return maintain.prune_scratch(run_settings()).finished()

    tidy_tables()
    prune_models()
    prune_scratch()


maintain_tables()

"""### complete_items: what completes each item

**Owner** recommendations. **Runs** daily, after the shop's midnight, for the day that ended.
**Reads** `events` of the last RECPIPE_LOOKBACK_DAYS and `items` as of the end of D. **Writes** `complements` of D.

**What a late run means.** Product pages show the complements of D - 1. No list changes.

**Triage**

- `wait_for_day` failed: D is not published; look at `ingest_clickstream` of D first.
- `plan`, `make` failed: the message says what to do. Killed: clear it, the rows are the same.
- `publish` failed on an expectation: the link Verdict under the task's Details says which; the complements of D - 1 stay.

**Whom to call.** The owner, in working hours.
"""

from __future__ import annotations

from recpipe.airflow.dag_factory import task_dag
from recpipe.config.settings import load_settings

complete_items = task_dag(
    load_settings(),
    "complete_items",
    "complements",
    reads=("events", "items"),
    doc=__doc__,
    description="What completes each item, and does not replace it",
)

"""### complete_carts: what completes each cart that was filled and not bought

**Owner** recommendations. **Runs** daily, after the shop's midnight, for the day that ended.
**Reads** `events` of the last RECPIPE_LOOKBACK_DAYS and `items` as of the end of D; `users` where RECPIPE_KNOWLEDGE has rules by
country or age. **Writes** `cart_recommendations` of D.

**What a late run means.** Reminders of the morning go out without complements. No list changes.

**Triage**

- `wait_for_day` failed: D is not published; look at `ingest_clickstream` of D first.
- `plan`, `make` failed: the message says what to do. Killed: clear it, the rows are the same.
- `publish` failed on an expectation: the link Verdict under the task's Details says which; the carts of D - 1 stay.
- No rows: nobody filled a cart in the last RECPIPE_CART_DAYS that was not bought, or the shop delivers no cart events.

**Whom to call.** The owner, in working hours.
"""

from __future__ import annotations

from recpipe.airflow.dag_factory import task_dag
from recpipe.config.settings import load_settings

complete_carts = task_dag(
    load_settings(),
    "complete_carts",
    "cart_recommendations",
    reads=("events", "items"),
    doc=__doc__,
    description="What completes each cart that was filled and not bought",
)

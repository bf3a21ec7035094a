"""### digest_reviews: what the reviews of each item come to

**Owner** recommendations. **Runs** daily, after the shop's midnight, for the day that ended.
**Reads** `review_insights` of the 56 days that end with D. **Writes** `item_digests` of D.

**What a late run means.** The pages that show digests keep those of D - 1. No list changes.

**Triage**

- `wait_for_day` failed: `review_insights` of D is not published; look at `insight_reviews` of D first.
- `plan`, `make` failed: the message says what to do. Killed: clear it, the rows are the same.
- `publish` failed on an expectation: the link Verdict under the task's Details says which; what was published before stays.
- A trend is missing for all items: `review_insights` of the days before is not there; backfill `insight_reviews`, then this.
- Reviews of an earlier day were corrected, or came in late: `recpipe stale` lists the digests of the 56 days that hold it. Nothing runs
  them by itself; backfill `insight_reviews` first, then this.

**Whom to call.** The owner, in working hours.
"""

from __future__ import annotations

from recpipe.airflow.dag_factory import task_dag
from recpipe.config.settings import load_settings

digest_reviews = task_dag(
    load_settings(),
    "digest_reviews",
    "item_digests",
    reads=("review_insights",),
    waits_for={"review_insights": (0, 0)},
    doc=__doc__,
    description="Counts, ratings, spans and trend of the reviews of every item",
)

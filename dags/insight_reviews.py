"""### insight_reviews: what the reviews of a day say

**Owner** recommendations. **Runs** daily, after the shop's midnight, for the day that ended.
**Reads** `events` (reviews) up to the end of D, and the file of aspects (RECPIPE_REVIEW_ASPECTS). **Writes** `review_insights` of D.

**What a late run means.** The digests of the items wait, and show the reviews of D a day later. No list changes.

**Triage**

- `wait_for_day` failed: `events` of D is not published; look at `ingest_clickstream` of D first.
- `plan` failed on RECPIPE_REVIEW_ASPECTS: the file is not where the setting says.
- `make` failed: a line of the file of aspects is wrong; the message names file and line. "Planned with version": the file was
  changed while the run was under way; clear it from `plan` on. Killed: clear it, the rows are the same.
- `publish` failed on an expectation: the link Verdict under the task's Details says which; what was published before stays.
- Every row of a day is `abstained` without a confidence: the days before D hold no rated reviews of both sides.

**Whom to call.** The owner, in working hours.
"""

from __future__ import annotations

from recpipe.airflow.dag_factory import task_dag
from recpipe.config.settings import load_settings

insight_reviews = task_dag(
    load_settings(),
    "insight_reviews",
    "review_insights",
    reads=("events",),
    doc=__doc__,
    description="Stars, polarity and aspects of every review, with the span that says so",
)

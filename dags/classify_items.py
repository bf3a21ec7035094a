"""### classify_items: a class for every item that was delivered without one

**Owner** recommendations. **Runs** daily, after the shop's midnight, for the day that ended.
**Reads** `items` as of the end of D, and the shop's labels (RECPIPE_LABELS), where there are any. **Writes** `item_classes` of D.

**What a late run means.** Items of D without a category stay without one for a day. No list changes.

**Triage**

- `wait_for_day` failed: D is not published; look at `ingest_clickstream` of D first.
- `plan` failed on RECPIPE_LABELS: the file is not where the setting says.
- `make` failed: a row of the labels is wrong; the message names file and row. "Planned with version": the labels were changed
  while the run was under way; clear it from `plan` on. Killed: clear it, the rows are the same.
- `publish` failed on an expectation: the link Verdict under the task's Details says which; the classes of D - 1 stay.

**Whom to call.** The owner, in working hours.
"""

from __future__ import annotations

from recpipe.airflow.dag_factory import task_dag
from recpipe.config.settings import load_settings

classify_items = task_dag(
    load_settings(),
    "classify_items",
    "item_classes",
    reads=("items",),
    doc=__doc__,
    description="A class for every item that was delivered without one",
)

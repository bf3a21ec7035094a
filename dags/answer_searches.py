"""### answer_searches: the items for every text that was searched

**Owner** recommendations. **Runs** daily, after the shop's midnight, for the day that ended.
**Reads** `events` (searches of D, what was met after those of the four weeks before, what sells), `items` as of the end of D, and the
file of words (RECPIPE_SEARCH_WORDS). **Writes** `search_recommendations` of D.

**What a late run means.** Search pages show the answers of D - 1, and none for texts that are new. No list changes.

**Triage**

- `wait_for_day` failed: D is not published; look at `ingest_clickstream` of D first.
- `plan` failed on RECPIPE_SEARCH_WORDS: the file is not where the setting says.
- `make` failed: a line of the file of words is wrong; the message names file and line. "Planned with version": the file was
  changed while the run was under way; clear it from `plan` on. Killed: clear it, the rows are the same.
- `publish` failed on an expectation: the link Verdict under the task's Details says which; what was published before stays.
- A text has no rows: nothing in the shop answers it, or it may hold an address or a number of a person. The verdict counts
  both (`unanswered_texts`, `withheld_texts`).

**Whom to call.** The owner, in working hours.
"""

from __future__ import annotations

from recpipe.airflow.dag_factory import task_dag
from recpipe.config.settings import load_settings

answer_searches = task_dag(
    load_settings(),
    "answer_searches",
    "search_recommendations",
    reads=("events", "items"),
    doc=__doc__,
    description="The items for every text that was searched, inside the filters that it names",
)

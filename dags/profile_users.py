"""### profile_users: what is characteristic of each user, as tags

**Owner** recommendations. **Runs** daily, after the shop's midnight, for the day that ended.
**Reads** `events` of the RECPIPE_LOOKBACK_DAYS days that end with D, `items` as of the end of D, and, where it is published, `review_insights` of the
days before D. Attributes of users are not read. **Writes** `user_profiles` of D: tags of every user with an event, with weight and evidence.

**What a late run means.** A campaign whose audience is chosen by tags on D + 1 cannot be made: `audience_campaigns` of D + 1 says so. Nobody's list changes.

**Triage**

- `wait_for_day` failed: D is not published; look at `ingest_clickstream` of D first.
- `plan`, `make` failed: the message says what to do. Killed: clear it, the rows are the same. The first night with searches encodes the catalogue, unless
  `recommend_nightly` has: some 300 items a second.
- `publish` failed on an expectation: the link Verdict under the task's Details says which; what was published before stays.

**Whom to call.** The owner, in working hours.
"""

from __future__ import annotations

from recpipe.airflow.dag_factory import task_dag
from recpipe.config.settings import load_settings

profile_users = task_dag(
    load_settings(),
    "profile_users",
    "user_profiles",
    reads=("events", "items"),
    doc=__doc__,
    description="What is characteristic of each user, as tags",
)

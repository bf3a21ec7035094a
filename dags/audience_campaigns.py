"""### audience_campaigns: whom each campaign of the shop should address

**Owner** recommendations. **Runs** daily, after the shop's midnight, for the day that ended.
**Reads** `events`, `items` and `users` as of the end of D, its own earlier days (frequency caps, who was addressed), `user_profiles` of D − 1 where a campaign asks for tags, and the files that
RECPIPE_CAMPAIGNS, RECPIPE_CAMPAIGN_RESPONSES and RECPIPE_SUPPRESSION name. **Writes** `campaign_audiences` of D: the audience of each campaign
whose first day is RECPIPE_CAMPAIGN_LEAD_DAYS after D; on other days none, and the day is empty.

**What a late run means.** A campaign that begins on the next day has no audience yet: hold it back.

**Triage**

- `wait_for_day` failed: D is not published; look at `ingest_clickstream` of D first.
- `plan` failed on RECPIPE_CAMPAIGNS: the message names file and line of what is amiss.
- `make` failed: a list of users or the file of answers is amiss; the message names file and line. `user_profiles` of D − 1 is not published: run `profile_users`
  of that day first. "Planned with version": a file was changed
  while the run was under way; clear it from `plan` on. Killed: clear it, the rows are the same.
- `publish` failed on an expectation: the link Verdict under the task's Details says which; what was published before stays.

Backfills run oldest day first and one day at a time where a cap is set: a day counts what the days before it addressed. A day whose
earlier campaigns are not published is refused ("obey a cap"; the message names the day to run first); `recpipe stale` lists the days
that were made before an earlier one came in.

**Whom to call.** The owner, in working hours; before a campaign begins, at once.
"""

from __future__ import annotations

from recpipe.airflow.dag_factory import task_dag
from recpipe.config.settings import load_settings

audience_campaigns = task_dag(
    load_settings(),
    "audience_campaigns",
    "campaign_audiences",
    reads=("events", "items", "users"),
    doc=__doc__,
    description="Whom each campaign of the shop should address",
)

"""The rails that a task runs on: plan, shards, audit, one commit, and what became of it later.

A task says what one day of its table is made of (`Task`); that it is made as of the day, whole or not at all, by one
version, and the same however it is cut into shards, is said here once.
"""

from recpipe.rails.outcomes import measure_task, measured_rows
from recpipe.rails.plan import Plan, by_hand, day_of, plan_day, sweep
from recpipe.rails.publish import publish_day, publish_rows, run_day
from recpipe.rails.shards import Opened, open_task, read_shards, stage_shard, write_shard
from recpipe.rails.task import Facts, Metric, Task

__all__ = [
    "Facts",
    "Metric",
    "Opened",
    "Plan",
    "Task",
    "by_hand",
    "day_of",
    "measure_task",
    "measured_rows",
    "open_task",
    "plan_day",
    "publish_day",
    "publish_rows",
    "read_shards",
    "run_day",
    "stage_shard",
    "sweep",
    "write_shard",
]

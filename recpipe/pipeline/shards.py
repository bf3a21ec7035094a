"""Staged rows: one file a shard, with a note of what it was made from and what was counted over it."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import pyarrow as pa
import pyarrow.parquet as pq

from recpipe.config.settings import Settings
from recpipe.errors import RecpipeError
from recpipe.faults import told
from recpipe.files import whole_file
from recpipe.lake.day_record import Input
from recpipe.lake.lake import Lake
from recpipe.lake.reader import Reader
from recpipe.pipeline.plan import own_version, run_folder
from recpipe.pipeline.run_plan import RunPlan
from recpipe.pipeline.table import Facts, State, Task
from recpipe.user_ids.keys import has_key

log = logging.getLogger(__name__)

NOTE = b"recpipe"
LOOK_AT_TABLES = (
    "Look at the file that is named: restore it from a backup of the lake, or take the day that it belongs to in again (`recpipe ingest`); "
    "where a service is away (`recpipe doctor`), run this again when it is back."
)


@dataclass(frozen=True)
class Opened(Generic[State]):
    """A task with everything that it read for a plan."""

    settings: Settings
    task: Task[State]
    plan: RunPlan
    state: State
    reader: Reader

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What was read so far, for the register."""
        return tuple(dict.fromkeys(self.reader.inputs))


def open_task(settings: Settings, task: Task[State], plan: RunPlan) -> Opened[State]:
    """Read what a task works on, at the table versions of its plan.

    Raises
    ------
    RecpipeError
        If the settings name another version than the plan does: rows of two versions would stand in one day.
    """
    settings = plan.bound(settings)
    now = "" if task.registered else own_version(settings, task, plan.day, plan.knowledge)
    if now and now != plan.model_version:
        raise RecpipeError(
            f"{task.name} of {plan.day} was planned with version {plan.model_version}, but the settings of this machine "
            f"make version {now}: give every worker the same settings, and run again from the plan on."
        )
    reader = Lake.from_settings(settings).reader(plan.versions)
    tables = ", ".join(f"{table} at version {plan.versions.get(table, 'none')}" for table in task.reads)
    with told(
        f"What {task.name} of {plan.day} is made from ({tables}, in {settings.places.lake_root}) cannot be read",
        LOOK_AT_TABLES,
        keep_back=has_key(settings.privacy),
    ):
        state = task.open(settings, plan, reader)
    return Opened(settings, task, plan, state, reader)


def stage_shard(settings: Settings, task: Task[Any], plan: RunPlan, shard: int) -> str:
    """Make and stage the rows of one shard.

    Parameters
    ----------
    settings
        Rules of the task; ``run_id`` names the folder of the run.
    task, plan
        As `plan_day` made it for the task.
    shard
        0 to ``plan.shards`` − 1.

    Returns
    -------
    str
        The parquet file; it appears whole or not at all, and a rerun replaces it.
    """
    if not 0 <= shard < plan.shards:
        raise RecpipeError(f"{task.name} of {plan.day} has shards 0 to {plan.shards - 1}; there is no shard {shard}.")
    return write_shard(open_task(settings, task, plan), shard)


def write_shard(opened: Opened[Any], shard: int) -> str:
    """Make and stage one shard of an opened task (see `stage_shard`)."""
    task, plan = opened.task, opened.plan
    rows, facts = task.build(opened.state, shard, plan.shards)
    note = {
        "task": task.name,
        **_same_run(plan),
        "shard": shard,
        "inputs": [entry.to_json() for entry in opened.inputs],
        "facts": facts,
    }
    file = run_folder(opened.settings, task, plan) / f"shard-{shard}.parquet"
    what = f"Shard {shard} of {task.name} of {plan.day} could not be written to {file}"
    with (
        told(what, "Look at the folder, then run this again.", keep_back=has_key(opened.settings.privacy)),
        whole_file(file) as part,
    ):
        pq.write_table(rows.replace_schema_metadata({NOTE: json.dumps(note).encode()}), part)
    log.info("%s, shard %d of %d: %d rows staged.", task.name, shard + 1, plan.shards, rows.num_rows)
    return str(file)


def read_shards(task: Task[Any], plan: RunPlan, files: Sequence[str]) -> tuple[pa.Table, list[Facts], tuple[Input, ...]]:
    """Return the rows of a whole day by the table's key, the facts of each shard, and what was read.

    Raises
    ------
    RecpipeError
        If a shard is missing, stands there twice, or comes from another run or task.
    """
    tables, notes = zip(*(_read_shard(task, plan, Path(file)) for file in files), strict=True) if files else ((), ())
    for file, note in zip(files, notes, strict=True):
        if note["task"] != task.name or any(note[name] != value for name, value in _same_run(plan).items()):
            raise RecpipeError(
                f"{Path(file).name} was made for another plan than this one of {task.name} for {plan.day}: make it again."
            )
    found = sorted(note["shard"] for note in notes)
    if found != list(range(plan.shards)):
        raise RecpipeError(
            f"{task.name} of {plan.day} needs shards 0 to {plan.shards - 1}, each once, but was given {found}: make those "
            f"that are missing."
        )
    rows = pa.concat_tables(table.cast(task.table.schema) for table in tables)
    inputs = dict.fromkeys(Input.from_json(entry) for note in notes for entry in note["inputs"])
    return rows.sort_by([(name, "ascending") for name in task.table.key]), [note["facts"] for note in notes], tuple(inputs)


def _read_shard(task: Task[Any], plan: RunPlan, file: Path) -> tuple[pa.Table, dict[str, Any]]:
    """Return the rows of a staged shard and its note; a file that is gone or damaged is named."""
    remedy = "Make this shard again (clear its task), or run the day again; what was published before stays."
    with told(f"The staged shard {file} of {task.name} of {plan.day} cannot be read", remedy):
        table = pq.read_table(file)
        note = json.loads((table.schema.metadata or {}).get(NOTE, b""))
    return table, note


def _same_run(plan: RunPlan) -> dict[str, Any]:
    """Return what all shards of a day have in common."""
    return {
        "day": str(plan.day),
        "model_version": plan.model_version,
        "versions": dict(plan.versions),
        "shards": plan.shards,
        "knowledge": plan.knowledge,
    }

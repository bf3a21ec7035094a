"""The definition of a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Generic, TypeVar

import pyarrow as pa

from recpipe.config.settings import Settings
from recpipe.contract import Table
from recpipe.lake.reader import Reader
from recpipe.pipeline.run_plan import RunPlan
from recpipe.validation.suites import Suite

Facts = dict[str, int]
"""Counts over the rows of a shard, for the suite; those of all shards are added up."""

State = TypeVar("State")


@dataclass(frozen=True)
class Metric:
    """One thing that was measured of the rows of an earlier day.

    Attributes
    ----------
    name
        Such as ``accuracy``.
    value, low, high
        The number and its 95 % interval; None where too few were measured.
    count
        Users, items, … measured.
    group
        Whose: a cohort of the contract, or ``all``.
    by
        Who made the rows that are measured: empty for the task's own version, else the baseline's name.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    count: int
    group: str = "all"
    by: str = ""


@dataclass(frozen=True)
class Task(Generic[State]):
    """What one day of a table is made of. The pipeline does everything else (`recpipe.pipeline`).

    Attributes
    ----------
    table
        The table of the contract that it writes, whose name is the task's name.
    reads
        Tables that it reads, whose day has to be published before; their versions are fixed once a run.
    description
        What it does, as one sentence.
    reads_history
        Tables whose earlier days it reads, its own among them where it does; versions are fixed, but no day has to be there.
    open
        (settings, plan, reader) to whatever the rows are made from. It reads the lake through the reader alone, nothing
        after the plan's day, and is a pure function of what it is given.
    build
        (state, shard, shards) to the rows of one shard, in the table's schema, and their facts. Rows must not depend on
        how many shards there are: `recpipe.pipeline.blocks` helps.
    version
        (settings, day) to the name of what makes the rows beside the tables: a model version, an encoder's fingerprint.
    registered
        Whether that version is one of the model registry. Then the plan holds its ``model_folder``, a run may name another,
        and a day that was published keeps its own.
    suite
        What is expected of a day (`recpipe.validation.suites.whole_suite`); None: the suite that the table has in `quality.suites`.
    uses_rules
        Whether it obeys the shop's files of knowledge: then the plan holds their sha256 where there are any, and a version
        that is none of the registry has it as a part (`recpipe.rules`).
    shards
        How many parts a day is cut into; as set by default.
    measure
        (settings, reader, made_on, day) to what became, by the end of ``day``, of the rows of ``made_on``; None: never measured.
        After ``made_on`` it reads delivered tables alone: those of other tasks may not be there yet.
    """

    table: Table
    reads: tuple[str, ...]
    description: str
    open: Callable[[Settings, RunPlan, Reader], State]
    build: Callable[[State, int, int], tuple[pa.Table, Facts]]
    version: Callable[[Settings, date], str]
    registered: bool = False
    reads_history: tuple[str, ...] = ()
    suite: Callable[[Settings], Suite] | None = None
    uses_rules: bool = False
    shards: Callable[[Settings], int] = lambda settings: settings.lists.shards
    measure: Callable[[Settings, Reader, date, date], Sequence[Metric]] | None = None

    @property
    def name(self) -> str:
        """The task's name: that of its table."""
        return self.table.name

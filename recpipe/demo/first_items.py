"""The effect of a newcomer's first items on the list: one user, served as if nothing, one and two items were known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recpipe.config.settings import Settings
from recpipe.contract import FEW, ZERO
from recpipe.dataset.cohorts import UserDay
from recpipe.dataset.support import Support
from recpipe.lake.lake import Lake
from recpipe.lake.reader import Reader
from recpipe.pipeline.plan import plan_day
from recpipe.readers.lists import reason_text
from recpipe.tables.recommendations.night import Night, open_night, rank_blocks
from recpipe.tables.recommendations.night_shards import LISTS

STEPS = (0, 1, 2)
SHOWN = 5


@dataclass(frozen=True)
class Steps:
    """The lists of one user by how many of the first items are known.

    Attributes
    ----------
    user_id, registered, day
        Who, since when, and the day of the lists.
    items
        Titles of the first items, in the order in which they were met.
    lists
        For each of `STEPS`, rows of ``recommendations``, by rank.
    titles
        Title by item id.
    country
        Of the account, or None.
    """

    user_id: str
    registered: date
    day: date
    items: tuple[str, ...]
    lists: tuple[list[dict[str, Any]], ...]
    titles: dict[str, str]
    country: str | None


def pick_newcomer(reader: Reader, day: date) -> str | None:
    """Return the newest user of the cohort few who has met two items or more: of equally new ones the fewest items, first by id."""
    few = reader.read("episodes", day, day, ["user_id", "cohort", "k"])
    few = few.filter(pc.and_(pc.equal(few["cohort"], FEW), pc.greater_equal(few["k"], max(STEPS))))
    known = few.join(reader.as_of("users", day).select(["user_id", "registered_at"]), "user_id", join_type="inner")
    # newest by the day: who came in the same morning is as new
    known = known.append_column("since", pc.floor_temporal(known["registered_at"], unit="day"))
    known = known.sort_by([("since", "descending"), ("k", "ascending"), ("user_id", "ascending")])
    return str(known["user_id"][0]) if known.num_rows else None


def follow(settings: Settings, day: date, user_id: str) -> Steps:
    """Serve a user of a day with the first 0, 1 and 2 items known: by the night of that day, with nothing else changed.

    Parameters
    ----------
    settings
        Where lake and registry are.
    day
        A day whose lists are published; its night is opened again with the version that made them.
    user_id
        A user who has met two items or more by then.
    """
    plan = plan_day(settings, LISTS, day)
    night = open_night(settings, plan, Lake.from_settings(settings).reader(plan.versions))
    row = int(np.searchsorted(night.users.user_ids, user_id))
    rows = rank_blocks(replace(night, users=_steps_of(night.users, row)), 0, 1)
    lists = tuple(rows.filter(pc.equal(rows["user_id"], _name(step))).sort_by("rank").to_pylist() for step in STEPS)
    return Steps(
        user_id,
        night.users.registered_at[row].astype("datetime64[D]").item(),
        day,
        tuple(_titles(night)[item] for item in _first(night, row)),
        lists,
        _titles(night),
        str(night.users.country[row]) or None,
    )


def _steps_of(users: UserDay, row: int) -> UserDay:
    """Return one user as several, who know the first so many items of the support."""
    own, start = users.support, int(users.support.indptr[row])
    entry = np.concatenate([np.arange(start, start + step) for step in STEPS]).astype(np.int64)
    step = np.repeat(np.arange(len(STEPS)), STEPS)
    ids = np.array([_name(step) for step in STEPS], object)
    same = np.full(len(STEPS), row)
    support = Support(
        np.r_[0, np.cumsum(STEPS)].astype(np.int64), own.item[entry], own.label[entry], own.weight[entry], own.age_days[entry],
        country=None if own.country is None else own.country[same],
    )  # fmt: skip
    return UserDay(
        user_ids=ids,
        person_ids=ids,
        cohort=np.array([FEW if step else ZERO for step in STEPS], object),
        country=users.country[same],
        registered_at=users.registered_at[same],
        support=support,
        support_ts=users.support_ts[entry],
        query_texts=[()] * len(STEPS),
        returns=np.empty((0, 2), np.int32),
        met=_sorted_pairs(step, own.item[entry]),
    )


def _sorted_pairs(row: NDArray[np.integer], item: NDArray[np.int32]) -> NDArray[np.int32]:
    order = np.lexsort((item, row))
    return np.stack([row[order], item[order]], axis=1).astype(np.int32)


def _name(step: int) -> str:
    return f"after {step} items"


def _first(night: Night, row: int) -> list[str]:
    start = int(night.users.support.indptr[row])
    items = night.users.support.item[start : start + max(STEPS)]
    return [str(item) for item in night.known.evidence.catalogue.item_ids[items]]


def _titles(night: Night) -> dict[str, str]:
    catalogue = night.known.evidence.catalogue
    return dict(zip(map(str, catalogue.item_ids), catalogue.texts, strict=True))


def print_steps(console: Console, steps: Steps) -> None:
    """Print the lists side by side, what is new in each marked, and why the first places are what they are."""
    console.print(
        Text(f"How the first items change a list: user {steps.user_id}, registered on {steps.registered}, served on {steps.day}")
    )
    heads = ["nothing known", *(f"then {title}" for title in steps.items)]
    table = Table("")
    for head in heads:
        table.add_column(Text(head))
    before: list[set[str]] = [set(), *({row["item_id"] for row in rows} for rows in steps.lists[:-1])]
    for place in range(SHOWN):
        table.add_row(str(place + 1), *(_cell(steps, rows[place], old) for rows, old in zip(steps.lists, before, strict=True)))
    console.print(table)
    new = [sum(row["item_id"] not in old for row in rows) for rows, old in zip(steps.lists, before, strict=True)][1:]
    length = len(steps.lists[0])
    console.print(
        f"Of {length} places the first item changed {new[0]}, the second {new[1]}; + stands before what is new.", highlight=False
    )


def _cell(steps: Steps, row: dict[str, Any], old: set[str]) -> Text:
    mark = "+ " if old and row["item_id"] not in old else ""
    cell = Text(f"{mark}{steps.titles[row['item_id']]}\n", style="bold" if mark else "")
    return cell.append(reason_text(row["reason"], steps.titles, steps.country), style="not bold dim")


def show_first_items(settings: Settings, console: Console, reader: Reader, day: date) -> None:
    """Print how the first items of the newest user with two of them changed the list; nothing where there is none."""
    user = pick_newcomer(reader, day)
    if user is not None:
        print_steps(console, follow(settings, day, user))
        console.print()

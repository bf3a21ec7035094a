"""The split as the peers read it, a cut before the cutoff to tune on, and the file of lists. Needs numpy and pandas alone."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd

LENGTH = 50
KS = (1, 3, 5, 10)
TUNING_USERS = 600
"""Most rows of each k that a setting is tried on."""
POPULAR_DAYS = 30

Lists = list[list[str]]
Make = Callable[[list[list[str]]], Lists]
"""Supports (item ids, oldest first) to lists of item ids, best first."""


@dataclass(frozen=True)
class Log:
    """What a peer may learn from, and whom it serves.

    Attributes
    ----------
    events
        user_id, item_id, ts in the order of time, before ``cutoff``.
    rows
        k, user_id: the lists that are asked for, in the order of the file.
    supports
        Item ids of each row, oldest first.
    """

    events: pd.DataFrame
    cutoff: pd.Timestamp
    horizon: pd.Timedelta
    window: pd.Timedelta
    rows: pd.DataFrame
    supports: list[list[str]]


@dataclass(frozen=True)
class Tuning:
    """An earlier cut of the log, with what came next.

    Attributes
    ----------
    events
        Before the earlier cut.
    cutoff
        The earlier cut.
    k, supports, wanted, ignored
        One entry a row: size, support, items that came next, and items of the same moment as the last of the support.
    """

    events: pd.DataFrame
    cutoff: pd.Timestamp
    k: list[int]
    supports: list[list[str]]
    wanted: list[set[str]]
    ignored: list[set[str]]


def read_log(folder: Path) -> Log:
    """Read a split folder; its ``truth`` is not opened."""
    meta = pd.read_parquet(folder / "meta.parquet").iloc[0]
    events = pd.read_parquet(folder / "events.parquet", columns=["user_id", "item_id", "ts"])
    users = pd.read_parquet(folder / "users.parquet", columns=["k", "user_id"])
    support = pd.read_parquet(folder / "support.parquet").sort_values("position")
    for table in (events, users, support):
        for column in table.columns.intersection(["user_id", "item_id"]):
            table[column] = table[column].astype(str).astype(object)
    held = support.groupby(["k", "user_id"]).item_id.apply(list).to_dict()
    return Log(
        events=events.sort_values("ts", kind="stable", ignore_index=True),
        cutoff=pd.Timestamp(meta.cutoff),
        horizon=pd.Timedelta(days=int(meta.horizon_days)),
        window=pd.Timedelta(days=int(meta.get("window_days", meta.horizon_days))),
        rows=users,
        supports=[held.get(pair, []) for pair in zip(users.k, users.user_id, strict=True)],
    )


def cut_earlier(log: Log, seed: int = 0) -> Tuning:
    """Cut the log one window before its end, so that settings are tried on users who were new then."""
    window = min(log.horizon, log.window, (log.cutoff - log.events.ts.min()) / 3)
    cutoff = log.cutoff - window
    first = log.events.groupby("user_id").ts.transform("min")
    met = log.events[first >= cutoff].drop_duplicates(["user_id", "item_id"])
    rows: list[tuple[int, list[str], set[str], set[str]]] = []
    for k in KS:
        some = [found for _, person in met.groupby("user_id", sort=True) if (found := _row(person, k, log.horizon))]
        chosen = np.random.default_rng([seed, k]).permutation(len(some))[:TUNING_USERS]
        rows += [(k, *some[row]) for row in sorted(chosen)]
    columns = [[row[column] for row in rows] for column in range(4)]
    return Tuning(log.events[log.events.ts < cutoff], cutoff, *columns)  # type: ignore[arg-type]  # as the rows are


def _row(person: pd.DataFrame, k: int, horizon: pd.Timedelta) -> tuple[list[str], set[str], set[str]] | None:
    """Return a person's first k items, what came later within the horizon, and what came at the very same moment."""
    items, ts = person.item_id.tolist(), person.ts.tolist()
    if len(items) <= k:
        return None
    rest = list(zip(items[k:], ts[k:], strict=True))
    wanted = {item for item, when in rest if ts[k - 1] < when <= ts[k - 1] + horizon}
    return (items[:k], wanted, {item for item, when in rest if when <= ts[k - 1]}) if wanted else None


def quality(tuning: Tuning, lists: Lists) -> float:
    """Return nDCG at 10, the mean over k of the means over rows."""
    held: dict[int, list[float]] = {}
    for k, found, wanted, ignored in zip(tuning.k, lists, tuning.wanted, tuning.ignored, strict=True):
        held.setdefault(k, []).append(ndcg([item for item in found if item not in ignored][:10], wanted))
    return float(np.mean([np.mean(values) for values in held.values()])) if held else 0.0


def ndcg(found: Sequence[str], wanted: set[str]) -> float:
    """Return nDCG of a list with gains 0 and 1; the best list has all that is wanted in front."""
    discount = 1 / np.log2(np.arange(2, 12))
    gain = sum(discount[place] for place, item in enumerate(found) if item in wanted)
    return float(gain / discount[: len(wanted)].sum())


def choose_setting(
    tuning: Tuning, settings: Sequence[Mapping[str, Any]], fit: Callable[[pd.DataFrame, Mapping[str, Any]], Make]
) -> tuple[Mapping[str, Any], float | None]:
    """Return the setting whose lists were best at the earlier cut, of equals the first, and their nDCG.

    Where there is nothing to choose, or nobody was new then, that is the first setting and no figure.
    """
    if len(settings) == 1 or not tuning.k:
        return settings[0], None
    popularity, best = popular(tuning.events, tuning.cutoff), (settings[0], -1.0)
    for setting in settings:
        lists = fit(tuning.events, setting)(tuning.supports)
        reached = quality(tuning, [filled(f, s, popularity) for f, s in zip(lists, tuning.supports, strict=True)])
        print(f"{dict(setting)}: nDCG@10 {reached:.4f} before the cutoff", flush=True)
        best = (setting, reached) if reached > best[1] else best
    return best


def popular(events: pd.DataFrame, until: pd.Timestamp) -> list[str]:
    """Return items by their events in the last days, of equally many by all events, then by id."""
    recent = events[events.ts >= until - pd.Timedelta(days=POPULAR_DAYS)].item_id.value_counts()
    ever = events.item_id.value_counts()
    return sorted(ever.index, key=lambda item: (-int(recent.get(item, 0)), -int(ever[item]), item))


def filled(found: Sequence[str], support: Sequence[str], popularity: Sequence[str]) -> list[str]:
    """Return a list of full length: what was found, then what is popular; nothing of the support, nothing twice."""
    barred, out = set(support), []
    for item in (*found, *popularity[: LENGTH + len(barred) + len(found)]):
        if item not in barred:
            barred.add(item)
            out.append(item)
        if len(out) == LENGTH:
            break
    return out


def serve(log: Log, make: Make, out: Path) -> dict[str, Any]:
    """Make the lists of a split and write them; rows without support get what is popular."""
    began = time.monotonic()
    popularity = popular(log.events, log.cutoff)
    known = [row for row, support in enumerate(log.supports) if support]
    found: dict[int, list[str]] = dict(zip(known, make([log.supports[row] for row in known]), strict=True))
    lists = [filled(found.get(row, []), support, popularity) for row, support in enumerate(log.supports)]
    length = [len(entry) for entry in lists]
    table = log.rows.loc[log.rows.index.repeat(length)].reset_index(drop=True)
    table["rank"] = np.concatenate([np.arange(1, count + 1) for count in length])
    table["item_id"] = [item for entry in lists for item in entry]
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.stem}.{uuid4().hex[:12]}{out.suffix}")  # this script sees nothing of recpipe
    table.to_parquet(part)
    part.replace(out)
    return {"lists": len(lists), "list_seconds": round(time.monotonic() - began, 1)}


def write_notes(out: Path, notes: Mapping[str, Any]) -> None:
    """Write beside the lists how they came about, and say it."""
    out.with_suffix(".json").write_text(json.dumps(notes, indent=2, sort_keys=True) + "\n")
    print(f"{out.stem}: {json.dumps(notes, sort_keys=True)}", flush=True)


def arguments(about: str) -> argparse.Namespace:
    """Read what every peer is told."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--out-dir", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="one setting only, few steps: to try the way, not the quality")
    return parser.parse_args()

"""Floors of the replay that were crossed, as sentences for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from recpipe.config.settings import Settings
from recpipe.evaluation.replay.replay_measures import Replay
from recpipe.evaluation.replay.replay_stages import BASELINES
from recpipe.models.popularity import Popularity
from recpipe.reports.series import TOGETHER


def warnings_of(settings: Settings, found: Replay) -> list[str]:
    """Return one sentence for each floor under which the best of what was trained lies; too few persons cross none.

    The best, since the gate decides each week which of them serves.
    """
    return list(_crossed(settings, found))


def _crossed(settings: Settings, found: Replay) -> Iterator[str]:
    rows, k = found.rows.to_pylist(), settings.evaluation.metric_k
    what = (
        f"of newcomers with 1 to 10 items (those who came after {found.trained_until}, looked at up to {found.day}, served by a "
        "model of the days before)"
    )
    todo = "look at the replay's page by the size of the support, and compare with the weeks before before you change anything."
    best = _best(rows, f"ndcg@{k}", "")
    if best and best["value"] < settings.replay.floor_replay_ndcg:
        yield (
            f"nDCG@{k} {what} is {best['value']:.4f} with {best['name']}, below the floor of {settings.replay.floor_replay_ndcg:.4f}: {todo}"
        )
    ratio = _best(rows, f"ndcg_ratio@{k}", Popularity.name)
    if ratio and ratio["value"] < settings.replay.floor_replay_ratio:
        yield (
            f"nDCG@{k} {what} is {ratio['value']:.2f} times that of popularity with {ratio['name']}, below the floor of "
            f"{settings.replay.floor_replay_ratio:.2f}: {todo}"
        )


def _best(rows: list[dict[str, Any]], metric: str, against: str) -> dict[str, Any] | None:
    mine = [
        row
        for row in rows
        if (row["group"], row["metric"], row["against"]) == (TOGETHER, metric, against)
        and row["name"] not in BASELINES
        and row["value"] is not None
    ]
    return max(mine, key=lambda row: row["value"], default=None)

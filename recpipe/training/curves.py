"""Pictures of a training run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recpipe.reports.charts import BLUE, GREEN, figure_of, png_of, styled
from recpipe.reports.marks import legend_above


@styled()
def draw_plots(folder: Path, rows: Sequence[Mapping[str, Any]], quality: Mapping[str, Any], metric_k: int) -> None:
    """Draw the course of the run and the comparison by size of the support.

    Parameters
    ----------
    folder
        Gets ``course.png`` and ``by_k.png``.
    rows
        Lines of ``metrics.jsonl``.
    quality
        By learner, metric and bucket, as ``summary.json`` has it.
    metric_k
        Cut-off of nDCG.
    """
    folder.mkdir(parents=True, exist_ok=True)
    png_of(_course(rows, metric_k), folder / "course.png")
    png_of(_by_k(quality, f"ndcg@{metric_k}"), folder / "by_k.png")


def _course(rows: Sequence[Mapping[str, Any]], metric_k: int) -> Any:
    figure, left = figure_of(4, 7)
    steps = [row["step"] for row in rows]
    left.plot(steps, [np.nan if row["loss"] is None else row["loss"] for row in rows], color=BLUE, marker=".")
    left.set(xlabel="step", ylabel="training loss")
    right = left.twinx()
    right.spines[["top", "left"]].set_visible(False)
    right.tick_params(length=0)
    right.plot(steps, [row["val_ndcg"] for row in rows], color=GREEN, marker=".")
    right.set_ylabel(f"nDCG@{metric_k} on the later weeks")
    left.set_title("loss (blue) and nDCG (green)")
    return figure


def _by_k(quality: Mapping[str, Any], metric: str) -> Any:
    figure, axes = figure_of(4, 8)
    learners = list(quality)
    buckets = list(quality[learners[0]][metric])
    width = 0.8 / len(learners)
    for number, learner in enumerate(learners):
        found = [quality[learner][metric][bucket] for bucket in buckets]
        means = np.array([entry["mean"] for entry in found])
        reach = np.abs(np.array([[entry["low"], entry["high"]] for entry in found]).T - means)
        axes.bar(np.arange(len(buckets)) + number * width, means, width, yerr=reach, capsize=2, label=learner)
    users = [quality[learners[0]][metric][bucket]["users"] for bucket in buckets]
    axes.set_xticks(np.arange(len(buckets)) + 0.4 - width / 2, [f"{b}\n{n} users" for b, n in zip(buckets, users, strict=True)])
    axes.set_ylabel(metric)
    figure.suptitle("by items in the support, with 95 % intervals over users")
    legend_above(axes)
    return figure

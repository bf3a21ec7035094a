"""Pictures of a training run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


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
    _course(folder / "course.png", rows, metric_k)
    _by_k(folder / "by_k.png", quality, f"ndcg@{metric_k}")


def _course(file: Path, rows: Sequence[Mapping[str, Any]], metric_k: int) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    left = figure.subplots()
    steps = [row["step"] for row in rows]
    left.plot(steps, [np.nan if row["loss"] is None else row["loss"] for row in rows], color="tab:blue", marker=".")
    left.set(xlabel="step", ylabel="training loss")
    right = left.twinx()
    right.plot(steps, [row["val_ndcg"] for row in rows], color="tab:orange", marker=".")
    right.set_ylabel(f"nDCG@{metric_k} on the later weeks")
    left.set_title("loss (blue) and nDCG (orange)")
    figure.savefig(file, dpi=110, metadata={"Software": None})


def _by_k(file: Path, quality: Mapping[str, Any], metric: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
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
    axes.set(ylabel=metric, title="by items in the support, with 95 % intervals over users")
    axes.legend()
    figure.savefig(file, dpi=110, metadata={"Software": None})

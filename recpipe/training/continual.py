"""Continual training from a model: its numbers are the start, old weeks are replayed, forgetting is measured.

Replay is the oldest remedy against catastrophic forgetting, and a hard one to beat (Rolnick et al. 2019, "Experience Replay
for Continual Learning", NeurIPS). The training input still holds the old weeks, so that nothing has to be kept beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from recpipe.dataset.history import Evidence
from recpipe.errors import BadSetting, TrainingFailed
from recpipe.files import to_json
from recpipe.metrics.cluster_intervals import clustered_interval
from recpipe.models.base import Learner
from recpipe.models.guarded import taught_of
from recpipe.models.io import load, read_config
from recpipe.registry.model_folder import content_hash
from recpipe.training.model_selection import Window, measure_views
from recpipe.training.networks.network import Placed

if TYPE_CHECKING:
    import torch

DRAWS = 1000


@dataclass(frozen=True)
class Start:
    """A model that training goes on from.

    Attributes
    ----------
    folder
        Where it was read.
    learner
        What was read.
    fitted_until
        Last day that it was fitted on.
    content
        sha256 of the folder's model, as the registry has it in the tag ``content``.
    """

    folder: Path
    learner: Placed
    fitted_until: date
    content: str


def read_start(folder: Path, name: str, settings: Mapping[str, Any], facts: Mapping[str, Any]) -> Start:
    """Read the model to go on from, and refuse one whose numbers mean something else.

    Parameters
    ----------
    folder
        A model folder.
    name, settings
        The learner that is to be trained, and what is not learned of it.
    facts
        Of the training input.

    Raises
    ------
    BadSetting
        If the model is another learner, of another encoder, or of other settings.
    MissingModel
        If there is none.
    """
    config = read_config(folder)
    if config.get("learner") != name:
        raise BadSetting(
            f"The model in {folder} is of learner '{config.get('learner')}', and '{name}' is to be trained: go on from a model of "
            f"the same learner, name its learner by --learner (a closed form cannot be gone on from), or train without a start."
        )
    if config.get("encoder") != facts["encoder"]:
        raise BadSetting(
            f"The model in {folder} was trained on texts of encoder '{config.get('encoder')}', the training input holds those of "
            f"'{facts['encoder']}': its numbers mean nothing there. Export the input with that encoder, or train without a start."
        )
    learner = taught_of(load(folder))  # the blend beside it is found anew
    held = dict(learner.settings)  # type: ignore[attr-defined]  # every learner that is taught has some
    other = sorted(key for key in held.keys() | settings.keys() if to_json(held.get(key)) != to_json(settings.get(key)))
    if other:
        raise BadSetting(
            f"The model in {folder} was trained with other settings than this run ({', '.join(other)}): train without a start."
        )
    return Start(folder, cast(Placed, learner), date.fromisoformat(str(config["fitted_until"])), content_hash(folder))


def settings_of(folder: Path) -> dict[str, Any]:
    """Return what is not learned of the model in a folder.

    Raises
    ------
    MissingModel
        If there is none.
    """
    return dict(read_config(folder).get("parameters", {}).get("settings", {}))


def arrays_of(learner: Learner) -> dict[str, NDArray[np.float32]]:
    """Return what a learner has learned, by name of the tensor; learners with a head keep it in ``numbers``."""
    learner = taught_of(learner)
    held = {field.name: getattr(learner, field.name) for field in fields(learner)}  # type: ignore[arg-type]
    numbers = held.get("numbers", held)
    return {name: value for name, value in numbers.items() if isinstance(value, np.ndarray)}


def tensors_of(learner: Learner, initial: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a learner's arrays as tensors to go on from.

    Parameters
    ----------
    learner
        What a network's ``to_learner`` made.
    initial
        The tensors that a run without a start would begin with: names, order, shapes and device.

    Raises
    ------
    BadSetting
        If names or shapes differ.
    """
    import torch

    arrays = arrays_of(learner)
    here, wanted = ({n: tuple(v.shape) for n, v in held.items()} for held in (arrays, initial))
    other = [f"{n} {here.get(n)} for {wanted.get(n)}" for n in sorted(here | wanted) if here.get(n) != wanted.get(n)]
    if other:
        raise BadSetting(
            f"The model to go on from has arrays of other shapes than this run: {', '.join(other)}. Give the --width that it was "
            f"trained with, or train without a start."
        )
    return {n: torch.tensor(arrays[n], dtype=t.dtype, device=t.device).requires_grad_() for n, t in initial.items()}


def split_windows(
    past: Sequence[Window], start: Start | None, evidence: Evidence, facts: Mapping[str, Any]
) -> tuple[list[int], list[int]]:
    """Return which windows are new, and which are old; without a start all are new.

    A window is new if its cut lies after the last day that the start was fitted on, so that the start has seen nothing of its
    queries. Days are counted back from the input's last one, for instants are of the shop's own zone.

    Raises
    ------
    TrainingFailed
        If none is new.
    """
    if start is None:
        return list(range(len(past))), []
    last = np.datetime64(str(facts["fitted_until"]), "D")
    known = [last - (evidence.until - window.evidence.until).astype("timedelta64[D]") for window in past]
    new = [number for number, day in enumerate(known) if day >= np.datetime64(start.fitted_until, "D")]
    if not new:
        raise TrainingFailed(
            f"The training input until {last} has no new weeks to learn from: the model in {start.folder} was fitted until "
            f"{start.fitted_until}, and the newest weeks only decide when to stop (--valid-weeks). Export a later input, or go on "
            f"from an older model."
        )
    return new, [number for number in range(len(past)) if number not in new]


def pick_window(random: np.random.Generator, new: Sequence[int], old: Sequence[int], replay_share: float) -> int:
    """Draw the window of an update: an old one with a chance of ``replay_share``, if there is any."""
    pool = old if old and random.random() < replay_share else new
    return pool[int(random.integers(len(pool)))]


def paired(before: NDArray[np.float64], after: NDArray[np.float64], user: NDArray[np.integer], seed: int) -> dict[str, Any]:
    """Return both means and their difference, with the 2.5 % and 97.5 % points of a bootstrap over users.

    Parameters
    ----------
    before, after
        (episodes,) the same measure of the same episodes.
    user
        (episodes,) whose they are: a user's episodes are drawn together.
    seed
        Of the draws.
    """
    found = clustered_interval(after - before, user, DRAWS, np.random.default_rng(seed), 1)
    return {
        "before": float(before.mean()),
        "after": float(after.mean()),
        "difference": found.value,
        "low": found.low,
        "high": found.high,
        "episodes": len(user),
        "users": found.users,
    }


def in_words(old: Mapping[str, float] | None, new: Mapping[str, float], metric_k: int) -> str:
    """Return a line that says what was forgotten, and what was gained."""
    kept = f"old weeks: {_change(old, metric_k, 'forgotten')}" if old else "there are no old weeks that could be forgotten"
    return f"{kept}; validation weeks: {_change(new, metric_k, 'worse')}"


def _change(of: Mapping[str, float], metric_k: int, worse: str) -> str:
    verdict = worse if of["high"] < 0 else "better" if of["low"] > 0 else "no clear difference"
    return (
        f"nDCG@{metric_k} {of['before']:.4f} before, {of['after']:.4f} after ({of['difference']:+.4f}, "
        f"95 % of draws {of['low']:+.4f} to {of['high']:+.4f}: {verdict})"
    )


def change(
    begun: Start, learner: Placed, views: Sequence[Any], windows: Sequence[Window], metric_k: int, seed: int
) -> dict[str, float | int]:
    """Compare the model that a run went on from with what came of it, on the same episodes."""
    before, after = (measure_views(one, views, windows, metric_k).ndcg for one in (begun.learner, learner))
    return paired(before, after, np.concatenate([window.episodes.user for window in windows]), seed)

"""The settings of a training run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recpipe.errors import BadSetting


def read_settings(file: Path) -> dict[str, Any]:
    """Return settings of a training run from a JSON file.

    Raises
    ------
    BadSetting
        If there is no such file, or it holds something else.
    """
    from dataclasses import fields

    try:
        read = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise BadSetting(
            f"Settings cannot be read from {file}: {error}. Give a file like best.json of `recpipe search`."
        ) from None
    known = {field.name for field in fields(Config)}
    if not isinstance(read, dict) or not known.issuperset(read):
        wrong = ", ".join(sorted(set(read) - known)) if isinstance(read, dict) else "no object"
        raise BadSetting(f"{file} holds what is no setting of training: {wrong}. Known are {', '.join(sorted(known))}.")
    return read


@dataclass(frozen=True)
class Config:
    """What can be set about a training run.

    Attributes
    ----------
    learner
        Which learner; one of `recpipe.training.networks.PLACES`.
    steps, warmup_steps
        Updates at most, and those over which the learning rate rises; afterwards it falls like a cosine.
    batch_users, accumulate
        Episodes a batch, batches an update.
    learning_rate, projection_learning_rate
        Of the few numbers that weigh evidence, and of the matrices (projections and the like).
    weight_decay
        Of the matrices (AdamW).
    width
        Dimensions of the space that texts are projected to.
    cutoffs, valid_weeks
        Weekly instants to learn from, and the weeks after them that decide when to stop.
    new_user_cuts
        Instants to learn from where lists are to be made for users who come in the months after the evidence ends.
    openings
        Openings of a shop to learn from, where the model is to start another shop (`recpipe.training.cold_start`); 0: none, learn from
        weeks.
    short_share, short_items
        Share of the episodes that are cut as if the user were new, to 0 … short_items items. Few on purpose: what a known
        user takes next is not what a new one takes, and a half of such episodes cost 11 % of nDCG on Online Retail II.
    evaluate_every, patience
        Updates between looks at the later weeks (and checkpoints); looks without gain before the run stops. Only looks from
        half of the steps on count: before, the learning rate is high and nDCG of some hundred users mostly noise.
    replay_share
        With a model to go on from: the chance that an update is of a week that the model could have learned from before.
    threads
        Of torch on the CPU. One is as fast as more for these sizes where other work runs beside, and the bytes of a model
        would depend on the number.
    device
        ``cpu``, ``cuda``, or ``auto``: a GPU where there is one, with bfloat16 there.
    """

    learner: str = "pair_network"
    steps: int = 300
    warmup_steps: int = 30
    batch_users: int = 64
    accumulate: int = 1
    learning_rate: float = 1.5e-2
    projection_learning_rate: float = 2e-4
    weight_decay: float = 1e-2
    width: int = 128
    cutoffs: int = 6
    valid_weeks: int = 2
    new_user_cuts: int = 6
    openings: int = 0
    short_share: float = 0.1
    short_items: int = 10
    evaluate_every: int = 50
    patience: int = 4
    replay_share: float = 0.5
    threads: int = 1
    device: str = "auto"


DEFAULTS = Config()

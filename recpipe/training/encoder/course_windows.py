"""The windows of a fine-tuning run: those that it learns from, one that says when to stop, and the last one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recpipe.dataset.history import Evidence
from recpipe.errors import TrainingFailed
from recpipe.text.encoder import Encoder
from recpipe.training.encoder.before_after import with_vectors
from recpipe.training.encoder.devices.place import Place
from recpipe.training.encoder.finetune_config import Config
from recpipe.training.encoder.pair_batches import draw_batch, windows_back
from recpipe.training.model_selection import Window


@dataclass(frozen=True)
class CourseWindows:
    """The past, cut for a run.

    Attributes
    ----------
    evidence
        All of it, with the vectors of the encoder that the run starts from.
    past
        Windows to learn from, newest first.
    later
        The window after them that learning stops by; None where it makes every step.
    last
        The window that is looked at before and after learning only.
    """

    evidence: Evidence
    past: list[Window]
    later: Window | None
    last: Window


def cut_windows(
    evidence: Evidence, facts: Mapping[str, Any], source: Encoder, config: Config, place: Place, say: Callable[[str], None]
) -> CourseWindows:
    """Cut the past of a training input into the windows of a run.

    Raises
    ------
    TrainingFailed
        If a part of them would be empty.
    """
    if facts["encoder"] != source.fingerprint:  # vectors of another encoder tell nothing about this one's before and after
        evidence = with_vectors(evidence, _encoded(evidence.catalogue.texts, source, place))
    stops = 1 if config.patience else 0
    past = windows_back(evidence, facts, config.window_days, range(2 + stops, config.windows + 2 + stops))
    later = windows_back(evidence, facts, config.window_days, [2]) if stops else []
    last = windows_back(evidence, facts, config.window_days, [1])
    if not past or not last or len(later) < stops:
        raise TrainingFailed(
            f"The training input until {facts['fitted_until']} gives no episodes in {config.windows + 1 + stops} windows of "
            f"{config.window_days} days. Take more history in, or make the windows longer (--window-days)."
        )
    said = f", {len(later[0].episodes)} to stop by" if later else ""
    say(f"{sum(len(w.episodes) for w in past)} episodes of {len(past)} windows{said}, {len(last[0].episodes)} to look at")
    return CourseWindows(evidence, past, later[0] if later else None, last[0])


def _encoded(texts: Sequence[str], source: Encoder, place: Place) -> Any:
    """Return the vectors of a catalogue, computed by the first process alone."""
    import torch

    found = source.encode(texts) if place.first else np.zeros((len(texts), source.dimensions), np.float32)
    return place.from_first(torch.from_numpy(found)).numpy()


def frozen_temperature(windows: Sequence[Window], config: Config) -> float:
    """Return the temperature of the objective's least loss with the vectors of the catalogue as they are."""
    import torch

    from recpipe.training.encoder.augmentation import vector_loss

    random = np.random.default_rng([config.seed, 1 << 20])
    batches = [draw_batch(window, config.batch_users, config.support_items, config.hard, random)[0] for window in windows]
    vectors = [torch.from_numpy(w.evidence.catalogue.vectors[b.item]) for w, b in zip(windows, batches, strict=True)]
    # inner steps are left out: where they begin decides about the scale
    loss_of = vector_loss(replace(config, maml_order="first"))

    def loss(temperature: float) -> float:
        return sum(float(loss_of(v, b, temperature)) for v, b in zip(vectors, batches, strict=True))

    return min((float(t) for t in np.geomspace(0.02, 1.0, 18)), key=loss)

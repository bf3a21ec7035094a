"""The small form of a fine-tuned encoder: a child of its version, promoted where it is nearly as good and at least twice as fast."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from recpipe.config.settings import Settings
from recpipe.errors import MissingModel
from recpipe.metrics.intervals import paired_gain, seed_of
from recpipe.models.text_prototype import TextPrototype
from recpipe.promotion.decision import Decision
from recpipe.promotion.encoder_gate import weight_of
from recpipe.promotion.gate import decision_of, log_evidence, record, stored_decision
from recpipe.registry.encoder_versions import FROZEN, encoders, fetch_encoder, for_encoders, register_encoder
from recpipe.registry.store import client
from recpipe.registry.versions import Version, find
from recpipe.text.encoder import fingerprint_of, load_encoder

LEAST_QUALITY: Final = 0.99
"""Share of the parent's nDCG that a small form must keep."""
LEAST_PACE: Final = 2.0
"""Times the parent's texts a CPU second that it must reach."""
TIMED_TEXTS: Final = 512


def register_small(settings: Settings, folder: str, parent: str, method: str) -> str:
    """Register a small form as a child of the version that it was made from; its days are the parent's.

    Parameters
    ----------
    settings
        Where MLflow is.
    folder, parent
        Encoder folder of the small form, and of the encoder that it was made from.
    method
        ``distil`` or ``int8``.

    Raises
    ------
    MissingModel
        If the parent is not registered.
    """
    print_ = fingerprint_of(load_encoder(parent).folder)
    known = next((version for version in encoders(settings) if version.content == print_), None)
    if known is None:
        raise MissingModel(f"The encoder in {parent} is no registered version: register it before its small form.")
    days = {"trained_until": str(known.trained_until), "fitted_until": str(known.fitted_until)}
    return register_encoder(settings, Path(folder), {"method": method, "parent": print_, **days})


def promote_small(settings: Settings, version: str, parent: str, texts: list[str], day: date) -> Decision:
    """Promote a small form if it keeps 99 % of its parent's nDCG on the gate's days, at twice its pace.

    Parameters
    ----------
    settings
        Days of the gate, draws, seed.
    version
        Version of the small form.
    parent
        Encoder folder that it was made from.
    texts
        Of the catalogue: on some of them both are timed.
    day
        Last day of the gate.
    """
    store, named, known = client(settings), for_encoders(settings), encoders(settings)
    small = find(known, version, named.promotion)
    decision = stored_decision(store, named.promotion, small)
    if decision is None:
        large = next(one for one in known if one.content == load_encoder(parent).fingerprint)
        decision = _decide(settings, small, large, texts, day)
        log_evidence(store, small.run_id, decision)
    return record(store, named, small, decision, day)


def _decide(settings: Settings, small: Version, large: Version, texts: list[str], day: date) -> Decision:
    from recpipe.evaluation.judge import judge_learners

    before = day - timedelta(days=settings.promotion.gate_days)
    folders = [fetch_encoder(settings, version.content) for version in (small, large)]
    views = [settings.text.model_copy(update={"encoder": folder, "tuned_encoder": ""}) for folder in folders]
    learner = TextPrototype(popularity_weight=weight_of(client(settings), large))
    mine, other = judge_learners(settings, [learner, learner], before, day, views)
    rng = seed_of(settings.training.seed, "small encoder", day)
    gain = paired_gain(mine, other, settings.evaluation.bootstrap_draws, rng, settings.evaluation.min_users)
    kept = gain.candidate / gain.champion if gain.champion else 0.0
    times = _pace(folders[0], texts) / _pace(folders[1], texts)
    # a small form of the plain encoder would stand beside it as if it were fine-tuned
    taught = large.learner != FROZEN
    promoted = taught and kept >= LEAST_QUALITY and times >= LEAST_PACE and gain.users >= settings.evaluation.min_users
    reason = (
        f"It keeps {kept:.1%} of the nDCG of encoder version {large.number} ({gain.users} users) at {times:.1f} times its pace; "
        f"{LEAST_QUALITY:.0%} and {LEAST_PACE:g} times are needed."
    )
    if not taught:
        reason = f"Encoder version {large.number} was never fine-tuned: its small form is not promoted. {reason}"
    measured = decision_of(settings, small, large, day, gain)
    return replace(measured, promoted=promoted, reason=reason, metric=f"{measured.metric} of text prototypes")


def _pace(folder: str, texts: list[str]) -> float:
    """Return texts a CPU second, without a cache."""
    encoder, some = load_encoder(folder), texts[:TIMED_TEXTS]
    encoder.encode(some[:8])
    began = time.process_time()
    encoder.encode(some)
    return len(some) / max(time.process_time() - began, 1e-9)


def read_texts_file(file: str) -> list[str]:
    """Return the texts that an export wrote."""
    found: list[Any] = json.loads(Path(file).read_text())
    return [str(text) for text in found]

"""The gate of encoders: a fine-tuned one is promoted when, on days that nobody was fitted on, it is not clearly worse.

Candidate and current encoder each make text prototypes of the same users; what is compared is what the text alone says, with the
weight of popularity that each did best with on a window before these days.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

from recpipe.config.settings import Settings
from recpipe.errors import MissingModel
from recpipe.metrics.intervals import paired_gain, seed_of
from recpipe.models.text_prototype import TextPrototype
from recpipe.promotion.decision import PROPOSAL, Decision
from recpipe.promotion.gate import decision_of, judge, log_evidence, record, require_own_week, stored_decision
from recpipe.registry.encoder_versions import encoders, fetch_encoder, for_encoders
from recpipe.registry.store import client
from recpipe.registry.versions import Version, find, opponent

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from recpipe.metrics.intervals import Gain

WEIGHT_AFTER, WEIGHT_BEFORE = "after.popularity_weight", "before.popularity_weight"
"""Metrics of a fine-tuning's run: the weight of popularity that served its encoder best, and the one it began with."""


def promote_encoder(settings: Settings, version: str, day: date) -> Decision:
    """Hold a fine-tuned encoder against the one of its day, and promote it if the gate lets it pass.

    A decision is taken once: asking again returns it, and finishes what a killed run left undone. A promoted encoder is the one
    that `train_meta_model` takes for weeks whose gate begins after ``day``; no night of a model that is registered changes.

    Parameters
    ----------
    settings
        Margin, days, draws, seed, fewest users.
    version
        Version of the registered encoder.
    day
        Its ``trained_until``.

    Raises
    ------
    BadSetting
        If ``day`` is another one.
    MissingModel
        If there is no such version, or no promoted one to compare it with.
    """
    decision = propose_encoder(settings, version, day)
    store, named = client(settings), for_encoders(settings)
    return record(store, named, find(encoders(settings), version, named.promotion), decision, day)


def propose_encoder(settings: Settings, version: str, day: date) -> Decision:
    """Return what `promote_encoder` would decide, and keep it with its plot beside the version; nothing is promoted yet."""
    store, named, known = client(settings), for_encoders(settings), encoders(settings)
    candidate = find(known, version, named.promotion)
    require_own_week(candidate, day)
    decision = stored_decision(store, named.promotion, candidate)
    if decision is not None:
        return decision
    current = opponent(known, candidate)
    if current is None:
        raise MissingModel(
            f"Encoder version {version} has none to be compared with: the plain one is promoted when a fine-tuned one is registered "
            f"(the DAG finetune_encoder, or `recpipe register-encoder`)."
        )
    decision = _decide(settings, candidate, current, day, _compare(settings, store, candidate, current, day))
    log_evidence(store, candidate.run_id, decision)
    store.set_model_version_tag(named.promotion.registered_model, version, PROPOSAL, json.dumps(asdict(decision)))
    return decision


def _compare(settings: Settings, store: MlflowClient, candidate: Version, current: Version, day: date) -> Gain:
    """Measure text prototypes of both encoders on the days before ``day``."""
    from recpipe.evaluation.judge import judge_learners

    before = day - timedelta(days=settings.promotion.gate_days)
    if candidate.fitted_until > before:
        raise MissingModel(
            f"Encoder version {candidate.number} was fitted up to {candidate.fitted_until} and cannot be judged on the days after {before}."
        )
    weights = _weights(store, candidate, current)
    learners = [TextPrototype(popularity_weight=weight) for weight in weights]
    folders = [fetch_encoder(settings, version.content) for version in (candidate, current)]
    texts = [settings.text.model_copy(update={"encoder": folder, "tuned_encoder": ""}) for folder in folders]
    mine, other = judge_learners(settings, learners, before, day, texts)
    rng = seed_of(settings.training.seed, "encoder gate", day)
    return paired_gain(mine, other, settings.evaluation.bootstrap_draws, rng, settings.evaluation.min_users)


def _weights(store: MlflowClient, candidate: Version, current: Version) -> tuple[float, float]:
    """Return the weights of popularity of candidate and current encoder, each as its own training found it."""
    mine = store.get_run(candidate.run_id).data.metrics
    return weight_of(store, candidate), weight_of(store, current, float(mine.get(WEIGHT_BEFORE, 0.0)))


def weight_of(store: MlflowClient, version: Version, otherwise: float = 0.0) -> float:
    """Return the weight of popularity that served an encoder best when it was taught."""
    return float(store.get_run(version.run_id).data.metrics.get(WEIGHT_AFTER, otherwise))


def _decide(settings: Settings, candidate: Version, current: Version, day: date, gain: Gain) -> Decision:
    promoted, reason = judge(gain, settings, f"encoder version {current.number}")
    measured = decision_of(settings, candidate, current, day, gain)
    return replace(measured, promoted=promoted, reason=reason, metric=f"{measured.metric} of text prototypes")

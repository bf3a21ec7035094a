"""The gate: a candidate becomes champion when, on days that nobody was fitted on, it is not clearly worse.

Not worse than the champion, nor than the best closed form of its own training: mostly the stack, which weighs the same
evidence by the same weeks. A network that adds nothing to it is not worth serving.
"""

from __future__ import annotations

import json
import logging
import math
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from recpipe.config.model_settings import PromotionSettings
from recpipe.config.settings import Settings
from recpipe.errors import BadSetting, MissingModel
from recpipe.promotion.decision import DECISION, FILE, PROPOSAL, Decision
from recpipe.registry.encoders import of_model, unreadable
from recpipe.registry.model_folder import numbers
from recpipe.registry.serving import fetch, fetch_closed_form
from recpipe.registry.store import client
from recpipe.registry.versions import CHAMPION, PROMOTED_ON, Version, all_versions, find, opponent, point_alias

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from recpipe.metrics.intervals import Gain

log = logging.getLogger(__name__)


def promote(settings: Settings, version: str, day: date) -> Decision:
    """Hold a version against the champion of its week and its own closed form, and promote it if the gate lets it pass.

    All rank the catalogue for the users with a support who newly met an item in the last ``settings.promotion.gate_days`` days up
    to ``day``, as of the day before these days. A decision is taken once: asking again returns it, and finishes what a killed run
    left undone. The alias ``champion`` points to the newest promoted week, so an older week never moves it.

    Parameters
    ----------
    settings
        Margin, days, draws, seed, fewest users.
    version
        Version in the registry.
    day
        Last day of the training's week, which is the version's ``trained_until``.

    Raises
    ------
    BadSetting
        If ``day`` is another one: the version could then serve a day that had a part in choosing it. If an encoder that the
        version was trained with is neither that of the settings nor registered: no night could use it.
    MissingModel
        If there is no such version, or nothing was promoted that it could be compared with.
    """
    decision = propose(settings, version, day)
    store = client(settings)
    return record(store, settings, find(all_versions(store, settings.promotion), version, settings.promotion), decision, day)


def propose(settings: Settings, version: str, day: date) -> Decision:
    """Return what `promote` would decide, and keep it with its plot beside the version; nothing is promoted yet.

    So that a person can look at it first. What was proposed once is what will be decided. Parameters and errors are those
    of `promote`.
    """
    store = client(settings)
    versions = all_versions(store, settings.promotion)
    candidate = find(versions, version, settings.promotion)
    require_own_week(candidate, day)
    decision = stored_decision(store, settings.promotion, candidate)
    if decision is not None:
        return decision
    champion = _opponent(settings, versions, candidate)
    if champion is None:
        raise MissingModel(
            f"Version {version} has no champion to be compared with: promote a first one that was fitted on days up to "
            f"{candidate.fitted_until} (`recpipe register` does, from the closed form that `recpipe train` leaves in its folder), "
            "or adopt another shop's model (`recpipe adopt-model`)."
        )
    decision = _decide(settings, candidate, champion, day, _compare(settings, candidate, champion, day))
    log_evidence(store, candidate.run_id, decision)
    store.set_model_version_tag(settings.promotion.registered_model, version, PROPOSAL, json.dumps(asdict(decision)))
    return decision


def require_own_week(candidate: Version, day: date) -> None:
    """Refuse to judge a version on another day than its ``trained_until``."""
    if candidate.trained_until != day:
        raise BadSetting(
            f"Version {candidate.number} is of the week that ended on {candidate.trained_until} and cannot be promoted on {day}: "
            f"it would serve days that had a part in choosing it. Name --day {candidate.trained_until}."
        )


def _opponent(settings: Settings, versions: list[Version], candidate: Version) -> Version | None:
    """Return the newest promoted version that could serve in the candidate's place; one whose encoders are lost could not."""
    if why := unreadable(settings, fetch(settings, str(candidate.number))):
        raise BadSetting(f"Version {candidate.number} cannot serve. {why}")
    left = versions
    while champion := opponent(left, candidate):
        why = unreadable(settings, fetch(settings, str(champion.number)))
        if not why:
            return champion
        log.warning("Version %s is passed over. %s", champion.number, why)
        left = [version for version in left if version != champion]
    return None


@dataclass(frozen=True)
class Compared:
    """What the gate measured of a candidate, on the same users: its gain over the champion, and over its own closed form.

    Attributes
    ----------
    over_champion, over_closed_form
        The second is None where there is no closed form, or where it is the champion.
    closed_form
        Its name, or empty.
    """

    over_champion: Gain
    over_closed_form: Gain | None = None
    closed_form: str = ""


def judge(gain: Gain, settings: Settings, than: str = "the champion") -> tuple[bool, str]:
    """Return whether a gain passes the gate, and the sentence that says why."""
    if gain.users < settings.evaluation.min_users:
        return False, f"Too few users to compare: {gain.users}, and {settings.evaluation.min_users} are needed."
    if gain.low is None:
        # a single lucky hit would do otherwise: a relative gain over nothing has no lower end
        return False, (
            f"{than[0].upper()}{than[1:]} had no hit at all and the candidate had {'some' if gain.candidate > 0 else 'none either'}, so no gain "
            f"can be measured ({gain.users} users): the champion stays; look at both, and compare on more days (RECPIPE_GATE_DAYS)."
        )
    passed = gain.low > settings.promotion.promotion_margin
    relation = "above" if passed else "not above"
    return passed, (
        f"The lower end of the paired relative gain over {than}, {gain.low:+.1%}, is {relation} the margin of "
        f"{settings.promotion.promotion_margin:+.1%} ({gain.users} users)."
    )


def _compare(settings: Settings, candidate: Version, champion: Version, day: date) -> Compared:
    """Measure candidate, champion and closed form on the days before ``day``; a closed form that is the champion once."""
    # not at the top: nights import the registry, which must not import the nights in turn
    from recpipe.evaluation.judge import judge_learners
    from recpipe.metrics.intervals import paired_gain, seed_of
    from recpipe.models.io import load

    before = day - timedelta(days=settings.promotion.gate_days)
    if max(candidate.fitted_until, champion.fitted_until) > before:
        raise MissingModel(
            f"Version {candidate.number} was fitted up to {candidate.fitted_until} and cannot be judged on the days after "
            f"{before}: train on days up to {before}, or promote on a later day."
        )
    folders = [fetch(settings, str(version.number)) for version in (candidate, champion)]
    if candidate.closed_form not in ("", champion.content, candidate.content):
        folders.append(fetch_closed_form(settings, candidate))
    learners = [load(Path(folder)) for folder in folders]
    # each reads the items with the encoders that it was trained with
    texts = [of_model(settings, folder).text for folder in folders]
    mine, *others = judge_learners(settings, learners, before, day, texts)
    rng = seed_of(settings.training.seed, "gate", day)
    gains = [
        paired_gain(mine, other, settings.evaluation.bootstrap_draws, rng, settings.evaluation.min_users) for other in others
    ]
    return Compared(gains[0]) if len(gains) == 1 else Compared(gains[0], gains[1], learners[2].name)


def _decide(settings: Settings, candidate: Version, champion: Version, day: date, found: Compared) -> Decision:
    promoted, reason = judge(found.over_champion, settings)
    decision = decision_of(settings, candidate, champion, day, found.over_champion)
    decision = replace(decision, promoted=promoted, reason=reason)
    return _hold_against_closed_form(settings, decision, found)


def decision_of(settings: Settings, candidate: Version, champion: Version, day: date, gain: Gain) -> Decision:
    """Return what was measured of two versions as a decision that promotes nothing."""
    return Decision(
        version=str(candidate.number),
        champion=str(champion.number),
        day=day.isoformat(),
        first_day=(day - timedelta(days=settings.promotion.gate_days - 1)).isoformat(),
        promoted=False,
        reason="",
        metric=f"ndcg@{settings.evaluation.metric_k}",
        candidate_value=gain.candidate,
        champion_value=gain.champion,
        relative_gain=gain.relative,
        low=gain.low,
        high=gain.high,
        margin=settings.promotion.promotion_margin,
        users=gain.users,
    )


def _hold_against_closed_form(settings: Settings, decision: Decision, found: Compared) -> Decision:
    gain = found.over_closed_form
    if gain is None:
        return decision
    passed, reason = judge(gain, settings, f"the {found.closed_form} of its own training")
    return replace(
        decision,
        promoted=decision.promoted and passed,
        reason=reason if decision.promoted and not passed else decision.reason,
        closed_form=found.closed_form,
        closed_form_value=gain.champion,
        closed_form_gain=gain.relative,
        closed_form_low=gain.low,
        closed_form_high=gain.high,
    )


def record(store: MlflowClient, settings: Settings, version: Version, decision: Decision, day: date) -> Decision:
    """Write a decision, then the promotion, then the alias: whoever is killed in between is finished by the next call.

    A version that was withdrawn stays so, whatever was decided before.
    """
    if version.withdrawn:
        reason = f"It was withdrawn: {version.withdrawn}"
        log.warning("Version %s is not promoted again. %s", version.number, reason)
        return replace(decision, promoted=False, reason=reason)
    name, number = settings.promotion.registered_model, str(version.number)
    store.set_model_version_tag(name, number, DECISION, json.dumps(asdict(decision)))
    if decision.promoted:
        if version.promoted_on is None:
            store.set_model_version_tag(name, number, PROMOTED_ON, day.isoformat())
        point_alias(store, settings.promotion, CHAMPION, promoted=True)
    log.info("Version %s %s: %s", number, "is promoted" if decision.promoted else "is not promoted", decision.reason)
    return decision


def stored_decision(store: MlflowClient, promotion: PromotionSettings, version: Version) -> Decision | None:
    """Return what was decided or proposed of a version before; None if nothing was."""
    tags = store.get_model_version(promotion.registered_model, str(version.number)).tags
    known = tags.get(DECISION) or tags.get(PROPOSAL)
    return Decision(**json.loads(known)) if known else None


def log_evidence(store: MlflowClient, run_id: str, decision: Decision) -> None:
    """Log a decision with its numbers and its plot to the run of its version."""
    from recpipe.promotion.decision_plot import plot_decision

    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / FILE
        file.write_text(json.dumps(asdict(decision), indent=1), encoding="utf-8")
        store.log_artifact(run_id, str(file))
        _log_numbers(store, run_id, decision)
        store.log_artifact(run_id, str(plot_decision(decision, Path(scratch) / "decision.png")), "plots")


def _log_numbers(store: MlflowClient, run_id: str, decision: Decision) -> None:
    """Log the decision's numbers as metrics gate.candidate_value, gate.low and so on; what is not defined is left out."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    found = [Metric(f"gate.{name}", value, now, 0) for name, value in numbers(asdict(decision)) if math.isfinite(value)]
    store.log_batch(run_id, metrics=found)

"""The serving model with its reason, and the network beside it: from the figures of the gate and the replay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recpipe.config.settings import Settings
from recpipe.readers.outcome_curves import Point, Replayed
from recpipe.reports.newcomers import form_label
from recpipe.reports.series import TOGETHER, label

if TYPE_CHECKING:
    from mlflow import MlflowClient


def what_serves(settings: Settings, replayed: Replayed) -> str:
    """Return a paragraph: the version that serves, each candidate's figures beside its champion's, and both on newcomers."""
    from recpipe.registry.store import client
    from recpipe.registry.versions import overview

    versions, store = overview(settings), client(settings)
    serving = next((one for one in versions if "champion" in one["aliases"].split(", ")), None)
    if serving is None:
        return "No version serves yet."
    said = [f"What serves: version {serving['version']}, the {form_label(serving['learner'])}. {serving['reason']}"]
    for version in versions:
        if version is not serving:
            said += [_candidate(store, settings, version), _on_newcomers(replayed, version["learner"], serving["learner"])]
    return " ".join(sentence for sentence in said if sentence)


def _candidate(store: MlflowClient, settings: Settings, version: dict[str, str]) -> str:
    """Say what the gate measured of a version, from the metrics that are logged with it."""
    run = store.get_model_version(settings.promotion.registered_model, version["version"]).run_id
    found: dict[str, Any] = store.get_run(str(run)).data.metrics
    name = f"Version {version['version']}, the {form_label(version['learner'])}"
    if not {"gate.candidate_value", "gate.champion_value", "gate.users"} <= set(found):
        return f"{name}, was not compared. {version['reason']}"
    decided = "promoted" if version["promoted_on"] else "not promoted"
    between = ""
    if {"gate.relative_gain", "gate.low"} <= set(found):
        high = f"{found['gate.high']:+.1%}" if "gate.high" in found else "more"
        between = f", {found['gate.relative_gain']:+.1%} ({found['gate.low']:+.1%} to {high})"
    return (
        f"{name}, is {decided}: on the {found['gate.users']:,.0f} users of the gate's days it would have had an nDCG@{settings.evaluation.metric_k} of "
        f"{found['gate.candidate_value']:.4f} where the champion had {found['gate.champion_value']:.4f}{between}. {version['reason']}"
    )


def _on_newcomers(replayed: Replayed, candidate: str, champion: str) -> str:
    """Say how the two fared in the replay with 1 to 10 items known; empty where it has not both."""
    found = {(point.name, point.against): point for point in replayed.points if point.group == TOGETHER}
    both = [found.get((name, "")) for name in (candidate, champion)]
    values = [point.value for point in both if point is not None and point.value is not None]
    if len(values) < 2:
        return ""
    ratio = found.get((candidate, champion))
    return (
        f"On the replayed newcomers with 1 to 10 items known, a short training of it had {values[0]:.4f} and the {form_label(champion)} "
        f"{values[1]:.4f}" + (f": {_times(ratio)}." if ratio and ratio.value is not None else ".")
    )


def which_encoder(settings: Settings) -> str:
    """Return a paragraph on the fine-tuned text encoder: before and after on its last window, and what the gate decided."""
    from recpipe.registry.encoder_versions import FROZEN, for_encoders
    from recpipe.registry.store import client
    from recpipe.registry.versions import overview

    named = for_encoders(settings)
    taught = next((row for row in overview(named) if row["learner"] != FROZEN), None)
    if taught is None:
        return ""
    store = client(settings)
    run = store.get_model_version(named.promotion.registered_model, taught["version"]).run_id
    found = store.get_run(str(run)).data.metrics
    before, after = found.get("before.ndcg_by_weight.0.0"), found.get("after.ndcg_by_weight.0.0")
    changed = (
        f" On its last window text prototypes alone had an nDCG@10 of {before:.4f} before and {after:.4f} after."
        if before
        else ""
    )
    decided = "promoted" if taught["promoted_on"] else "not promoted"
    return (
        f"The text encoder: version {taught['version']} ({taught['learner']}), taught on episodes up to {taught['fitted_until']}, is {decided}."
        f"{changed} {taught['reason']}"
    )


def ratio_sentences(replayed: Replayed) -> list[str]:
    """Say how what was trained compares with each other and with the baselines where 1 to 10 items are known."""
    said: dict[str, list[str]] = {}
    for point in replayed.points:
        if point.group == TOGETHER and point.against:
            said.setdefault(point.name, []).append(f"{_times(point)} that of {label(point.against)}")
    return [f"{form_label(name).capitalize()}, 1 to 10 items known: nDCG is {', '.join(each)}." for name, each in said.items()]


def _times(point: Point) -> str:
    if point.value is None or point.low is None:
        return f"too few persons ({point.users:,}) to compare with"
    high = f"{point.high:.2f}" if point.high is not None else "more"
    return f"{point.value:.2f} ({point.low:.2f}–{high}) times"

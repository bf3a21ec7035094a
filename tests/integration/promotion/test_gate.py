"""The gate on a real MLflow store: what it measures, and whom it lets pass."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from recpipe.config.settings import Settings
from recpipe.contract import EVENTS, USERS
from recpipe.errors import BadSetting, MissingDay, MissingModel
from recpipe.lake.lake import Lake
from recpipe.models.item_knn import ItemKNN
from recpipe.models.popularity import Popularity
from recpipe.promotion.gate import promote, propose
from recpipe.promotion.register import ensure_first_champion, register
from recpipe.registry.encoders import keep_encoders
from recpipe.registry.registration import register_folder
from recpipe.registry.serving import resolve
from recpipe.registry.store import client
from recpipe.text.encoder import fingerprint_of

WEEK, FITTED = date(2026, 3, 15), date(2026, 3, 8)
NEXT = WEEK + timedelta(days=1)


def version(settings, number):
    return client(settings).get_model_version("recpipe", number)


def aliases(settings):
    found = client(settings).get_registered_model("recpipe").aliases
    return {name: str(number) for name, number in found.items()}


def ndcg_by_hand(settings, name):
    """Mean nDCG@10 over users, from the events as lists, with the learner's scores but none of the gate's code."""
    from recpipe.dataset.as_of import read_known
    from recpipe.dataset.cohorts import users_of
    from recpipe.models.base import score

    lake = Lake.from_settings(settings)
    known = read_known(lake.reader(), settings, FITTED)
    users = users_of(known, settings, FITTED)
    learner = {"item_knn": ItemKNN(), "popularity": Popularity()}[name]
    space = learner.items(known.evidence)
    scores = score(space, learner.adapt(space, users.support))
    events = lake.reader().events(date(2026, 3, 2), WEEK, ["user_id", "item_id", "day"]).to_pylist()
    values = []
    for row, user in enumerate(users.user_ids):
        met = {e["item_id"] for e in events if e["user_id"] == user and e["day"] <= FITTED}
        wanted = {e["item_id"] for e in events if e["user_id"] == user and e["day"] > FITTED}
        ids = known.evidence.catalogue.item_ids
        order = sorted((-float(scores[row, i]), ids[i]) for i in range(len(ids)) if ids[i] not in met)
        gains = [1 / np.log2(place + 2) for place, (_, item) in enumerate(order[:10]) if item in wanted]
        values.append(sum(gains) / sum(1 / np.log2(place + 2) for place in range(len(wanted))))
    return float(np.mean(values))


def test_the_gate_measures_what_a_loop_over_users_measures(settings, popular, neighbours):
    ensure_first_champion(settings, WEEK, popular)
    decision = promote(settings, register(settings, neighbours, WEEK), WEEK)
    assert decision.candidate_value == pytest.approx(ndcg_by_hand(settings, "item_knn"))
    assert decision.champion_value == pytest.approx(ndcg_by_hand(settings, "popularity"))
    assert decision.relative_gain == pytest.approx(decision.candidate_value / decision.champion_value - 1)
    assert decision.low < decision.relative_gain < decision.high


def test_a_worse_candidate_is_not_promoted(settings, popular, neighbours):
    ensure_first_champion(settings, WEEK, neighbours)
    decision = promote(settings, register(settings, popular, WEEK), WEEK)
    assert not decision.promoted
    assert decision.low < settings.promotion.promotion_margin
    assert "is not above the margin of -5.0%" in decision.reason
    assert aliases(settings) == {"candidate": "2", "champion": "1"}
    assert resolve(settings, NEXT) == "1"


def test_too_few_users_promote_nobody(settings, popular, neighbours):
    few = settings.changed(min_users=41)
    ensure_first_champion(few, WEEK, popular)
    decision = promote(few, register(few, neighbours, WEEK), WEEK)
    assert (decision.promoted, decision.users, decision.low) == (False, 40, None)
    assert decision.reason == "Too few users to compare: 40, and 41 are needed."


def test_a_decision_is_taken_once(settings, popular, neighbours):
    ensure_first_champion(settings, WEEK, popular)
    candidate = register(settings, neighbours, WEEK)
    decision = promote(settings, candidate, WEEK)
    Lake.from_settings(settings).publish("events", [WEEK], EVENTS.schema.empty_table())
    assert promote(settings, candidate, WEEK) == decision
    assert version(settings, candidate).tags["promoted_on"] == "2026-03-15"


def test_what_is_proposed_is_what_is_decided_and_promotes_nothing_yet(settings, popular, neighbours):
    ensure_first_champion(settings, WEEK, popular)
    candidate = register(settings, neighbours, WEEK)
    proposed = propose(settings, candidate, WEEK)
    assert "promoted_on" not in version(settings, candidate).tags
    assert resolve(settings, NEXT) != candidate
    Lake.from_settings(settings).publish("events", [WEEK], EVENTS.schema.empty_table())  # nothing is measured anew
    assert promote(settings, candidate, WEEK) == proposed
    assert resolve(settings, NEXT) == (candidate if proposed.promoted else "1")


def test_an_older_week_never_moves_the_alias(settings, model_folder):
    newer = model_folder("newer", Popularity(), WEEK, FITTED)
    ensure_first_champion(settings, WEEK, newer)
    before, fitted = date(2026, 3, 13), date(2026, 3, 6)
    first = ensure_first_champion(settings, before, model_folder("first", Popularity(half_life_days=5.0), before, fitted))
    older = register(settings, model_folder("older", ItemKNN(), before, fitted), before)
    decision = promote(settings, older, before)
    assert (decision.promoted, decision.champion) == (True, first.version)
    assert aliases(settings) == {"candidate": "1", "champion": "1"}
    assert resolve(settings, NEXT) == "1"
    assert resolve(settings, before + timedelta(days=1)) == older


def test_a_model_is_not_judged_on_days_it_was_fitted_on(settings, popular, model_folder):
    ensure_first_champion(settings, WEEK, popular)
    saw = register(settings, model_folder("saw", ItemKNN(), WEEK, WEEK - timedelta(days=2)), WEEK)
    with pytest.raises(MissingModel, match="was fitted up to 2026-03-13 and cannot be judged on the days after 2026-03-08"):
        promote(settings, saw, WEEK)


@pytest.mark.parametrize("days", [-1, 1])
def test_a_version_is_promoted_on_the_last_day_of_its_week_only(settings, popular, neighbours, days):
    ensure_first_champion(settings, WEEK, popular)
    candidate, other = register(settings, neighbours, WEEK), WEEK + timedelta(days=days)
    with pytest.raises(BadSetting, match=f"ended on 2026-03-15 and cannot be promoted on {other}: .* Name --day 2026-03-15"):
        promote(settings, candidate, other)
    assert "decision" not in version(settings, candidate).tags


def test_an_unknown_version_is_named(settings):
    with pytest.raises(MissingModel, match="Model recpipe has no version 7"):
        promote(settings, "7", WEEK)


def test_nothing_is_decided_before_every_day_of_the_comparison_is_published(settings, popular, model_folder):
    ensure_first_champion(settings, WEEK, popular)
    candidate = register(settings, model_folder("late", ItemKNN(), NEXT, NEXT - timedelta(days=7)), NEXT)
    Lake.from_settings(settings).mark_open("events", NEXT)
    with pytest.raises(MissingDay, match="events of 2026-03-16 are not published"):
        promote(settings, candidate, NEXT)
    assert "decision" not in version(settings, candidate).tags


def test_users_whom_the_learner_does_not_serve_are_not_compared(settings, popular, neighbours):
    lake = Lake.from_settings(settings)
    ts = datetime(2026, 3, 15, 9, tzinfo=UTC)
    user = {"day": FITTED, "user_id": "new", "registered_at": ts - timedelta(days=7)}
    lake.publish("users", [FITTED], table(USERS, user))
    bought = {"event_id": "n", "user_id": "new", "item_id": "i00", "event_type": "purchase", "ts": ts}
    kept = lake.reader().events(WEEK, WEEK)
    lake.publish("events", [WEEK], pa.concat_tables([kept.select(EVENTS.columns), table(EVENTS, {"day": WEEK, **bought})]))
    ensure_first_champion(settings, WEEK, popular)
    assert promote(settings, register(settings, neighbours, WEEK), WEEK).users == 40


def table(of, row):
    return pa.Table.from_pylist([{name: row.get(name) for name in of.columns}], schema=of.schema)


def rewrite(folder: str, **facts) -> str:
    file = Path(folder) / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | facts))
    return folder


def of_other_encoder(settings, folder: str, encoder: Path) -> tuple[Settings, str]:
    """Return settings that name another encoder, and the folder as a model that was trained with it."""
    return settings.changed(encoder=str(encoder)), rewrite(folder, encoder=fingerprint_of(encoder))


def test_a_champion_of_another_encoder_reads_with_its_own(settings, popular, neighbours, tiny_encoder):
    then, folder = of_other_encoder(settings, popular, tiny_encoder)
    ensure_first_champion(then, WEEK, folder)
    keep_encoders(then, folder)
    decision = promote(settings, register(settings, neighbours, WEEK), WEEK)
    assert (decision.champion, decision.champion_value) == ("1", pytest.approx(ndcg_by_hand(settings, "popularity")))


def test_a_champion_whose_encoder_is_lost_is_no_opponent(settings, model_folder, popular, neighbours, tiny_encoder):
    early = WEEK - timedelta(days=1)
    ensure_first_champion(settings, early, model_folder("older", Popularity(half_life_days=5.0), early, FITTED))
    then, folder = of_other_encoder(settings, popular, tiny_encoder)
    foreign = register_folder(then, folder, WEEK)  # by hand, its encoder beside it: it is in no registry
    client(settings).set_model_version_tag("recpipe", foreign, "promoted_on", str(WEEK))
    assert promote(settings, register(settings, neighbours, WEEK), WEEK).champion == "1"


def test_where_every_encoder_is_lost_a_first_champion_begins_anew(settings, popular, neighbours, model_folder, tiny_encoder):
    then, folder = of_other_encoder(settings, popular, tiny_encoder)
    ensure_first_champion(then, WEEK, folder)
    assert ensure_first_champion(settings, WEEK, model_folder("fits", Popularity(half_life_days=5.0), WEEK, FITTED)).reason == (
        "The best closed form is the first champion: nothing served before whose encoder is still at hand."
    )
    assert promote(settings, register(settings, neighbours, WEEK), WEEK).champion == "2"


def test_a_model_of_an_encoder_that_nobody_has_is_not_registered(settings, popular, neighbours):
    ensure_first_champion(settings, WEEK, popular)
    with pytest.raises(
        BadSetting, match=r"cannot be registered, for no night could use it\. Encoder ffffffffffff is neither the one of"
    ):
        register(settings, rewrite(neighbours, encoder="f" * 64), WEEK)


# --- against the closed form of the candidate's own training


def with_closed_form(folder: str, closed_form: str) -> str:
    """Put a model folder where training leaves the best closed form."""
    Path(closed_form).rename(Path(folder) / "closed_form")
    return folder


def test_a_candidate_that_is_worse_than_its_closed_form_is_not_promoted(settings, model_folder, popular, neighbours):
    early = WEEK - timedelta(days=1)
    ensure_first_champion(settings, WEEK, model_folder("old", Popularity(7.0), early, FITTED))
    decision = promote(settings, register(settings, with_closed_form(popular, neighbours), WEEK), WEEK)
    assert decision.low > settings.promotion.promotion_margin, "against the champion alone it would pass"
    assert not decision.promoted
    assert decision.closed_form == "item_knn"
    assert decision.closed_form_value == pytest.approx(ndcg_by_hand(settings, "item_knn"))
    assert decision.closed_form_low < settings.promotion.promotion_margin
    assert "over the item_knn of its own training" in decision.reason
    assert promote(settings, decision.version, WEEK) == decision


def test_a_candidate_that_is_better_than_its_closed_form_is_promoted(settings, model_folder, popular, neighbours):
    ensure_first_champion(settings, WEEK, model_folder("old", Popularity(7.0), WEEK - timedelta(days=1), FITTED))
    decision = promote(settings, register(settings, with_closed_form(neighbours, popular), WEEK), WEEK)
    assert decision.promoted
    assert decision.closed_form_value == pytest.approx(ndcg_by_hand(settings, "popularity"))
    assert decision.closed_form_low > 0


def test_a_closed_form_that_is_the_champion_is_compared_once(settings, popular, neighbours):
    candidate = register(settings, with_closed_form(neighbours, popular), WEEK)  # the closed form becomes the first champion
    decision = promote(settings, candidate, WEEK)
    assert (decision.promoted, decision.closed_form, decision.closed_form_low) == (True, "", None)


def test_a_closed_form_that_changed_in_the_store_is_refused(settings, model_folder, popular, neighbours):
    ensure_first_champion(settings, WEEK, model_folder("old", Popularity(7.0), WEEK - timedelta(days=1), FITTED))
    candidate = register(settings, with_closed_form(popular, neighbours), WEEK)
    for file in settings.places.home.glob("mlflow/artifacts/**/closed_form/config.json"):
        file.write_text(file.read_text().replace("item_knn", "popularity"))
    with pytest.raises(MissingModel, match="are not those that were registered"):
        promote(settings, candidate, WEEK)

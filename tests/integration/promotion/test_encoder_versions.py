"""The encoder of a day: fine-tuned, registered, gated, and read by the nights of the models that were trained with it."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from recpipe.config.settings import Settings, load_settings
from recpipe.contract import EVENTS, ITEMS, USERS
from recpipe.dataset.export import export_training
from recpipe.errors import BadSetting, MissingModel
from recpipe.lake.lake import Lake
from recpipe.models.io import save
from recpipe.models.text_prototype import TextPrototype
from recpipe.pipeline.plan import plan_day
from recpipe.pipeline.run_plan import RunPlan
from recpipe.pipeline.shards import open_task
from recpipe.promotion.encoder_export import export_finetuning, folder_to_encode
from recpipe.promotion.encoder_gate import promote_encoder, propose_encoder
from recpipe.promotion.encoder_register import register_tuned
from recpipe.promotion.register import ensure_first_champion, register
from recpipe.promotion.withdraw import withdraw
from recpipe.registry.encoder_versions import encoders, fetch_encoder, for_encoders, promoted_encoder, tuned_folder
from recpipe.registry.encoders import fingerprints_of, of_week
from recpipe.registry.store import client
from recpipe.registry.versions import overview
from recpipe.tables.recommendations.night_plan import plan_night
from recpipe.tables.recommendations.night_publish import recommend_day
from recpipe.tables.recommendations.night_shards import LISTS
from recpipe.text.encoder import fingerprint_of, load_encoder
from recpipe.training.encoder.finetune import finetune
from recpipe.training.encoder.finetune_config import Config

MONTH = date(2026, 3, 12)  # last day of the first course; the gate looks at 5 to 12 March, in which everybody buys two new items
LATER = date(2026, 3, 22)
COURSE = Config(steps=4, batch_users=8, window_days=1, windows=1, evaluate_every=0, learning_rate=0.01)


@pytest.fixture
def shop(settings: Settings, tiny_encoder: Path) -> Settings:
    """The shop with a tiny plain encoder, another item for everybody on 17 March, no more until April; a gate that lets all pass."""
    opened = settings.changed(encoder=str(tiny_encoder), gate_days=8, encoder_lead_weeks=0, promotion_margin=-100, min_users=5)
    lake = Lake.from_settings(opened)
    days = [date(2026, 3, 16) + timedelta(days=n) for n in range(16)]
    bought = lake.reader().events(date(2026, 3, 2), date(2026, 3, 15)).select(EVENTS.columns).to_pylist()
    missing = {user: sorted({f"i{user[1]}{n}" for n in range(8)} - {row["item_id"] for row in bought if row["user_id"] == user})[0]
               for user in {row["user_id"] for row in bought}}  # fmt: skip
    day, ts = date(2026, 3, 17), datetime(2026, 3, 17, 9, tzinfo=UTC)
    more = [{**bought[0], "day": day, "ts": ts, "event_id": f"{user}-more", "user_id": user, "item_id": item}
            for user, item in sorted(missing.items())]  # fmt: skip
    for table in (ITEMS, USERS):  # nothing new was delivered
        lake.publish(table.name, days, table.schema.empty_table())
    lake.publish("events", days, pa.Table.from_pylist(more, schema=EVENTS.schema))
    return opened


def course(settings: Settings, day: date, out: Path, **changed: object) -> str:
    """Fine-tune on what was known some days before a day; return the encoder folder."""
    exported = export_finetuning(settings, day)
    finetune(Path(exported["episodes"]), exported["encoder"], out, Config(**{**vars(COURSE), **changed}))
    return str(out)


def shifted(folder: Path, copy: Path, by: float) -> Path:
    """Return a copy of an encoder with other weights."""
    from safetensors.numpy import load_file, save_file

    shutil.copytree(folder, copy)
    held = load_file(copy / "model.safetensors")
    save_file({name: value + np.float32(by) * (value.ndim > 1) * np.sin(np.arange(value.size, dtype=np.float32)).reshape(value.shape)
               for name, value in held.items()}, copy / "model.safetensors", {"format": "pt"})  # fmt: skip
    return copy


def tuned(settings: Settings, tiny_encoder: Path, place: Path, day: date, by: float) -> str:
    """Register and promote an encoder that a course of a day could have left; return its fingerprint."""
    folder = shifted(tiny_encoder, place, by)
    told = {"config": {"method": "full"}, "fitted_until": str(day - timedelta(days=8)), "source": fingerprint_of(tiny_encoder)}
    summary = {
        **told,
        "fingerprint": fingerprint_of(folder),
        "before": {"popularity_weight": 0.0},
        "after": {"popularity_weight": 0.0},
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    assert promote_encoder(settings, register_tuned(settings, str(folder), day), day).promoted
    return fingerprint_of(folder)


def test_a_course_is_registered_with_before_and_after_and_judged_on_days_that_it_has_not_seen(shop, tiny_encoder, tmp_path):
    folder = course(shop, MONTH, tmp_path / "tuned")
    number = register_tuned(shop, folder, MONTH)
    frozen, taught = encoders(shop)
    assert (frozen.learner, frozen.content, frozen.promoted_on) == ("frozen", fingerprint_of(tiny_encoder), MONTH)
    assert (taught.learner, taught.content, taught.promoted_on) == ("lora", fingerprint_of(Path(folder)), None)
    assert (taught.trained_until, taught.fitted_until) == (MONTH, date(2026, 3, 4))
    assert register_tuned(shop, folder, MONTH) == number == "2", "the same folder keeps its version"
    run = client(shop).get_run(taught.run_id)
    assert {"before.ndcg", "after.ndcg", "after.gain.low"} <= set(run.data.metrics)
    assert run.data.params["parent"] == fingerprint_of(tiny_encoder)
    decision = promote_encoder(shop, number, MONTH)
    assert (decision.promoted, decision.champion, decision.users, decision.first_day) == (True, "1", 40, "2026-03-05")
    assert promote_encoder(shop, number, MONTH) == decision, "a decision is taken once"
    assert [row["aliases"] for row in overview(for_encoders(shop))] == ["candidate, champion", ""]
    assert promoted_encoder(shop, MONTH + timedelta(days=1)).number == 2
    assert promoted_encoder(shop, MONTH).number == 1


def test_a_gate_that_stays_shut_leaves_the_plain_encoder(shop, tmp_path):
    shut = shop.changed(promotion_margin=1000)
    number = register_tuned(shut, course(shut, MONTH, tmp_path / "tuned"), MONTH)
    decision = promote_encoder(shut, number, MONTH)
    assert not decision.promoted
    assert "over encoder version 1" in decision.reason
    assert tuned_folder(shut, LATER) == ""
    assert folder_to_encode(shut, LATER) == str(load_encoder(shut.text.encoder).folder)


def test_an_encoder_is_judged_on_its_own_day_and_unknown_ones_are_named(shop, tiny_encoder, tmp_path):
    tuned(shop, tiny_encoder, tmp_path / "a", MONTH, 0.01)
    with pytest.raises(BadSetting, match="cannot be promoted on 2026-03-22"):
        propose_encoder(shop, "2", LATER)
    with pytest.raises(MissingModel, match="Model recpipe-encoder has no version 7"):
        propose_encoder(shop, "7", MONTH)


def test_a_withdrawn_encoder_is_taken_by_no_further_training(shop, tiny_encoder, tmp_path):
    first = tuned(shop, tiny_encoder, tmp_path / "a", MONTH, 0.01)
    second = tuned(shop, tiny_encoder, tmp_path / "b", LATER, 0.02)
    week = date(2026, 3, 30)
    assert fingerprint_of(Path(of_week(shop, week).text.tuned_encoder)) == second
    withdraw(for_encoders(shop), "3", "It reads cups as trees.")
    assert fingerprint_of(Path(of_week(shop, week).text.tuned_encoder)) == first


@pytest.fixture
def two_weeks(shop: Settings, tiny_encoder: Path, tmp_path: Path) -> dict[date, str]:
    """Two encoders and two recommenders, each trained with the encoder that was promoted before its week; fingerprints by week."""
    found = {}
    for name, encoded_on, by in (("a", MONTH, 0.01), ("b", LATER, 0.02)):
        fingerprint = tuned(shop, tiny_encoder, tmp_path / f"encoder-{name}", encoded_on, by)
        week = encoded_on + timedelta(days=8)
        facts = json.loads((Path(export_training(of_week(shop, week), week)) / "facts.json").read_text())["facts"]
        assert facts["tuned_encoder"] == fingerprint
        folder = tmp_path / f"model-{name}"
        save(TextPrototype(popularity_weight=0.0), folder, facts)
        if ensure_first_champion(shop, week, str(folder)) is None:
            number = register(shop, str(folder), week)
            client(shop).set_model_version_tag("recpipe", number, "promoted_on", str(week))
        found[week] = fingerprint
    return found


def vectors_of_night(settings: Settings, plan: RunPlan) -> tuple[np.ndarray, np.ndarray | None]:
    catalogue = open_task(settings, LISTS, plan).state.known.evidence.catalogue
    return catalogue.vectors, catalogue.tuned


def test_a_night_reads_with_the_encoder_of_its_model_and_an_older_day_with_the_older_one(shop, two_weeks, tiny_encoder):
    (old_week, old), (new_week, new) = two_weeks.items()
    for day, number, wanted in ((new_week + timedelta(days=1), "2", new), (old_week + timedelta(days=1), "1", old)):
        plan = plan_night(shop, day)
        assert plan.model_version == number
        assert fingerprints_of(plan.model_folder)["tuned_encoder"] == wanted
        vectors, tuned_vectors = vectors_of_night(shop, plan)
        texts = open_task(shop, LISTS, plan).state.known.evidence.catalogue.texts
        np.testing.assert_array_equal(tuned_vectors, load_encoder(fetch_encoder(shop, wanted)).encode(texts))
        np.testing.assert_array_equal(vectors, load_encoder(str(tiny_encoder)).encode(texts))
        assert np.abs(tuned_vectors - vectors).max() > 1e-3


def test_what_the_settings_name_today_changes_no_older_day(shop, two_weeks):
    """Another plain encoder, and encoders that have to be fetched anew: the same rows."""
    day = min(two_weeks) + timedelta(days=1)
    recommend_day(shop, day)
    before = Lake.from_settings(shop).reader().read("recommendations", first=day, last=day)
    shutil.rmtree(shop.places.work / "models")
    today = shop.changed(encoder="")
    assert load_encoder(today.text.encoder).fingerprint != load_encoder(shop.text.encoder).fingerprint
    recommend_day(today, day)
    assert Lake.from_settings(today).reader().read("recommendations", first=day, last=day).equals(before)


def test_a_plan_travels_as_json_with_its_encoders(shop, two_weeks):
    plan = plan_day(shop, LISTS, max(two_weeks) + timedelta(days=1))
    assert RunPlan.from_json(json.loads(json.dumps(plan.as_json()))) == plan
    assert plan.bound(load_settings(home=shop.places.home)).text.tuned_encoder == plan.tuned_encoder != ""


def test_encoders_that_were_lost_are_named(shop, two_weeks):
    day = max(two_weeks) + timedelta(days=1)
    shutil.rmtree(shop.places.work / "models")
    for artifacts in (shop.places.home / "mlflow" / "artifacts").glob("*/artifacts/encoder"):
        shutil.rmtree(artifacts)
    with pytest.raises(MissingModel, match="The files of recpipe-encoder version 3 are gone"):
        plan_night(shop, day)


def test_changed_files_of_an_encoder_are_fetched_anew(shop, two_weeks):
    wanted = max(two_weeks.items())[1]
    place = Path(fetch_encoder(shop, wanted))
    (place / "vocab.txt").write_text("nothing")
    assert fingerprint_of(Path(fetch_encoder(shop, wanted))) == wanted


@pytest.mark.parametrize(("kept", "times", "promoted"), [(0.99, 2.0, True), (1e9, 2.0, False), (0.99, 1e9, False)])
def test_a_small_form_is_a_child_that_needs_quality_and_pace(shop, tiny_encoder, tmp_path, monkeypatch, kept, times, promoted):
    """The form is the parent itself with one layer: as good for texts of few words, and faster. The bounds decide."""
    from recpipe.promotion import encoder_small
    from recpipe.training.encoder.compress.distil import Student, distill

    tuned(shop, tiny_encoder, tmp_path / "a", MONTH, 0.01)
    parent = tuned_folder(shop, LATER)
    texts = [f"{colour} cup {n}" for colour in ("red", "blue", "green", "gold") for n in range(8)]
    distill(parent, texts, tmp_path / "small", Student(layers=1, steps=2))
    monkeypatch.setattr(encoder_small, "LEAST_QUALITY", kept if kept > 1 else 0.0)
    monkeypatch.setattr(encoder_small, "LEAST_PACE", times if times > 2 else 0.0)
    number = encoder_small.register_small(shop, str(tmp_path / "small"), parent, "distil")
    child = encoders(shop)[-1]
    assert (str(child.number), child.learner, child.trained_until) == (number, "distil", MONTH)
    decision = encoder_small.promote_small(shop, number, parent, texts, MONTH)
    assert decision.promoted is promoted
    assert "of the nDCG of encoder version 2 (40 users) at" in decision.reason
    assert (fingerprint_of(Path(folder_to_encode(shop, MONTH))) == child.content) is promoted


def test_the_run_of_a_course_that_was_given_up_is_closed(shop):
    from recpipe.registry.encoder_versions import open_run

    first, second, other = open_run(shop, "2026-03-31"), open_run(shop, "2026-03-31"), open_run(shop, "2026-04-30")
    status = {run: client(shop).get_run(run).info.status for run in (first, second, other)}
    assert status == {first: "KILLED", second: "RUNNING", other: "RUNNING"}


def test_a_training_takes_no_encoder_that_saw_the_weeks_it_learns_from(shop, tiny_encoder, tmp_path):
    fingerprint = tuned(shop, tiny_encoder, tmp_path / "a", MONTH, 0.01)
    lead = shop.changed(encoder_lead_weeks=2)
    first = MONTH + timedelta(days=8, weeks=2)
    assert of_week(lead, first - timedelta(days=1)).text.tuned_encoder == ""
    assert fingerprint_of(Path(of_week(lead, first).text.tuned_encoder)) == fingerprint


def test_a_small_form_of_the_plain_encoder_is_not_promoted(shop, tiny_encoder, tmp_path, monkeypatch):
    from recpipe.promotion import encoder_small
    from recpipe.promotion.encoder_register import promote_frozen

    promote_frozen(shop, MONTH)
    small = shifted(tiny_encoder, tmp_path / "small", 0.01)
    monkeypatch.setattr(encoder_small, "LEAST_QUALITY", 0.0)
    monkeypatch.setattr(encoder_small, "LEAST_PACE", 0.0)
    number = encoder_small.register_small(shop, str(small), str(tiny_encoder), "distil")
    decision = encoder_small.promote_small(shop, number, str(tiny_encoder), ["red cup"] * 8, MONTH)
    assert (decision.promoted, decision.users) == (False, 40)
    assert "was never fine-tuned" in decision.reason
    assert tuned_folder(shop, LATER) == ""

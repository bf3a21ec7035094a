"""What reviews say: by hand on a shop where red is good and blue is bad, and on real reviews of clothing."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from small_shop import Shop, event, open_shop

from recpipe.config.settings import load_settings
from recpipe.contract import TABLES
from recpipe.errors import AuditFailed, BadSetting, MissingDay
from recpipe.lake.lake import Lake
from recpipe.pipeline.plan import plan_day
from recpipe.pipeline.publish import run_day
from recpipe.pipeline.task_outcomes import measure_task
from recpipe.tables.reviews import review_insights
from recpipe.tables.reviews.aspects import clauses
from recpipe.tables.reviews.review_insights import FACTS, INSIGHTS
from recpipe.tables.reviews.stars import Stars, learn_stars, level_of
from recpipe.text.encoder import load_encoder
from recpipe.validation.audit import audit

DAY = date(2026, 3, 2)
RED, BLUE = "red wonderful", "blue terrible"
MIXED, TURN = f"{RED}. green {BLUE}!", f"{BLUE}, but green {RED}"


def review(event_id: str, item_id: str | None, text: str | None, rating: float | None = None, user: str = "u") -> dict:
    return event(user, item_id, "review", "2026-03-01 10:00", event_id) | {"text": text, "rating": rating}


def know(shop: Shop, *texts: str) -> None:
    shop.know(*texts, *(text[start:end] for text in texts for start, end in clauses(text)))


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Eight rated reviews on the first day; on the second some without, one with a rating, and one without a text."""
    file = tmp_path / "aspects.txt"
    file.write_text("size: green\nprice: dear, cheap*\n")
    shop = open_shop(tmp_path / "home", min_users=1, review_aspects=str(file))
    rated = [review(f"{side}{n}", "old", text, stars) for side, text, stars in (("p", RED, 5), ("n", BLUE, 1)) for n in range(4)]
    shop.deliver("2026-03-01", events=tuple(rated))
    today = (
        review("r1", "mug", MIXED), review("r2", "mug", RED, 2.0), review("r3", "cup", TURN), review("r4", "cup", " "),
        review("r5", None, RED), event("u", "cup", "purchase", "2026-03-02 10:00", "b1"),
    )  # fmt: skip
    shop.deliver("2026-03-02", events=today)
    know(shop, RED, BLUE, MIXED, TURN, "green", "dear", "cheap")
    return shop


def rows(shop: Shop, day: date = DAY) -> dict[tuple[str, str], dict]:
    found = shop.lake.reader().read("review_insights", day, day).to_pylist()
    return {(row["event_id"], row["aspect"]): row for row in found}


def test_every_review_has_its_stars_and_every_aspect_its_span(shop):
    done = run_day(shop.settings, INSIGHTS, DAY)
    found = rows(shop)
    assert done["rows"] == len(found) == 5
    shown = {key: (row["item_id"], row["rating"], row["polarity"], row["cue"], row["evidence"]) for key, row in found.items()}
    assert shown["r2", "overall"] == ("mug", 2.0, "positive", None, RED)
    assert shown["r1", "size"] == ("mug", None, "negative", "green", f"green {BLUE}")
    assert shown["r3", "size"] == ("cup", None, "positive", "green", f"green {RED}")
    assert set(found) == {("r1", "overall"), ("r1", "size"), ("r2", "overall"), ("r3", "overall"), ("r3", "size")}
    assert (found["r3", "size"]["evidence_start"], found["r3", "size"]["evidence_end"]) == (19, 38)
    for row in found.values():  # two levels, 1 and 5: the expected stars follow from the probability of the better one
        positive = row["confidence"] if row["expected_rating"] >= 3 else 1 - row["confidence"]
        assert row["expected_rating"] == pytest.approx(1 + 4 * positive, abs=1e-5)
        assert row["abstained"] == (row["confidence"] < 0.6) == (row["polarity"] is None)
    record = shop.lake.day("review_insights", DAY)
    assert record.model_version.startswith(load_encoder(shop.settings.text.encoder).fingerprint[:12] + "+")
    assert {entry.table for entry in record.inputs} == {"events"}


def test_no_user_stands_in_the_table():
    assert "user_id" not in TABLES["review_insights"].columns + TABLES["item_digests"].columns


def test_rows_do_not_depend_on_shards(shop, monkeypatch):
    monkeypatch.setattr(review_insights, "REVIEWS_A_BLOCK", 1)
    run_day(shop.settings, INSIGHTS, DAY, shards=1)
    once = rows(shop)
    run_day(shop.settings, INSIGHTS, DAY, shards=3)
    assert rows(shop) == once


def test_a_later_delivery_changes_nothing(shop):
    run_day(shop.settings, INSIGHTS, DAY)
    before = rows(shop)
    shop.deliver("2026-03-03", events=(review("r1", "mug", MIXED, 5), review("z", "mug", BLUE, 5)))
    run_day(shop.settings, INSIGHTS, DAY)
    assert rows(shop) == before


def test_ratings_of_the_day_itself_teach_nothing(shop):
    run_day(shop.settings, INSIGHTS, date(2026, 3, 1))
    found = rows(shop, date(2026, 3, 1))
    assert len(found) == 8
    for row in found.values():
        assert (row["polarity"], row["expected_rating"], row["confidence"], row["abstained"]) == (None, None, None, True)


def test_the_days_that_a_night_reads_teach_and_no_earlier_ones(shop):
    """Of two days, the day itself among them, the one before teaches; of one day, none does."""
    for days, taught in ((2, True), (1, False)):
        run_day(shop.settings.changed(lookback_days=days), INSIGHTS, DAY)
        assert {row["expected_rating"] is not None for row in rows(shop).values()} == {taught}


def test_nothing_is_said_that_is_not_likely_enough(shop):
    run_day(shop.settings.changed(least_confidence=1.0), INSIGHTS, DAY)
    assert all(row["abstained"] and row["polarity"] is None and row["confidence"] >= 0.5 for row in rows(shop).values())


def test_a_day_without_reviews_is_empty(shop):
    later = shop.deliver("2026-03-03")
    assert run_day(shop.settings, INSIGHTS, later)["rows"] == 0
    assert shop.lake.day("review_insights", later).status == "empty"
    with pytest.raises(MissingDay, match="events"):
        run_day(shop.settings, INSIGHTS, date(2026, 3, 9))


def test_a_wrong_file_of_aspects_stops_the_day(shop, tmp_path):
    (tmp_path / "aspects.txt").write_text("size green\n")
    with pytest.raises(BadSetting, match="line 1"):
        run_day(shop.settings, INSIGHTS, DAY)


# --- stars --------------------------------------------------------------------------------------------------------


class Fixed:
    """A classifier whose probabilities are written down."""

    def probabilities(self, texts):
        return np.array([[0.5, 0.25, 0.25]] * len(texts))


def test_probabilities_are_those_of_texts_as_they_come():
    """Level 5 is twice as frequent as among those drawn: .5, .25, .5 of 1.25; then a tenth of doubt over three levels."""
    stars = Stars(np.array([1.0, 3.0, 5.0]), Fixed(), np.array([1.0, 1.0, 2.0]), 0.1, 3.0)
    low, middle, high = 0.9 * 0.4 + 0.1 / 3, 0.9 * 0.2 + 0.1 / 3, 0.9 * 0.4 + 0.1 / 3
    assert stars.probabilities(["a"])[0] == pytest.approx([low, middle, high])
    judged = stars.judge(["a"])
    assert judged.rating[0] == pytest.approx(low + 3 * middle + 5 * high)
    assert judged.positive[0] == pytest.approx(0.5)


def test_shots_are_drawn_a_star_and_stay_the_same():
    def encode(texts):
        return np.array([[1.0, 0.0] if "red" in text else [0.0, 1.0] for text in texts], np.float32)

    ids = [f"e{n}" for n in range(30)]
    texts, ratings = ["red", "blue", "red"] * 10, [5.0, 1.0, 4.6] * 10
    stars = learn_stars(ids, texts, ratings, 3.0, encode, 4)
    assert stars.levels.tolist() == [1.0, 5.0]
    assert len(stars.classifier.vectors) == 8
    assert stars.weight == pytest.approx([(10 / 30) / (4 / 8), (20 / 30) / (4 / 8)])
    turned = learn_stars(ids[::-1], texts[::-1], ratings[::-1], 3.0, encode, 4)
    assert (turned.probabilities(["red"]) == stars.probabilities(["red"])).all()
    assert learn_stars(ids, texts, [4.0] * 30, 3.0, encode, 4) is None
    assert [level_of(rating) for rating in (1.0, 2.4, 2.5, 4.9)] == [1, 2, 3, 5]


# --- what became of it --------------------------------------------------------------------------------------------


def test_what_became_of_the_reviews(shop):
    """r2 came with two stars and was taken for good; r3 gets five later; r1 gets three, which are neither; r4 says nothing."""
    run_day(shop.settings, INSIGHTS, DAY)
    said = {event_id: row for (event_id, aspect), row in rows(shop).items() if aspect == "overall"}
    later = shop.deliver("2026-03-09", events=(review("r1", "mug", MIXED, 3.0), review("r3", "cup", TURN, 5.0)))
    found = measure_task(shop.settings, INSIGHTS, shop.lake.reader(), later).to_pylist()
    value = {(row["metric"], row["name"]): row["value"] for row in found}
    version = said["r1"]["model_version"]
    truth = {"r1": 3.0, "r2": 2.0, "r3": 5.0}
    away = np.mean([abs(said[name]["expected_rating"] - stars) for name, stars in truth.items()])
    assert value["rating_mae", version] == pytest.approx(away)
    assert value["rating_mae", "item_mean"] == pytest.approx((0 + 1 + 2) / 3)  # no item had a rating: all had a mean of 3
    assert value["rating_mae_gain", version] == pytest.approx(1 - away)
    right = {"r2": said["r2"]["polarity"] == "negative", "r3": said["r3"]["polarity"] == "positive"}
    given = [right[name] for name in right if not said[name]["abstained"]]
    assert value["polarity_accuracy", version] == pytest.approx(np.mean(given))
    assert value["polarity_coverage", version] == pytest.approx(len(given) / 2)
    assert {(row["table"], row["cohort"], row["day"]) for row in found} == {("review_insights", "all", later)}


def test_reviews_that_never_get_a_rating_are_not_measured(tmp_path):
    shop = open_shop(tmp_path / "home")
    shop.deliver("2026-03-02")
    run_day(shop.settings, INSIGHTS, DAY)
    found = measure_task(shop.settings, INSIGHTS, shop.lake.reader(), shop.deliver("2026-03-09")).to_pylist()
    assert {(row["value"], row["users"]) for row in found} == {(None, 0)}


# --- the suite ----------------------------------------------------------------------------------------------------

GOOD = {
    "day": DAY, "event_id": "r1", "item_id": "mug", "aspect": "size", "rating": None, "expected_rating": 1.4, "polarity": "negative",
    "confidence": 0.9, "abstained": False, "cue": "green", "evidence_start": 15, "evidence_end": 34,
    "evidence": f"green {BLUE}", "model_version": "v",
}  # fmt: skip
BREAKS = [
    ("unknown_reviews", {"event_id": "p1"}),
    ("unknown_reviews", {"item_id": "cup"}),
    ("reviews_without_row", {}),
    ("unknown_aspects", {"aspect": "taste"}),
    ("spans_amiss", {"evidence_start": 14}),
    ("spans_amiss", {"evidence": None, "evidence_start": None, "evidence_end": None}),
    ("cues_amiss", {"cue": "small"}),
    ("cues_amiss", {"cue": None}),
    ("polarities_amiss", {"polarity": None}),
    ("polarities_amiss", {"confidence": 0.55}),
    ("polarities_amiss", {"abstained": True}),
    ("ratings_amiss", {"expected_rating": 5.2}),
]


@pytest.mark.parametrize(("fact", "change"), BREAKS)
def test_a_row_that_is_amiss_is_counted(shop, fact, change):
    plan = plan_day(shop.settings, INSIGHTS, DAY)
    state = review_insights.open_reviews(shop.settings, plan, shop.lake.reader(plan.versions))
    assert set(review_insights.count_faults(state, [GOOD], []).values()) == {0}
    assert review_insights.count_faults(state, [GOOD | change], [state.reviews[0]])[fact] == 1


@pytest.mark.parametrize("fact", FACTS)
def test_a_fault_stops_the_publication(shop, fact):
    table = pa.Table.from_pylist([GOOD], schema=TABLES["review_insights"].schema)
    facts, suite = dict.fromkeys(FACTS, 0), review_insights.suite(shop.settings)
    with pytest.raises(AuditFailed):
        audit(shop.settings, "review_insights", DAY, table.to_batches(), facts | {fact: 1}, suite).raise_if_failed()


# --- real reviews -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ratings_of_clothing_are_found_again_and_the_evidence_carries_them(tmp_path):
    """40 reviews a star teach; of others that come without a rating, most polarities are right, and stars beat the items' means."""
    if not os.environ.get("RECPIPE_TEST_DATA"):
        pytest.skip("needs real data: set RECPIPE_TEST_DATA to the folder that holds few_shot_text")
    import pandas as pd

    table = pd.read_parquet(Path(os.environ["RECPIPE_TEST_DATA"]) / "few_shot_text" / "womens_clothing_reviews.parquet")
    table = table.dropna(subset=["review_text"]).sample(frac=1, random_state=0)
    taught = table.groupby("rating").head(40)
    asked = table.drop(taught.index).groupby("rating").head(12)
    settings = load_settings(home=tmp_path / "home", encoder="", min_users=1)
    deliver(settings, date(2026, 3, 1), taught, ratings=True)
    deliver(settings, DAY, asked, ratings=False)
    run_day(settings, INSIGHTS, DAY)
    deliver(settings, date(2026, 3, 9), asked, ratings=True)
    reader = Lake.from_settings(settings).reader()
    found = measure_task(settings, INSIGHTS, reader, date(2026, 3, 9)).to_pylist()
    value = {(row["metric"], row["name"] == "item_mean"): row["value"] for row in found}
    print(value)
    assert value["polarity_accuracy", False] >= 0.75
    assert value["polarity_accuracy", False] > value["polarity_accuracy", True]
    assert value["rating_mae_gain", False] > 0.2
    drops = faithfulness(settings, reader, {str(row.Index): row.review_text for row in asked.itertuples()})
    print("removing the evidence, and the mean of removing another clause:", drops)
    assert drops[0] > drops[1]


def faithfulness(settings, reader, texts: dict[str, str]) -> tuple[float, float]:
    """Return by how much the probability of what was said falls without the named clause, and without another one."""
    plan = plan_day(settings, INSIGHTS, DAY)
    stars = review_insights.open_reviews(settings, plan, reader).stars
    told = [row for row in reader.read("review_insights", DAY, DAY).to_pylist() if row["aspect"] == "overall" and row["polarity"]]
    own, other = [], []
    for row in told[:20]:
        text, span = texts[row["event_id"]], (row["evidence_start"], row["evidence_end"])
        others = [one for one in clauses(text) if one != span][:3]
        if others:
            left = [text[:start] + text[end:] for start, end in [span, *others]]
            sure = stars.judge(left).positive
            fall = row["confidence"] - (sure if row["polarity"] == "positive" else 1 - sure)
            own.append(fall[0])
            other.append(fall[1:].mean())
    return float(np.mean(own)), float(np.mean(other))


def deliver(settings, day, table, *, ratings: bool) -> None:
    found = [
        review(str(row.Index), str(row.clothing_id), row.review_text, float(row.rating) if ratings else None)
        for row in table.itertuples()
    ]
    schema = TABLES["events"].schema
    full = [{column: {**row, "day": day}.get(column) for column in schema.names} for row in found]
    Lake.from_settings(settings).publish("events", [day], pa.Table.from_pylist(full, schema=schema))

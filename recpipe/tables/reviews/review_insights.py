"""The insights of a day's reviews: stars and polarity of each review and of each aspect, with the span that says so."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.contract import POLARITIES, REVIEW_INSIGHTS
from recpipe.lake.reader import Reader, window
from recpipe.pipeline.blocks import blocks_of, shard_of
from recpipe.pipeline.run_plan import RunPlan
from recpipe.pipeline.table import Facts, Task
from recpipe.tables.reviews.aspects import OVERALL, Aspect, aspects_file, aspects_hash, clauses, read_aspects
from recpipe.tables.reviews.review_outcomes import measure
from recpipe.tables.reviews.reviews import Review, read_reviews
from recpipe.tables.reviews.stars import Judged, Stars, learn_stars
from recpipe.text.encoder import Encoder, load_encoder
from recpipe.validation.suites import Suite, whole_suite

log = logging.getLogger(__name__)

REVIEWS_A_BLOCK: Final = 64


@dataclass(frozen=True)
class State:
    """What the rows of a day are made from.

    Attributes
    ----------
    day, least, bounds, version
        The day, the least confidence that is said aloud, the bounds of ratings, and what makes the rows.
    reviews
        Of the day, by event id.
    stars
        Learned from rated reviews of the days before; None where these do not show what is good and what is bad.
    aspects, directions
        By name, and (aspects, d) mean vectors of their words.
    encoder
        Of the settings.
    """

    day: date
    least: float
    bounds: tuple[float, float]
    version: str
    reviews: list[Review]
    stars: Stars | None
    aspects: list[Aspect]
    directions: NDArray[np.float64]
    encoder: Encoder


@dataclass(frozen=True)
class Clause:
    """A clause of a review, with its place among all clauses of the block."""

    number: int
    start: int
    end: int
    text: str


def version(settings: Settings, day: date) -> str:
    """Return what makes the insights: the encoder, and the file of aspects."""
    return f"{load_encoder(settings.text.encoder).fingerprint[:12]}+{aspects_hash(settings.reviews)[:8]}"


def open_reviews(settings: Settings, plan: RunPlan, reader: Reader) -> State:
    """Read the reviews of the day, and learn from the rated ones of the days before.

    Those of the day itself never teach: what is said of a rated one is a prediction, too, and can be measured.
    """
    day = plan.day
    known = read_reviews(reader, *window(day, settings.history.lookback_days))
    rated = [review for review in known if review.day < day and review.rating is not None]
    encoder = load_encoder(settings.text.encoder, settings.places.work / "encoder")
    middle = sum(settings.intake.rating_bounds) / 2
    ids, texts = [review.event_id for review in rated], [review.text for review in rated]
    ratings = [review.rating for review in rated if review.rating is not None]
    stars = learn_stars(ids, texts, ratings, middle, encoder.encode, settings.reviews.review_shots)
    if stars is None:
        log.warning("Too few reviews before %s have ratings above and below %g: no review gets a polarity.", day, middle)
    else:
        kept = stars.classifier.setting.accuracy
        log.info("Stars learned from %d of %d texts; %.1f %% right when left out.", _taught(stars), len(rated), 100 * kept)
    aspects = read_aspects(aspects_file(settings.reviews))
    today = [review for review in known if review.day == day]
    return State(
        day, settings.item_classes.least_confidence, settings.intake.rating_bounds, plan.model_version, today, stars, aspects,
        _directions(aspects, encoder) if today else np.zeros((len(aspects), encoder.dimensions)), encoder,
    )  # fmt: skip


def _taught(stars: Stars) -> int:
    return len(stars.classifier.vectors)


def _directions(aspects: list[Aspect], encoder: Encoder) -> NDArray[np.float64]:
    """Return (aspects, d) unit vectors: the mean of the vectors of each aspect's words."""
    words = [[word.rstrip("*") for word in aspect.words] for aspect in aspects]
    vectors = encoder.encode([word for some in words for word in some]).astype(np.float64)
    ends = np.cumsum([len(some) for some in words])
    means = [vectors[end - len(some) : end].mean(0) for end, some in zip(ends, words, strict=True)]
    return np.array([mean / max(float(np.linalg.norm(mean)), 1e-12) for mean in means]).reshape(len(aspects), encoder.dimensions)


# --- the rows -----------------------------------------------------------------------------------------------------


def make(state: State, shard: int, shards: int) -> tuple[pa.Table, Facts]:
    """Return what the reviews of one shard say, and what the audit wants to know of the rows."""
    ids = np.array([review.event_id for review in state.reviews], object)
    rows: list[dict[str, Any]] = []
    asked: list[Review] = []
    for block in shard_of(blocks_of(ids, REVIEWS_A_BLOCK), shard, shards):
        some = [state.reviews[row] for row in block]
        rows += _block(state, some)
        asked += some
    return pa.Table.from_pylist(rows, schema=REVIEW_INSIGHTS.schema), count_faults(state, rows, asked)


def _block(state: State, reviews: list[Review]) -> list[dict[str, Any]]:
    """Return the rows of a block of reviews, which is always made as a whole."""
    parts: list[list[Clause]] = []
    for review in reviews:
        begin = sum(map(len, parts))
        spans = enumerate(clauses(review.text), begin)
        parts.append([Clause(number, start, end, review.text[start:end]) for number, (start, end) in spans])
    texts = [clause.text for some in parts for clause in some]
    near = np.round(state.encoder.encode(texts).astype(np.float64) @ state.directions.T, 6)
    of_clause = state.stars.judge(texts) if state.stars else None
    of_review = state.stars.judge([review.text for review in reviews]) if state.stars else None
    rows = []
    for place, (review, some) in enumerate(zip(reviews, parts, strict=True)):
        rows.append(_row(state, review, OVERALL, None, _telling(of_review, place, of_clause, some), of_review, place))
        for number, aspect in enumerate(state.aspects):
            spoken = [(clause, found.group()) for clause in some if (found := aspect.pattern.search(clause.text))]
            if spoken:
                clause, cue = max(spoken, key=lambda pair: (near[pair[0].number, number], -pair[0].number))
                rows.append(_row(state, review, aspect.name, cue, clause, of_clause, clause.number))
    return rows


def _telling(whole: Judged | None, place: int, parts: Judged | None, some: list[Clause]) -> Clause | None:
    """Return the clause that by itself speaks the most for what is said of the whole review."""
    if whole is None or parts is None or not some:
        return None
    side = 1 if whole.positive[place] >= 0.5 else -1
    return max(some, key=lambda clause: (side * parts.positive[clause.number], -clause.number))


def _row(
    state: State, review: Review, aspect: str, cue: str | None, clause: Clause | None, judged: Judged | None, place: int
) -> dict[str, Any]:
    positive = float(judged.positive[place]) if judged else None
    confidence = None if positive is None else max(positive, 1 - positive)
    abstained = confidence is None or confidence < state.least
    side = None if abstained or positive is None else POLARITIES[positive < 0.5]
    return {
        "day": state.day,
        "event_id": review.event_id,
        "item_id": review.item_id,
        "aspect": aspect,
        "rating": review.rating,
        "expected_rating": float(judged.rating[place]) if judged else None,
        "polarity": side,
        "confidence": confidence,
        "abstained": abstained,
        "cue": cue,
        "evidence_start": clause.start if clause else None,
        "evidence_end": clause.end if clause else None,
        "evidence": clause.text if clause else None,
        "model_version": state.version,
    }


# --- is it good enough? -------------------------------------------------------------------------------------------


FACTS: Final = (
    "unknown_reviews", "reviews_without_row", "unknown_aspects", "spans_amiss", "cues_amiss", "polarities_amiss",
    "ratings_amiss",
)  # fmt: skip


def count_faults(state: State, rows: list[dict[str, Any]], asked: list[Review]) -> Facts:
    """Count what is wrong with rows, from the reviews and not from the model's arrays."""
    known = {review.event_id: review for review in state.reviews}
    names = {aspect.name for aspect in state.aspects} | {OVERALL}
    whole = {row["event_id"] for row in rows if row["aspect"] == OVERALL}
    low, high = state.bounds
    return {
        "unknown_reviews": sum(known.get(row["event_id"], _NOBODY).item_id != row["item_id"] for row in rows),
        "reviews_without_row": len({review.event_id for review in asked} - whole),
        "unknown_aspects": sum(row["aspect"] not in names for row in rows),
        "spans_amiss": sum(not _quotes(known.get(row["event_id"], _NOBODY).text, row) for row in rows),
        "cues_amiss": sum((row["aspect"] == OVERALL) != (row["cue"] is None) for row in rows)
        + sum(row["cue"] is not None and row["cue"] not in (row["evidence"] or "") for row in rows),
        "polarities_amiss": sum(not _sure(row, state.least) for row in rows),
        "ratings_amiss": sum(row["expected_rating"] is not None and not low <= row["expected_rating"] <= high for row in rows),
    }


_NOBODY: Final = Review(date.min, "", "", "", None)


def _quotes(text: str, row: dict[str, Any]) -> bool:
    """Whether the evidence is what stands at its place; a whole review may have none."""
    if row["evidence"] is None:
        return bool(row["aspect"] == OVERALL and row["evidence_start"] is None and row["evidence_end"] is None)
    return bool(row["evidence"]) and text[row["evidence_start"] : row["evidence_end"]] == row["evidence"]


def _sure(row: dict[str, Any], least: float) -> bool:
    """Whether a polarity stands there exactly where it is likely enough."""
    likely = row["confidence"] is not None and row["confidence"] >= least
    return likely == (row["polarity"] is not None) == (not row["abstained"])


def suite(settings: Settings) -> Suite:
    """Return what is expected of a day of insights."""
    from recpipe.validation.rule import between, none

    return whole_suite(
        REVIEW_INSIGHTS.name,
        settings.intake,
        rows=[between("confidence", 0.5, 1, "Every confidence is the probability of the likelier of two")],
        day=[
            none("unknown_reviews", "Every row speaks of a review of the day, and of its item"),
            none("reviews_without_row", "Every review has a row for the whole of it"),
            none("unknown_aspects", "Every aspect stands in the file of aspects"),
            none("spans_amiss", "Every evidence is what the text has at that place"),
            none("cues_amiss", "The word that named an aspect stands in its evidence"),
            none("polarities_amiss", "A polarity is given exactly where it is as likely as set"),
            none("ratings_amiss", "Expected ratings are within the bounds"),
        ],
        needed=FACTS,
    )


INSIGHTS: Final = Task(
    table=REVIEW_INSIGHTS,
    reads=("events",),
    description="Stars, polarity and aspects of every review, each with the span that says so, from a few rated reviews.",
    open=open_reviews,
    build=make,
    version=version,
    suite=suite,
    measure=measure,
)

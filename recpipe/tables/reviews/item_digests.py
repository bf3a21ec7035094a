"""The digest of an item's reviews: counts, ratings, shares and spans by aspect, and the trend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa

from recpipe.config.settings import Settings
from recpipe.contract import ITEM_DIGESTS, POLARITIES, REVIEW_INSIGHTS
from recpipe.lake.reader import Reader
from recpipe.pipeline.blocks import stable_hash
from recpipe.pipeline.run_plan import RunPlan
from recpipe.pipeline.table import Facts, Metric, Task
from recpipe.pipeline.task_outcomes import mean_metric
from recpipe.tables.reviews.aspects import OVERALL
from recpipe.tables.reviews.reviews import Review, read_reviews
from recpipe.text.encoder import Encoder, load_encoder
from recpipe.validation.suites import Suite, whole_suite

WINDOW_DAYS: Final = 28
"""Days of a digest; the trend compares them with as many days before."""
MOST_SPANS: Final = 200
"""Of a side, among which the one that stands for them is looked for."""
NORMAL: Final = 1.959964
"""97.5 % point of the normal distribution."""

Row = dict[str, Any]
Key = tuple[str, str]


@dataclass(frozen=True)
class State:
    """What the rows of a day are made from: rows of `review_insights` by item and aspect, of both windows."""

    day: date
    version: str
    now: dict[Key, list[Row]]
    before: dict[Key, list[Row]]
    encoder: Encoder


def version(settings: Settings, day: date) -> str:
    """Return what makes the digests: the encoder, by which spans are alike."""
    return load_encoder(settings.text.encoder).fingerprint[:12]


def open_digests(settings: Settings, plan: RunPlan, reader: Reader) -> State:
    """Read the insights of the last days, and of as many before."""
    day = plan.day
    rows = read_insights(reader, day - timedelta(days=2 * WINDOW_DAYS - 1), day)
    edge = day - timedelta(days=WINDOW_DAYS)
    encoder = load_encoder(settings.text.encoder, settings.places.work / "encoder")
    now, before = ([row for row in rows if (row["day"] > edge) == late] for late in (True, False))
    return State(day, plan.model_version, _by_key(now), _by_key(before), encoder)


def read_insights(reader: Reader, first: date, last: date) -> list[Row]:
    """Return what some days say of reviews, by review and aspect; of a review that two days speak of, the later one."""
    rows = reader.read(REVIEW_INSIGHTS.name, first, last).to_pylist()
    newest: dict[str, date] = {}
    for row in rows:
        newest[row["event_id"]] = max(row["day"], newest.get(row["event_id"], date.min))
    kept = [row for row in rows if row["day"] == newest[row["event_id"]]]
    return sorted(kept, key=lambda row: (row["event_id"], row["aspect"]))


def _by_key(rows: list[Row]) -> dict[Key, list[Row]]:
    found: dict[Key, list[Row]] = {}
    for row in rows:
        found.setdefault((row["item_id"], row["aspect"]), []).append(row)
    return found


def make(state: State, shard: int, shards: int) -> tuple[pa.Table, Facts]:
    """Return the digests of one shard's items, and what the audit wants to know of them."""
    keys = [key for key in sorted({*state.now, *state.before}) if stable_hash(key[0]) % shards == shard]
    rows = [_digest(state, key) for key in keys]
    return pa.Table.from_pylist(rows, schema=ITEM_DIGESTS.schema), count_faults(state, rows, keys)


def _digest(state: State, key: Key) -> Row:
    now, before = state.now.get(key, []), state.before.get(key, [])
    good, bad = (_side(now, side) for side in POLARITIES)
    earlier = [len(_side(before, side)) for side in POLARITIES]
    praise, blame = (_speaker(state.encoder, side) for side in (good, bad))
    trend = difference(len(good), len(good) + len(bad), earlier[0], sum(earlier))
    return {
        "day": state.day,
        "item_id": key[0],
        "aspect": key[1],
        "reviews": len(now),
        "reviews_before": len(before),
        "positive": len(good),
        "negative": len(bad),
        "positive_share": len(good) / (len(good) + len(bad)) if good or bad else None,
        "mean_rating": _mean([row["rating"] for row in now]),
        "mean_expected_rating": _mean([row["expected_rating"] for row in now]),
        **dict(zip(("trend", "trend_low", "trend_high"), trend, strict=True)),
        "praise": praise and praise["evidence"],
        "praise_event_id": praise and praise["event_id"],
        "complaint": blame and blame["evidence"],
        "complaint_event_id": blame and blame["event_id"],
        "model_version": state.version,
    }


def _side(rows: list[Row], side: str) -> list[Row]:
    return [row for row in rows if row["polarity"] == side]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _speaker(encoder: Encoder, rows: list[Row]) -> Row | None:
    """Return the row whose span is the most like the spans of its side (their medoid); of equals the surest, then by id."""
    said = sorted((row for row in rows if row["evidence"]), key=lambda row: (-row["confidence"], row["event_id"]))[:MOST_SPANS]
    if len(said) < 2:
        return said[0] if said else None
    vectors = encoder.encode([row["evidence"] for row in said]).astype(np.float64)
    like = np.round(vectors @ vectors.sum(0), 6)
    return said[int(like.argmax())]


def difference(good: int, all_: int, good_before: int, all_before: int) -> tuple[float | None, float | None, float | None]:
    """Return the difference of two shares with its 95 % interval; None where one of them has nothing to count.

    Of Wilson's intervals of both shares (Newcombe 1998, "Interval estimation for the difference between independent
    proportions", method 10), which holds for small counts too.
    """
    if not all_ or not all_before:
        return None, None, None
    now, before = good / all_, good_before / all_before
    (low, high), (low_before, high_before) = wilson(good, all_), wilson(good_before, all_before)
    down = math.hypot(now - low, high_before - before)
    up = math.hypot(high - now, before - low_before)
    return now - before, max(now - before - down, -1.0), min(now - before + up, 1.0)


def wilson(good: int, all_: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share (Wilson 1927)."""
    share, square = good / all_, NORMAL**2
    middle = share + square / (2 * all_)
    width = NORMAL * math.sqrt(share * (1 - share) / all_ + square / (4 * all_**2))
    return max((middle - width) / (1 + square / all_), 0.0), min((middle + width) / (1 + square / all_), 1.0)


# --- is it good enough? -------------------------------------------------------------------------------------------

FACTS: Final = ("unknown_reviews", "keys_without_row", "counts_amiss", "speakers_amiss", "trends_amiss")


def count_faults(state: State, rows: list[Row], asked: list[Key]) -> Facts:
    """Count what is wrong with rows, from the insights."""
    spoken_of = {*state.now, *state.before}
    return {
        "unknown_reviews": sum((row["item_id"], row["aspect"]) not in spoken_of for row in rows),
        "keys_without_row": len(set(asked) - {(row["item_id"], row["aspect"]) for row in rows}),
        "counts_amiss": sum(
            row["positive"] + row["negative"] > row["reviews"] or row["reviews"] + row["reviews_before"] < 1 for row in rows
        ),
        "speakers_amiss": sum(not _speaks(state, row, *pair) for row in rows for pair in zip(_SPEAKERS, POLARITIES, strict=True)),
        "trends_amiss": sum(not _ordered(row) for row in rows),
    }


_SPEAKERS: Final = ("praise", "complaint")


def _speaks(state: State, row: Row, speaker: str, side: str) -> bool:
    """Whether a span is one that a review of that side has."""
    said = {(one["event_id"], one["evidence"]) for one in _side(state.now.get((row["item_id"], row["aspect"]), []), side)}
    return row[speaker] is None or (row[f"{speaker}_event_id"], row[speaker]) in said


def _ordered(row: Row) -> bool:
    ends = row["trend_low"], row["trend"], row["trend_high"]
    return ends == (None, None, None) or (None not in ends and -1 <= ends[0] <= ends[1] <= ends[2] <= 1)


def suite(settings: Settings) -> Suite:
    """Return what is expected of a day of digests."""
    from recpipe.validation.rule import between, none

    low, high = settings.intake.rating_bounds
    return whole_suite(
        ITEM_DIGESTS.name,
        settings.intake,
        rows=[
            between("positive_share", 0, 1, "Every share is one"),
            between("mean_rating", low, high, "Mean ratings are within the bounds"),
            between("mean_expected_rating", low, high, "Mean expected ratings are within the bounds"),
        ],
        day=[
            none("unknown_reviews", "Every digest is of reviews that stand in review_insights"),
            none("keys_without_row", "Every item and aspect that reviews speak of has a digest"),
            none("counts_amiss", "No more polarities are counted than reviews"),
            none("speakers_amiss", "Every span that is shown is one of a review of its side"),
            none("trends_amiss", "Every trend lies within its interval, or neither is there"),
        ],
        needed=FACTS,
    )


# --- what became of it --------------------------------------------------------------------------------------------

SHOP_MEAN: Final = "shop_mean"
"""The baseline: the mean of all digests, each counted as often as it has reviews."""


def measure(settings: Settings, reader: Reader, made_on: date, day: date) -> list[Metric]:
    """Compare the mean expected rating of each item with the mean of the ratings that it got since.

    These are read from the events, which are there when outcomes are measured; insights of the last days may not be.
    ``next_rating_mae`` is the mean distance in stars, over the items that got one; ``next_rating_mae_gain`` by how much it is
    smaller than that of the baseline.
    """
    rows = [row for row in reader.read(ITEM_DIGESTS.name, made_on, made_on).to_pylist() if row["aspect"] == OVERALL]
    known = {row["item_id"]: row for row in rows if row["mean_expected_rating"] is not None}
    since = _given(read_reviews(reader, made_on + timedelta(days=1), day))
    items = sorted(set(known) & set(since))
    truth = np.array([_mean(since[item]) for item in items], np.float64)
    own = np.array([known[item]["mean_expected_rating"] for item in items], np.float64)
    weight = [row["reviews"] for row in known.values()]
    mean = float(np.average([row["mean_expected_rating"] for row in known.values()], weights=weight)) if known else math.nan
    away, of_mean = np.abs(own - truth), np.abs(mean - truth)
    return [
        _metric(settings, day, "next_rating_mae", away),
        _metric(settings, day, "next_rating_mae", of_mean, SHOP_MEAN),
        _metric(settings, day, "next_rating_mae_gain", of_mean - away),
    ]


def _given(reviews: list[Review]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for review in reviews:
        if review.rating is not None:
            found.setdefault(review.item_id, []).append(review.rating)
    return found


def _metric(settings: Settings, day: date, name: str, values: np.ndarray[Any, np.dtype[np.float64]], by: str = "") -> Metric:
    return mean_metric(settings, name, values, day, ITEM_DIGESTS.name, name, by=by)


DIGESTS: Final = Task(
    table=ITEM_DIGESTS,
    reads=(REVIEW_INSIGHTS.name,),
    description="What the reviews of each item come to by aspect: counts, ratings, spans, and the trend of the last four weeks.",
    open=open_digests,
    build=make,
    version=version,
    suite=suite,
    measure=measure,
)

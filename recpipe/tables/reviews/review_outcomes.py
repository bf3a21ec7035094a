"""The outcomes of review insights: the ratings that reviews came with, or got since."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.contract import POLARITIES, REVIEW_INSIGHTS
from recpipe.lake.reader import Reader, window
from recpipe.pipeline.table import Metric
from recpipe.pipeline.task_outcomes import mean_metric
from recpipe.tables.reviews.aspects import OVERALL
from recpipe.tables.reviews.reviews import Review, read_reviews

ITEM_MEAN: Final = "item_mean"
"""The baseline: the mean of the ratings that an item had before the day; of all items, where it had none."""


def measure(settings: Settings, reader: Reader, made_on: date, day: date) -> list[Metric]:
    """Compare what was said of reviews with the ratings that they came with, or got since.

    No review taught what is said of it (`open_reviews`). ``polarity_accuracy`` is the share of right ones of the polarities that
    were given, ``polarity_coverage`` the share of reviews that were given one; both without reviews of a middle rating.
    ``rating_mae`` is the mean distance of expected and given rating in stars, ``rating_mae_gain`` by how much it is smaller
    than that of the baseline, on the same reviews.
    """
    known = read_reviews(reader, window(made_on, settings.history.lookback_days)[0], day)
    truth = {review.event_id: review.rating for review in known if review.rating is not None}
    before = [review for review in known if review.day < made_on and review.rating is not None]
    rows = reader.read(REVIEW_INSIGHTS.name, made_on, made_on).to_pylist()
    rows = [row for row in rows if row["aspect"] == OVERALL and row["expected_rating"] is not None and row["event_id"] in truth]
    rows.sort(key=lambda row: str(row["event_id"]))
    given = np.array([truth[row["event_id"]] for row in rows], np.float64)
    return _measured(settings, day, rows, given, _item_means(before, rows))


def _item_means(before: list[Review], rows: list[dict[str, Any]]) -> NDArray[np.float64]:
    """Return (rows,) mean earlier rating of each row's item; of all items where it had none, NaN where none had."""
    everything: list[float] = []
    by_item: dict[str, list[float]] = {}
    for review in before:
        if review.rating is not None:
            everything.append(review.rating)
            by_item.setdefault(review.item_id, []).append(review.rating)
    return np.array([np.mean(by_item.get(row["item_id"]) or everything or [np.nan]) for row in rows], np.float64)


def _measured(
    settings: Settings, day: date, rows: list[dict[str, Any]], given: NDArray[np.float64], means: NDArray[np.float64]
) -> list[Metric]:
    middle = sum(settings.intake.rating_bounds) / 2
    said = np.array([{POLARITIES[0]: 1.0, POLARITIES[1]: -1.0}.get(row["polarity"] or "", 0.0) for row in rows])
    away = np.abs(np.array([row["expected_rating"] for row in rows], np.float64) - given)
    of_mean, side = np.abs(means - given), np.sign(given - middle)
    sided, told = side != 0, (side != 0) & (said != 0)
    return [
        _metric(settings, day, "polarity_accuracy", (said == side)[told]),
        _metric(settings, day, "polarity_accuracy", (np.sign(means - middle) == side)[told], ITEM_MEAN),
        _metric(settings, day, "polarity_coverage", told[sided]),
        _metric(settings, day, "rating_mae", away),
        _metric(settings, day, "rating_mae", of_mean, ITEM_MEAN),
        _metric(settings, day, "rating_mae_gain", of_mean - away),
    ]


def _metric(settings: Settings, day: date, name: str, values: NDArray[Any], by: str = "") -> Metric:
    return mean_metric(settings, name, values, day, REVIEW_INSIGHTS.name, name, by=by)

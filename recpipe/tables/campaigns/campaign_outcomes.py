"""The outcomes of a campaign's audience over the days that it ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.contract import CAMPAIGN_AUDIENCES
from recpipe.lake.reader import Reader
from recpipe.metrics.calibration import calibration_error
from recpipe.metrics.intervals import seed_of
from recpipe.metrics.probability import auc, auc_interval
from recpipe.pipeline.table import Metric
from recpipe.pipeline.task_outcomes import mean_metric
from recpipe.rules.load import read_rules
from recpipe.tables.campaigns import responses
from recpipe.tables.campaigns.campaign_history import Shop, bought_in, earlier_of, learn_model, made_on, read_shop
from recpipe.tables.campaigns.campaign_rules import eligible, left_out, rules_of
from recpipe.tables.campaigns.campaigns import Campaign, read_campaigns, read_responses
from recpipe.tables.campaigns.responses.response_features import Floats

SIMPLE: Final = "recency_frequency_value"


def measure(settings: Settings, reader: Reader, earlier: date, day: date) -> list[Metric]:
    """Measure the audience of each campaign that ended on ``day`` over the days that it ran.

    By campaign: ``auc`` of the probabilities among the addressed, with that of a logistic regression on recency,
    frequency, value and past answers beside it; ``calibration_error`` in ten bins; and ``response_rate`` of the audience
    beside that of everybody else who could have been addressed. Intervals are of the user bootstrap.
    """
    campaigns = read_campaigns(settings.audiences)
    return [metric for one in campaigns if one.last_day == day for metric in _of_campaign(settings, reader, campaigns, one, day)]


def _of_campaign(settings: Settings, reader: Reader, campaigns: list[Campaign], one: Campaign, day: date) -> Iterator[Metric]:
    when = made_on(settings.audiences, one)
    rows = [row for row in reader.read(CAMPAIGN_AUDIENCES.name, when, when).to_pylist() if row["campaign_id"] == one.id]
    shop = read_shop(settings, reader, day, [*earlier_of(campaigns, when), one])
    place = {user: number for number, user in enumerate(shop.users)}
    rows = [row for row in rows if row["user_id"] in place]  # a correction may have taken a user back
    if not rows:
        return
    answered = _answered(settings, shop, one, day)
    mine = np.array([place[row["user_id"]] for row in rows], np.int64)
    chance, by = np.array([row["probability"] for row in rows]), rows[0]["model_version"]
    truth = answered[mine].astype(np.float64)
    simple = learn_model(settings.audiences, shop, campaigns, when, responses.BASELINE)
    if simple:
        seen = responses.look(
            shop.purchases, shop.answers, shop.weights[one.id], when.toordinal(), settings.audiences.campaign_window_days
        )
        yield _auc(settings, f"auc:{one.id}", simple.probability(seen.values[mine]), truth, day, SIMPLE)
    yield _auc(settings, f"auc:{one.id}", chance, truth, day, by)
    yield _rate(settings, one, truth, day, by)
    rest = np.setdiff1d(_others(settings, reader, shop, one, when), mine)
    yield _rate(settings, one, answered[rest].astype(np.float64), day, "not_addressed")
    error = calibration_error(chance, truth) if len(truth) >= max(settings.evaluation.min_users, 1) else None
    yield Metric(f"calibration_error:{one.id}", error, None, None, len(truth), by=by)


def _answered(settings: Settings, shop: Shop, one: Campaign, day: date) -> NDArray[np.bool_]:
    """Return (users,) who answered a campaign by a day."""
    if not settings.audiences.campaign_responses:
        return bought_in(shop.purchases, shop.weights[one.id] > 0, one) > 0
    file = read_responses(settings, day).get(one.id, {})
    return np.array([user in file for user in shop.users], np.bool_)


def _others(settings: Settings, reader: Reader, shop: Shop, one: Campaign, when: date) -> NDArray[np.int64]:
    """Return the places of the users who could have been addressed on a day, and were there."""
    rules = rules_of(read_rules(settings), reader, shop, when)
    able = eligible(settings, shop, one, left_out(settings, reader, shop, one, when), Counter(), rules)
    there = reader.as_of("users", when, ["user_id", "day"])["user_id"].to_pylist()
    return able[np.isin(shop.users[able], np.array(there, object))]


def _rate(settings: Settings, one: Campaign, values: Floats, day: date, by: str) -> Metric:
    return mean_metric(settings, f"response_rate:{one.id}", values, day, one.id, by, by=by)


def _auc(settings: Settings, name: str, scores: Floats, truth: Floats, day: date, by: str) -> Metric:
    if len(truth) < max(settings.evaluation.min_users, 1) or not 0 < truth.sum() < len(truth):
        return Metric(name, None, None, None, len(truth), by=by)
    low, high = auc_interval(scores, truth, settings.evaluation.bootstrap_draws, seed_of(settings.training.seed, day, name, by))
    return Metric(name, auc(scores, truth), low, high, len(truth), by=by)

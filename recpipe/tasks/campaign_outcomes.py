"""What became of a campaign's audience over the days that it ran."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Final

import numpy as np

from recpipe import knowledge, rails
from recpipe.config import Settings
from recpipe.contract import CAMPAIGN_AUDIENCES
from recpipe.lake import Reader
from recpipe.learn import responses
from recpipe.learn.responses import Floats
from recpipe.tasks.campaign_history import bought_in, earlier_of, learn_model, made_on, read_shop
from recpipe.tasks.campaign_rules import eligible, rules_of, suppressed_of
from recpipe.tasks.campaigns import read_campaigns, read_responses

SIMPLE: Final = "recency_frequency_value"


def measure(settings: Settings, reader: Reader, earlier: date, day: date) -> list[rails.Metric]:
    """Measure the audience of each campaign that ended on ``day`` over the days that it ran.

    By campaign: ``auc`` of the probabilities among the addressed, with that of a logistic regression on recency,
    frequency, value and past answers beside it; ``calibration_error`` in ten bins; and ``response_rate`` of the audience
    beside that of everybody else who could have been addressed. Intervals are of the user bootstrap.
    """
    from recpipe.evaluate.intervals import mean_interval, seed_of

    campaigns = read_campaigns(settings)
    found: list[rails.Metric] = []
    for one in [one for one in campaigns if one.last_day == day]:
        when = made_on(settings, one)
        rows = [row for row in reader.read(CAMPAIGN_AUDIENCES.name, when, when).to_pylist() if row["campaign_id"] == one.id]
        if not rows:
            continue
        shop = read_shop(settings, reader, day, [*earlier_of(campaigns, when), one])
        file = read_responses(settings, day).get(one.id, {}) if settings.campaign_responses else None
        hit = bought_in(shop.purchases, shop.weights[one.id] > 0, one) > 0
        answered = hit if file is None else np.array([user in file for user in shop.users], np.bool_)
        place = {user: number for number, user in enumerate(shop.users)}
        mine = np.array([place[row["user_id"]] for row in rows], np.int64)
        chance, by = np.array([row["probability"] for row in rows]), rows[0]["model_version"]
        truth = answered[mine].astype(np.float64)
        simple = learn_model(settings, shop, campaigns, when, responses.BASELINE)
        if simple:
            seen = responses.look(
                shop.purchases, shop.answers, shop.weights[one.id], when.toordinal(), settings.campaign_window_days
            )
            found.append(_auc(settings, f"auc:{one.id}", simple.probability(seen.values[mine]), truth, day, SIMPLE))
        found.append(_auc(settings, f"auc:{one.id}", chance, truth, day, by))
        rules = rules_of(knowledge.read(settings), reader, shop, when)
        rest = np.setdiff1d(eligible(settings, shop, one, suppressed_of(settings, one, when), Counter(), rules), mine)
        for name, values in ((by, truth), ("not_addressed", answered[rest].astype(np.float64))):
            rate = mean_interval(values, settings.bootstrap_draws, seed_of(settings.seed, day, one.id, name), settings.min_users)
            found.append(rails.Metric(f"response_rate:{one.id}", rate.value, rate.low, rate.high, rate.users, by=name))
        error = responses.calibration_error(chance, truth) if len(truth) >= max(settings.min_users, 1) else None
        found.append(rails.Metric(f"calibration_error:{one.id}", error, None, None, len(truth), by=by))
    return found


def _auc(settings: Settings, name: str, scores: Floats, truth: Floats, day: date, by: str) -> rails.Metric:
    from recpipe.evaluate.intervals import seed_of

    if len(truth) < max(settings.min_users, 1) or not 0 < truth.sum() < len(truth):
        return rails.Metric(name, None, None, None, len(truth), by=by)
    low, high = responses.auc_interval(scores, truth, settings.bootstrap_draws, seed_of(settings.seed, day, name, by))
    return rails.Metric(name, responses.auc(scores, truth), low, high, len(truth), by=by)

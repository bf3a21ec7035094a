"""The answers to a campaign: a user's history with a campaign's items, and a logistic regression over earlier campaigns.

A campaign is a weight for each item. What speaks for a user is counted as of the day on which the campaign's audience is
made: recency, frequency and value (Hughes 1994), how often the user answered before, and how close what the user bought
is to the campaign's items: those items themselves, items that are bought by the same users (the cosine of item kNN,
Sarwar et al. 2001, in one product with the campaign's weights), and items of their categories. Everything about items is
a sum over what the user bought, so that each item's part can be named.
"""

from recpipe.tables.campaigns.responses.regression import Model, calibrate, fit, learn, newton, sigmoid
from recpipe.tables.campaigns.responses.response_features import BASELINE, ITEMS, NAMES, Answers, Floats, Look, Purchases, look
from recpipe.tables.campaigns.responses.response_reasons import by_affinity, why

__all__ = [
    "BASELINE", "ITEMS", "NAMES", "Answers", "Floats", "Look", "Model", "Purchases", "by_affinity",
    "calibrate", "fit", "learn", "look", "newton", "sigmoid", "why",
]  # fmt: skip

"""Was it good? Metrics, intervals, baselines, drift and the page about a day."""

from recpipe.evaluate.publish import evaluate_day
from recpipe.evaluate.text import outcome_table
from recpipe.evaluate.warnings import notify

__all__ = ["evaluate_day", "notify", "outcome_table"]

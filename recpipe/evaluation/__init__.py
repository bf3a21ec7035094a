"""The evaluation of a day: metrics, intervals, baselines, drift and its page."""

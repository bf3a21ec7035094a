"""Was it good? Metrics, intervals, baselines, drift and the page about a day."""

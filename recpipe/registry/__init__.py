"""The registry: the model version of each day, and its promotions."""

"""Metrics of lists and probabilities, and their intervals; arrays in, numbers out."""

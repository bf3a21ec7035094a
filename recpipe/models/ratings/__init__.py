"""Explicit ratings and likes, from a support of ratings.

The way of a prediction: ratings of known users teach item biases and factors (`factors`); what the catalogue says of an
item predicts both for items that nobody rated (`content`); a task's user is then fitted in closed form to the task's own
support (`solve`), with the few numbers of that solve learned on simulated tasks (`meta`, `episodes`); a small head turns
mean and spread into a distribution over the levels of the scale, whose median is the answer (`levels`).
"""

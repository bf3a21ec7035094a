"""Fixtures of this room: the shop of kinds."""

from kinds_shop import evidence, facts, make_evidence, make_support, training_input  # noqa: F401

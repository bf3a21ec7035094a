"""Fixtures of this room: the shop of kinds and a small shop."""

from kinds_shop import evidence, facts, make_evidence, make_support, training_input  # noqa: F401
from small_shop import shop  # noqa: F401

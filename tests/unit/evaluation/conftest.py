"""Fixtures of this room: the shop whose outcomes are known."""

from evaluated_shop import filled_home, settings  # noqa: F401

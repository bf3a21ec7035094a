"""Fixtures of this room: a small shop."""

from small_shop import shop  # noqa: F401

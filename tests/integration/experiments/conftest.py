"""Fixtures of this room: a split shop."""

from split_shop import cache, encode, tables, write_split  # noqa: F401

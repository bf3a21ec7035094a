"""Fixtures of this room: a search of all bytes."""

from find_bytes import find_bytes  # noqa: F401

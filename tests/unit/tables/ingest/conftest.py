"""Fixtures of this room: a tiny shop and its deliveries."""

from landed_shop import an_event, deliver, part, rows_of  # noqa: F401

"""Fixtures of this room: the shop of a tiny encoder."""

from encoder_shop import shop, texts, tiny_encoder  # noqa: F401

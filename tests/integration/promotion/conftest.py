"""Fixtures of this room: the shop of four kinds of customers."""

from encoder_shop import tiny_encoder  # noqa: F401
from registry_shop import filled_home, model_folder, neighbours, popular, settings  # noqa: F401

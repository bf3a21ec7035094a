"""Fixtures of this room: the shop of four kinds of customers."""

from registry_shop import filled_home, model_folder, neighbours, popular, settings  # noqa: F401

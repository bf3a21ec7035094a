"""The settings of recpipe, and what they must be."""

from recpipe.config.settings import Settings, load_settings

__all__ = ["Settings", "load_settings"]

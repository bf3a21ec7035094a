"""The settings of recpipe, and their checks."""

from recpipe.config.settings import Settings, load_settings

__all__ = ["Settings", "load_settings"]

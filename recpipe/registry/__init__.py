"""Which model version serves a day, and who was promoted when."""

from recpipe.registry.gate import Decision, ensure_first_champion, promote
from recpipe.registry.models import register
from recpipe.registry.serving import fetch, resolve

__all__ = ["Decision", "ensure_first_champion", "fetch", "promote", "register", "resolve"]

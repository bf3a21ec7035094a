"""Which model version serves a day, and who was promoted when."""

from recpipe.registry.gate import Decision, ensure_first_champion, promote
from recpipe.registry.models import register
from recpipe.registry.serving import fetch, resolve
from recpipe.registry.versions import overview

__all__ = ["Decision", "ensure_first_champion", "fetch", "overview", "promote", "register", "resolve"]

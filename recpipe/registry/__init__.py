"""Which model version serves a day, and who was promoted when."""

from recpipe.registry.adopt import adopt
from recpipe.registry.approval import question
from recpipe.registry.gate import Decision, promote, propose
from recpipe.registry.serving import champion, fetch, fetch_for_plan, require_content, resolve
from recpipe.registry.versions import overview
from recpipe.registry.weekly import ensure_first_champion, register
from recpipe.registry.withdraw import withdraw

__all__ = [
    "Decision",
    "adopt",
    "champion",
    "ensure_first_champion",
    "fetch",
    "fetch_for_plan",
    "overview",
    "promote",
    "propose",
    "question",
    "register",
    "require_content",
    "resolve",
    "withdraw",
]

"""How are people told? A notice says what happened, on which day, and what to do; channels carry it."""

from recpipe.notify.channels import send
from recpipe.notify.notice import AUDIT, FAILED, FLOOR, KINDS, LATE, WAITS, Notice, in_words

__all__ = ["AUDIT", "FAILED", "FLOOR", "KINDS", "LATE", "WAITS", "Notice", "in_words", "send"]

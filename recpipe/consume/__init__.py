"""What the readers of the tables ask for: a user's list in words, a day as a file, freshness, quality, quarantine."""

from recpipe.consume.files import FORMATS, Format, export_day
from recpipe.consume.fresh import Freshness, due_day, freshness
from recpipe.consume.lists import Entry, UserList, read_list, reason_text
from recpipe.consume.profile import read_profile
from recpipe.consume.quality import Curves, Measured, Point, Pooled, Replayed, read_curves, read_pooled, read_replay
from recpipe.consume.set_aside import Quarantined, Reason, read_quarantine
from recpipe.consume.story import Met, Story, read_story

__all__ = [
    "FORMATS",
    "Curves",
    "Entry",
    "Format",
    "Freshness",
    "Measured",
    "Met",
    "Point",
    "Pooled",
    "Quarantined",
    "Reason",
    "Replayed",
    "Story",
    "UserList",
    "due_day",
    "export_day",
    "freshness",
    "read_curves",
    "read_list",
    "read_pooled",
    "read_profile",
    "read_quarantine",
    "read_replay",
    "read_story",
    "reason_text",
]

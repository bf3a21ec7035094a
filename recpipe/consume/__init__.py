"""What the readers of the tables ask for: one user's list in words, one day as a file, and how fresh each table is."""

from recpipe.consume.files import FORMATS, Format, export_day
from recpipe.consume.fresh import Freshness, freshness
from recpipe.consume.lists import Entry, UserList, read_list, reason_text
from recpipe.consume.profile import read_profile

__all__ = [
    "FORMATS",
    "Entry",
    "Format",
    "Freshness",
    "UserList",
    "export_day",
    "freshness",
    "read_list",
    "read_profile",
    "reason_text",
]

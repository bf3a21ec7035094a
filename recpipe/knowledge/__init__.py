"""What the shop knows beforehand, in files: the category tree, substitutes, blocked items, age limits (docs/knowledge.md).

A run that obeys them is planned with `keep`, which copies them, and reads that copy with `of_plan`; `day_rules` then says
what they mean for the catalogue and the users of its day.
"""

from recpipe.knowledge.absent import absent_lines, absent_today
from recpipe.knowledge.check import barred_from_some, count_refused, count_substitutes, count_worse, refusals, turned_away
from recpipe.knowledge.copies import keep, of_plan
from recpipe.knowledge.load import FILES, load, read
from recpipe.knowledge.rules import DayRules, day_rules
from recpipe.knowledge.words import NOTHING, Knowledge, Tree

__all__ = [
    "FILES", "NOTHING", "DayRules", "Knowledge", "Tree", "absent_lines", "absent_today", "barred_from_some", "count_refused",
    "count_substitutes", "count_worse", "day_rules", "keep", "load", "of_plan", "read", "refusals", "turned_away",
]  # fmt: skip

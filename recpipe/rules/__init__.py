"""The rules of the shop, in files: the category tree, substitutes, blocked items, age limits (docs/knowledge.md).

A run that obeys them is planned with `keep_rules`, which copies them, and reads that copy with `rules_of_plan`; `day_rules` then says
what they mean for the catalogue and the users of its day.
"""

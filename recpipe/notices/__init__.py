"""Notices to people: each says what happened, on which day, and what to do; channels carry it."""

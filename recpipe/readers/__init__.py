"""The answers to readers of the tables: a user's list in words, a day as a file, freshness, quality, quarantine."""

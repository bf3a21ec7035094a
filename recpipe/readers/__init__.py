"""What the readers of the tables ask for: a user's list in words, a day as a file, freshness, quality, quarantine."""

"""Clean events, items and users from landing files; rows that are not taken in go to quarantine with their reason."""

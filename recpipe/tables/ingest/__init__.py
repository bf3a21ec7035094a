"""Landing files become clean events, items and users; what is not taken in goes to quarantine with its reason."""

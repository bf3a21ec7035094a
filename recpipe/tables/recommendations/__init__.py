"""The lists of a night."""

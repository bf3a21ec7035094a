"""The lists of a night: items, their order, and their reasons."""

"""Which items, in which order, for which reason: the lists of a night."""

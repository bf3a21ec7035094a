"""Pages about the outcomes of a day."""

"""How are people told? A notice says what happened, on which day, and what to do; channels carry it."""

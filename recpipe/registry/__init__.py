"""Which model version serves a day, and who was promoted when."""

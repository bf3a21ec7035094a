"""Episodes of a day: its new users, their supports, and the shop's evidence on that day."""

"""Who is new on a day, what are they known by, and what did the shop know then."""

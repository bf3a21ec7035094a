"""The lake: Delta tables that are read as of a day and replaced a day at a time, and the register of days."""

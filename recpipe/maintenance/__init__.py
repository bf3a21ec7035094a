"""The upkeep of an installation: sweeping from time to time, and a check of its soundness."""

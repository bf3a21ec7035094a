"""The shipped shop, and the main job on it."""

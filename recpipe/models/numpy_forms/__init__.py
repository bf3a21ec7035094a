"""Learners as they serve: arrays, no torch."""

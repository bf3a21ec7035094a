"""Learners that share their items and differ in their head."""

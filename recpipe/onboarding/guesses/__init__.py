"""Guesses of what delivered columns mean."""

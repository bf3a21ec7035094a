"""Profiles of users: interests with their evidence."""

"""Learners: user vectors from supports, and their training."""

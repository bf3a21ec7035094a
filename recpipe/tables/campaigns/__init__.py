"""Audiences of campaigns."""

"""Vectors of texts: an encoder from a local folder, and a cache by content."""

"""Synthetic shops of any size, the cost of each stage of a night on them, and peers on the same data."""

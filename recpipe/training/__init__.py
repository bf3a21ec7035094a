"""Training on episodes: windows, the loop, and what is kept of it."""

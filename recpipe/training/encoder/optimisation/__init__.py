"""The optimisation of an encoder: step sizes, and memory that a checkpoint holds."""

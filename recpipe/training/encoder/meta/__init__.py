"""The meta-learning of an encoder: a few steps on a support."""

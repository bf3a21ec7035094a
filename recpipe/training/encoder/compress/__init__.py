"""The compression of an encoder: distillation, pruning, int8."""

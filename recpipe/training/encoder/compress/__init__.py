"""How an encoder becomes small and fast: distillation, pruning, int8."""

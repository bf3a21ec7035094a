"""How an encoder becomes small and fast: distillation, pruning, int8."""

from recpipe.encode.compress.distill import Student, distill
from recpipe.encode.compress.int8 import export_int8
from recpipe.encode.compress.prune import prune

__all__ = ["Student", "distill", "export_int8", "prune"]

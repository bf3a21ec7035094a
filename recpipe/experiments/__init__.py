"""The public protocols as functions: a split folder in, lists or predictions out; nothing here scores (docs/benchmarks)."""

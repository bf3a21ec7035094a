"""The public protocols, as functions: a split folder in, lists or predictions out; no scores are computed here."""

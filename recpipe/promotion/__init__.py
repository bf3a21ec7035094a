"""The way of a model version into service: registered, gated, approved, promoted, withdrawn."""

"""Classes of items, from a few labelled examples."""

"""Classes of texts from a few labelled examples."""

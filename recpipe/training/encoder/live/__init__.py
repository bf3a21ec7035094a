"""The curves of a fine-tuning run, while it learns."""

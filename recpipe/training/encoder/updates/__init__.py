"""The updates of a fine-tuning run: its loop, its optimiser, and its looks at a later window."""

"""The updates of a fine-tuning run: its loop, its looks at a later window, and the worth of inner steps."""

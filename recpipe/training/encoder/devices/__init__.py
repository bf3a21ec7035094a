"""The device of a fine-tuning run, and its pace there."""

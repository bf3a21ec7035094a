"""The processes of a fine-tuning run."""

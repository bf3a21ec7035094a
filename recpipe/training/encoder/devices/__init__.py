"""The processes and devices of a fine-tuning run."""

"""The fine-tuning of the encoder, on the texts of episodes."""

"""How the encoder itself is taught, on the texts of episodes."""

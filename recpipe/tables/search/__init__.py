"""Lists for the texts that users search for."""

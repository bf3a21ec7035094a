"""Lists for what users search for."""

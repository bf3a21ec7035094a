"""The replay: users who registered after a cut, served as if new, by a model of the days before it."""

"""How would the shop have served newcomers? Who registered after a cut, served as if new, by a model of the days before it."""

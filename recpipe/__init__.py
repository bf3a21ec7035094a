"""recpipe: nightly recommendations for every user of a shop, the one who registered today included."""

__version__ = "0.1.0"

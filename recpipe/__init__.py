"""recpipe: nightly recommendations for every user of a shop, the one who registered today included."""

__version__ = "0.2.0"

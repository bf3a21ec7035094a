"""How a support becomes a user vector, and how that is learned."""

from recpipe.learn.data import Learner, score
from recpipe.learn.folder import load, read_config, save

__all__ = ["Learner", "load", "read_config", "save", "score"]

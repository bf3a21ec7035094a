"""What has to be swept from time to time, and whether an installation is sound."""

from recpipe.upkeep.maintain import maintain, prune_models, prune_scratch, tidy_tables
from recpipe.upkeep.steps import Report, Step

__all__ = ["Report", "Step", "maintain", "prune_models", "prune_scratch", "tidy_tables"]

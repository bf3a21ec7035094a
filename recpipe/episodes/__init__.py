"""Who is new on a day, what are they known by, and what did the shop know then."""

from recpipe.episodes.attributes import read_attributes
from recpipe.episodes.cohorts import UserDay, assign_cohorts, met_pairs, users_of
from recpipe.episodes.evidence import Known, build_evidence, read_known, read_users
from recpipe.episodes.export import export_training
from recpipe.episodes.support import build_support
from recpipe.episodes.table import episode_rows

__all__ = [
    "Known",
    "UserDay",
    "assign_cohorts",
    "build_evidence",
    "build_support",
    "episode_rows",
    "export_training",
    "met_pairs",
    "read_attributes",
    "read_known",
    "read_users",
    "users_of",
]

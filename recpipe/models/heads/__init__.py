"""Heads: how a support becomes a place among items that all of them share."""

from __future__ import annotations

from collections.abc import Mapping

from recpipe.models.heads.attention import Attention
from recpipe.models.heads.headed import Headed
from recpipe.models.heads.lstm import LSTM
from recpipe.models.heads.maml import KINDS, MAML
from recpipe.models.heads.ridge import RidgeHead

HEADS: Mapping[str, type[Headed]] = {**dict.fromkeys(KINDS, MAML), "ridge_head": RidgeHead, "attention": Attention, "lstm": LSTM}
"""Every learner with a head, by its name."""

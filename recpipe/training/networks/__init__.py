"""Learners as they are taught by gradients: one interface, which one training loop asks, whatever the learner."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from recpipe.errors import BadSetting
from recpipe.training.networks.network import Network as Network
from recpipe.training.networks.network import Placed as Placed

PLACES: Mapping[str, str] = {
    **dict.fromkeys(("pair_network", "stack"), "recpipe.training.networks.candidate_softmax"),
    **dict.fromkeys(
        ("prototypical", "anil", "maml", "maml_first_order", "proto_maml", "ridge_head", "attention", "lstm"),
        "recpipe.training.networks.catalogue_softmax",
    ),
}
"""Where the network of each learner is defined. Looked up late, for torch is slow to import."""


def find_network(name: str) -> Network:
    """Return the network of a learner, with its usual settings.

    Raises
    ------
    BadSetting
        If no learner of this name is taught by gradients.
    """
    if name not in PLACES:
        raise BadSetting(f"No learner '{name}' can be trained: choose one of {', '.join(sorted(PLACES))}.")
    network: Network = import_module(PLACES[name]).network_of(name)
    return network

"""Learners that are taught by gradients: one module each, all with the functions that one training loop asks for.

Torch stands in these modules only. What they learn is arrays; a learner without torch in it serves them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from recpipe.dataset.history import Evidence
from recpipe.errors import BadSetting
from recpipe.models.base import ItemSpace, Learner

if TYPE_CHECKING:
    import torch

    from recpipe.dataset.episodes import Episodes

    Tensors = dict[str, torch.Tensor]

PLACES: Mapping[str, tuple[str, str]] = {
    "pair_network": ("recpipe.models.torch_forms.pair_network", "NETWORK"),
    "stack": ("recpipe.models.torch_forms.pair_network", "STACK"),
    "prototypical": ("recpipe.models.torch_forms.prototypical", "NETWORK"),
    "anil": ("recpipe.models.torch_forms.steps", "ANIL"),
    "maml": ("recpipe.models.torch_forms.steps", "MAML"),
    "proto_maml": ("recpipe.models.torch_forms.steps", "PROTO_MAML"),
    "ridge_head": ("recpipe.models.torch_forms.ridge", "RIDGE"),
    "attention": ("recpipe.models.torch_forms.attention", "ATTENTION"),
    "lstm": ("recpipe.models.torch_forms.lstm", "LSTM"),
}
"""Where each network stands, by name of its learner: module and attribute. Looked up late, for torch is slow to import."""


class Placed(Learner, Protocol):
    """A learner that separates what is computed of the items from what is learned."""

    def place(self, view: Any) -> ItemSpace:
        """Place items that were looked at before: what ``items`` does after ``look``."""


class Rates(Protocol):
    """How fast the two kinds of parameters are learned."""

    @property
    def learning_rate(self) -> float:
        """Of the few numbers that weigh evidence."""

    @property
    def projection_learning_rate(self) -> float:
        """Of the matrices."""

    @property
    def weight_decay(self) -> float:
        """Of the matrices."""


@dataclass(frozen=True)
class Network:
    """What the training loop asks of a learner; nothing else in the loop knows which one it is.

    Attributes
    ----------
    name
        Of the learner, as in `recpipe.models.io.LEARNERS`.
    settings
        What is not learned. Goes into the learner as it is.
    look
        (evidence, settings) -> view: what the network sees of the items at an instant; no torch, nothing learned.
    initial_tensors
        (view, width, seed, device) -> tensors by name, all of them learned; the same seed gives the same numbers.
    parameter_groups
        (tensors, rates) -> groups of AdamW, each with ``lr`` and the same ``initial_lr``.
    to_items
        (view, available, device) -> the view on the device, and what could be recommended at its instant.
    to_batch
        (episodes, items, settings) -> episodes of one instant, on the device of its items.
    loss_of
        (tensors, items, batch, settings) -> scalar tensor that has gradients.
    to_learner
        (tensors, settings) -> the learner of these tensors: arrays, no torch.
    """

    name: str
    settings: Mapping[str, Any]
    look: Callable[[Evidence, Mapping[str, Any]], Any]
    initial_tensors: Callable[[Any, int, int, str], Tensors]
    parameter_groups: Callable[[Tensors, Rates], list[dict[str, Any]]]
    to_items: Callable[..., Any]
    to_batch: Callable[[Episodes, Any, Mapping[str, Any]], Any]
    loss_of: Callable[[Tensors, Any, Any, Mapping[str, Any]], torch.Tensor]
    to_learner: Callable[[Tensors, Mapping[str, Any]], Placed]


def find_network(name: str) -> Network:
    """Return the network of a learner.

    Raises
    ------
    BadSetting
        If no learner of this name is taught by gradients.
    """
    if name not in PLACES:
        raise BadSetting(f"No learner '{name}' can be trained: choose one of {', '.join(sorted(PLACES))}.")
    module, attribute = PLACES[name]
    network: Network = getattr(import_module(module), attribute)
    return network

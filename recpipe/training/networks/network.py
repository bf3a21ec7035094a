"""The interface of a learner to the training loop, where nothing else knows which learner it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from recpipe.dataset.catalogue import Catalogue
from recpipe.dataset.history import Evidence
from recpipe.models.base import ItemSpace, Learner

if TYPE_CHECKING:
    import torch

    from recpipe.dataset.episodes import Episodes

    Tensors = dict[str, torch.Tensor]


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
class Network(ABC):
    """A learner as it is taught: its numbers are tensors by name, its formulas those that serve.

    Parameters
    ----------
    name
        Of the learner, as in its model folder.
    settings
        What is not learned. Goes into the learner as it is.
    """

    name: str
    settings: Mapping[str, Any]

    def with_settings(self, **changed: Any) -> Self:
        """Return the same network with other settings."""
        return replace(self, settings={**self.settings, **changed})

    def for_catalogue(self, catalogue: Catalogue) -> Self:
        """Return the same network without what the catalogue cannot give; most take every catalogue as it is."""
        return self

    def going_on(self, settings: Mapping[str, Any]) -> Self:
        """Return the network as a model of these settings looks at the items; most look in one way only."""
        return self

    @abstractmethod
    def look(self, evidence: Evidence) -> Any:
        """Return a view: what the network sees of the items at an instant; no torch, nothing learned."""

    @abstractmethod
    def start(self, view: Any, width: int, seed: int) -> dict[str, NDArray[np.float32]]:
        """Return the numbers before training, all of them learned; the same seed gives the same."""

    @abstractmethod
    def parameter_groups(self, tensors: Tensors, rates: Rates) -> list[dict[str, Any]]:
        """Return groups of AdamW, each with ``lr`` and the same ``initial_lr``."""

    @abstractmethod
    def to_items(self, view: Any, available: NDArray[np.bool_], device: str) -> Any:
        """Return a view on the device, and what could be recommended at its instant."""

    @abstractmethod
    def to_batch(self, episodes: Episodes, items: Any) -> Any:
        """Return episodes of one instant, on the device of its items."""

    @abstractmethod
    def loss(self, tensors: Tensors, items: Any, batch: Any) -> torch.Tensor:
        """Return a scalar that has gradients."""

    @abstractmethod
    def learner(self, numbers: Mapping[str, NDArray[np.float32]]) -> Placed:
        """Return the learner of these numbers: arrays, no torch."""

    def initial_tensors(self, view: Any, width: int, seed: int, device: str) -> Tensors:
        """Return the numbers before training as tensors that learn."""
        import torch

        arrays = self.start(view, width, seed)
        return {name: torch.tensor(array, device=device).requires_grad_() for name, array in arrays.items()}

    def to_learner(self, tensors: Tensors) -> Placed:
        """Return the learner of these tensors."""
        return self.learner(arrays_of(tensors))


def group_of(tensors: list[torch.Tensor], rate: float, weight_decay: float = 0.0) -> dict[str, Any]:
    """Return a group of AdamW."""
    return {"params": tensors, "lr": rate, "initial_lr": rate, "weight_decay": weight_decay}


def arrays_of(tensors: Tensors) -> dict[str, NDArray[np.float32]]:
    """Return tensors as arrays, apart from what they will become."""
    return {name: tensor.detach().cpu().float().numpy().copy() for name, tensor in tensors.items()}


def moved(array: NDArray[Any], device: str | torch.device) -> torch.Tensor:
    """Return an array as a tensor on a device."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(array)).to(device)

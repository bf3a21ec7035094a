"""What keeps a network steady on little data: adversarial noise on embeddings, and the average of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


class EmbeddingNoise:
    """Fast gradient noise on embedded texts (Miyato et al. 2017, section 3): r = ε g / ‖g‖ for each text.

    First a pass with its backward, then `perturb`, then a second pass with its backward, then `clear`.

    Parameters
    ----------
    network
        Of transformers; its word embeddings are listened to.
    epsilon
        Length of the noise of a text, over all its tokens and dimensions together.
    """

    def __init__(self, network: Any, epsilon: float) -> None:
        self.epsilon = epsilon
        self.noise: torch.Tensor | None = None
        self._seen: torch.Tensor | None = None
        self._handle = network.get_input_embeddings().register_forward_hook(self._hook)

    def perturb(self) -> None:
        """Take the noise from the gradient of the pass before."""
        if self._seen is None or self._seen.grad is None:
            raise ValueError("no backward pass has gone through the embeddings yet")
        gradient = self._seen.grad.detach()
        length = gradient.flatten(1).norm(dim=1).clamp_min(1e-12)
        self.noise = self.epsilon * gradient / length[:, None, None]

    def clear(self) -> None:
        """Forget the noise."""
        self.noise = self._seen = None

    def remove(self) -> None:
        """Leave the network as it was."""
        self._handle.remove()

    def _hook(self, _module: Any, _inputs: Any, embedded: torch.Tensor) -> torch.Tensor:
        if not torch.is_grad_enabled():
            return embedded
        if self.noise is not None:
            return embedded + self.noise
        if not embedded.requires_grad:  # where the method leaves the embeddings as they are
            embedded.requires_grad_(True)
        embedded.retain_grad()
        self._seen = embedded
        return embedded


class Average:
    """Running average of weights: a ← d a + (1 − d) w (Polyak and Juditsky 1992), or, with d = 0, the plain mean of all.

    Parameters
    ----------
    parameters
        By name; the average starts at their values.
    decay
        d; at step t no more than (1 + t) / (10 + t), so that the start is soon forgotten. 0: the plain mean of what
        `update` saw (Izmailov et al. 2018).
    """

    def __init__(self, parameters: Mapping[str, torch.Tensor], decay: float) -> None:
        self.values = {name: value.detach().clone() for name, value in parameters.items()}
        self.decay = decay
        self.seen = 0

    def update(self, parameters: Mapping[str, torch.Tensor]) -> None:
        """Take the weights of one more step into the average."""
        self.seen += 1
        keep = min(self.decay, (1 + self.seen) / (10 + self.seen)) if self.decay else (self.seen - 1) / self.seen
        for name, value in self.values.items():
            value.mul_(keep).add_(parameters[name].detach(), alpha=1 - keep)

    def put_into(self, parameters: Mapping[str, torch.Tensor]) -> None:
        """Write the average over the weights."""
        with torch.no_grad():
            for name, value in self.values.items():
                parameters[name].copy_(value)

"""Adversarial noise on the embeddings of words."""

from __future__ import annotations

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

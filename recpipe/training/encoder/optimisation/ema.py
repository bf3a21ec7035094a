"""The running average of an encoder's weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch


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

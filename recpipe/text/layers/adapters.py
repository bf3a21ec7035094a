"""Bottleneck adapters (Houlsby et al. 2019, section 2.1), for any network whose blocks are known by the names below."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from recpipe.errors import BadSetting

ENDS_OF_BLOCKS = (
    "attention.output.dense",  # BERT, RoBERTa, XLM-R, ELECTRA
    "output.dense",
    "attention.attn.o",  # MPNet
    "attention.out_lin",  # DistilBERT
    "ffn.lin2",
    "attn.Wo",  # ModernBERT
    "mlp.Wo",
)
"""Linear layers whose result is added to what went into the block: after each of them stands an adapter."""


class Adapter(nn.Module):
    """A linear layer, and a bottleneck after it that starts as the identity: h + up(gelu(down(h))), up = 0.

    Parameters
    ----------
    linear
        The layer that was there; its weights stay where they are.
    size
        Width of the bottleneck.
    """

    def __init__(self, linear: nn.Linear, size: int) -> None:
        super().__init__()
        self.linear = linear
        self.down = nn.Linear(linear.out_features, size)
        self.up = nn.Linear(size, linear.out_features)
        nn.init.normal_(self.down.weight, std=0.02)
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Return the layer's result, moved by the bottleneck."""
        out: torch.Tensor = self.linear(states)
        moved: torch.Tensor = self.up(nn.functional.gelu(self.down(out)))
        return out + moved


def insert_adapters(network: Any, size: int) -> list[str]:
    """Put an adapter after every attention and feed-forward block; return the names of the adapters' parameters.

    Raises
    ------
    BadSetting
        If the network has no block of a known name.
    """
    ends = [name for name, part in network.named_modules() if isinstance(part, nn.Linear) and name.endswith(ENDS_OF_BLOCKS)]
    if not ends:
        raise BadSetting(
            f"Adapters know no block of a {type(network).__name__}. Use method lora, which takes every linear layer, or full."
        )
    for name in ends:
        place, _, leaf = name.rpartition(".")
        parent = network.get_submodule(place)
        setattr(parent, leaf, Adapter(getattr(parent, leaf), size))
    return [name for name, _ in network.named_parameters() if name.rsplit(".", 2)[-2] in ("down", "up")]

"""The pace of learning: texts and tokens a second, and the share of what the GPU could do at best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PEAKS = {
    "H200": 989e12, "H100 PCIe": 756e12, "H100": 989e12, "A100": 312e12, "A800": 312e12, "A10": 125e12, "A30": 165e12, "L40S": 362e12,
    "L40": 181e12, "L4": 121e12, "RTX 4090": 165e12, "RTX 3090": 71e12,
}  # fmt: skip
"""Multiplications and additions a second in bfloat16, dense, by a part of the device's name (the vendor's data sheets)."""


@dataclass
class Pace:
    """What went through the network, in all processes together.

    Attributes
    ----------
    texts, tokens
        Filling included: it is computed as well.
    width
        Sum over texts of the square of their padded length.
    """

    texts: int = 0
    tokens: int = 0
    width: int = 0

    def take(self, ids: Any, times: int = 1) -> None:
        """Count a (texts, length) batch that went through so many times."""
        texts, length = ids.shape
        self.texts += times * texts
        self.tokens += times * texts * length
        self.width += times * texts * length * length


@dataclass(frozen=True)
class Shape:
    """What decides how much work a token is.

    Attributes
    ----------
    weights
        Numbers of the layers, embeddings left out: a look-up is no multiplication.
    layers, width
        Layers, and dimensions of a hidden state.
    all_taught
        Whether the gradients of all weights are computed, not of small matrices beside them alone.
    checkpointing
        Whether the way there is gone twice.
    """

    weights: int
    layers: int
    width: int
    all_taught: bool
    checkpointing: bool


def work(pace: Pace, shape: Shape) -> float:
    """Return the floating point operations of a pace: 2 a weight and token forward, as many back for states and for weights.

    (Kaplan et al. 2020, "Scaling laws for neural language models", section 2.1; attention adds 4 × layers × length × width a token.)
    """
    forward = 2.0 * shape.weights * pace.tokens + 4.0 * shape.layers * shape.width * pace.width
    return forward * (1 + (2 if shape.all_taught else 1) + (1 if shape.checkpointing else 0))


def share_of_peak(operations: float, seconds: float, device: str, devices: int = 1) -> float | None:
    """Return the share of the peak in bfloat16; None where nobody says what the device's is."""
    peak = next((found for name, found in PEAKS.items() if name in device), None)
    return None if peak is None else operations / max(seconds, 1e-9) / (peak * devices)


def shape_of(network: Any, all_taught: bool, checkpointing: bool) -> Shape:
    """Return the shape of a network of transformers."""
    config = network.config
    layers = int(getattr(config, "num_hidden_layers", 0) or getattr(config, "n_layers", 0))
    width = int(getattr(config, "hidden_size", 0) or getattr(config, "dim", 0))
    weights = sum(p.numel() for name, p in network.named_parameters() if "embedding" not in name and "pooler" not in name)
    return Shape(weights, layers, width, all_taught, checkpointing)


def pace_in_words(found: dict[str, float]) -> str:
    """Return the pace as a sentence's end: texts, tokens, and the share of the peak where it is known."""
    said = f"{found['texts_per_second']:.0f} texts/s, {found['tokens_per_second']:.0f} tokens/s"
    return said + (f", {found['share_of_peak']:.1%} of the peak in bfloat16" if "share_of_peak" in found else "")

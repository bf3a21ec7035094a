"""Magnitude pruning: the smallest weights of every linear layer become zero (Han et al. 2015, section 3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recpipe.errors import BadSetting
from recpipe.text.encoder import load_encoder
from recpipe.text.loaders import open_model, read_recipe
from recpipe.training.encoder.methods import Sizes, save_encoder


def prune(encoder: str, out: Path, share: float) -> dict[str, Any]:
    """Write an encoder folder in which a share of each linear layer's weights is zero.

    The file is as large as before and the network as slow: dense kernels multiply zeros like other numbers. What it is
    good for is a packed file, and to see how much of the network matters.

    Parameters
    ----------
    share
        Of the weights of every linear layer, 0 to 1; the embeddings stay.

    Returns
    -------
    dict
        Zeros and weights of the linear layers.

    Raises
    ------
    BadSetting
        If the share is none, or the folder holds adapters or a prefix.
    """
    import torch

    if not 0 <= share < 1:
        raise BadSetting(f"The share of weights to prune must be from 0 to below 1; it is {share}.")
    source = load_encoder(encoder)
    if read_recipe(source.folder):
        raise BadSetting(f"{source.folder} holds more than plain weights ({read_recipe(source.folder)['kind']}); prune its base.")
    network = open_model(source.folder).network
    zeros = total = 0
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, torch.nn.Linear):
                count = int(share * part.weight.numel())
                order = part.weight.abs().flatten().argsort(stable=True)
                part.weight.view(-1)[order[:count]] = 0
                zeros, total = zeros + int((part.weight == 0).sum()), total + part.weight.numel()
    save_encoder(network, "full", Sizes(), source.folder, out)
    return {"zeros": zeros, "weights": total}

"""The methods of fine-tuning by name: the parameters of an encoder that each teaches, and its result as a folder."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recpipe.errors import BadSetting
from recpipe.files import to_json, write_whole
from recpipe.text.layers.adapters import insert_adapters
from recpipe.text.layers.prefix import add_prefix
from recpipe.text.loaders import BESIDE, RECIPE
from recpipe.training.encoder.lora import low_rank, merged

METHODS = ("full", "top_layers", "lora", "adalora", "prefix", "adapter")


LEARNING_RATES = {"full": 2e-5, "top_layers": 5e-5, "lora": 5e-4, "adalora": 3e-2, "prefix": 1e-2, "adapter": 5e-4}
"""Learning rates of each method where none is given: the fewer parameters, and the nearer to zero they start, the higher."""


TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "LICENSE", "LICENSE.txt")


@dataclass(frozen=True)
class Sizes:
    """How large what a method adds is.

    Attributes
    ----------
    top_layers
        Layers from the top that ``top_layers`` teaches.
    rank
        Of LoRA's and AdaLoRA's matrices; the scale is twice the rank.
    adapter_size
        Width of the bottleneck.
    prefix_tokens
        Virtual tokens before each text.
    """

    top_layers: int = 2
    rank: int = 8
    adapter_size: int = 32
    prefix_tokens: int = 8


def prepare(network: Any, method: str, sizes: Sizes, steps: int) -> Any:
    """Return the network with what the method adds; of its parameters only those that the method teaches need gradients.

    Parameters
    ----------
    network
        What ``AutoModel`` loaded; changed in place by most methods.
    method
        One of `METHODS`. LoRA: Hu et al. 2022; AdaLoRA: Zhang et al. 2023; prefix: Li and Liang 2021; adapter: Houlsby et al. 2019.
    steps
        Updates of the run; AdaLoRA plans its ranks by it.

    Raises
    ------
    BadSetting
        If there is no such method, or the network has no layers that the method could take.
    """
    if method not in METHODS:
        raise BadSetting(f"Fine-tuning knows no method '{method}'. Choose one of {', '.join(METHODS)}.")
    for parameter in network.parameters():
        parameter.requires_grad_(method == "full")
    if method in ("lora", "adalora"):
        return low_rank(network, method, sizes.rank, steps)
    if method == "prefix":
        return add_prefix(network, sizes.prefix_tokens)
    if method == "adapter":
        names = set(insert_adapters(network, sizes.adapter_size))
    elif method == "top_layers":
        names = _names_of_top_layers(network, sizes.top_layers)
    else:
        names = {name for name, _ in network.named_parameters() if not name.startswith("pooler.")}  # nothing reads the pooler
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in names)
    return network


def taught(network: Any) -> dict[str, Any]:
    """Return the parameters that are taught, by name."""
    return {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}


def save_encoder(network: Any, method: str, sizes: Sizes, source: Path, folder: Path) -> None:
    """Write an encoder folder that `recpipe.text.encoder.load_encoder` loads; the source folder gives tokenizer and configuration.

    LoRA and AdaLoRA are merged into the weights, and the network is of no use for training afterwards. Adapters and
    prefixes stand beside the weights they were taught on.
    """
    from safetensors.torch import save, save_file

    folder.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    stands_beside = method in ("adapter", "prefix")
    beside = {name: value.detach().clone().contiguous() for name, value in taught(network).items()} if stands_beside else {}
    if stands_beside:
        recipe = {"size": sizes.adapter_size} if method == "adapter" else {"tokens": sizes.prefix_tokens}
        write_whole(folder / BESIDE, save(beside))
        write_whole(folder / RECIPE, to_json({"kind": method, **recipe}))
    base = merged(network, method)
    state = {_plain(name): value.detach().clone().contiguous() for name, value in base.state_dict().items() if name not in beside}
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    shutil.copyfile(source / "config.json", folder / "config.json")


def _names_of_top_layers(network: Any, count: int) -> set[str]:
    """Return the parameters of the last layers: of the longest list of blocks that the network has."""
    from torch.nn import ModuleList

    lists = [(len(part), name) for name, part in network.named_modules() if isinstance(part, ModuleList)]
    if not lists:
        raise BadSetting(f"A {type(network).__name__} has no list of layers. Use method full or lora.")
    most, place = max(lists)
    kept = tuple(f"{place}.{number}." for number in range(max(0, most - count), most))
    return {name for name, _ in network.named_parameters() if name.startswith(kept)}


def _plain(name: str) -> str:
    """Return a parameter's name as it is without adapters, so that ``AutoModel`` finds it."""
    return name.replace(".linear.", ".")

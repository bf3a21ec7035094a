"""Model folders as torch sees them: whatever ``AutoModel`` loads, with what fine-tuning put beside it.

A folder that fine-tuning wrote is one that ``AutoModel`` loads alone, unless its method cannot be merged into the
weights; then ``recpipe_encoder.json`` names the method, and a further safetensors file holds its parameters.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recpipe.errors import BadSetting, RecpipeError, no_space

RECIPE = "recpipe_encoder.json"
INT8 = "int8"
"""The kind of a folder that `recpipe.training.encoder.compress.int8_export` wrote."""
BESIDE = "beside.safetensors"
"""Parameters of adapters or prefixes, beside the base's ``model.safetensors``."""


@dataclass(frozen=True)
class TextModel:
    """A tokenizer and a network on it.

    Attributes
    ----------
    tokenizer
        Of transformers.
    network
        Called with ``input_ids`` and ``attention_mask``; its answer has ``last_hidden_state``, (texts, tokens, d).
    reserved
        Positions that the network itself takes from every text (a prefix's).
    """

    tokenizer: Any
    network: Any
    reserved: int = 0


def open_model(folder: Path) -> TextModel:
    """Load a model folder, in evaluation mode; needs torch and transformers.

    Raises
    ------
    BadSetting
        If ``recpipe_encoder.json`` names a kind that is not known here, the weights are no safetensors, or the folder is not whole.
    """
    with whole_folder(folder):
        return _open(folder)


@contextmanager
def whole_folder(folder: Path) -> Iterator[None]:
    """Turn what libraries say of a folder that is damaged, or lacks a file, into a sentence with the remedy.

    Raises
    ------
    BadSetting
        In the place of any other error but that of a full disk or memory.
    """
    try:
        yield
    except (RecpipeError, ImportError, MemoryError):
        raise
    except Exception as error:
        if no_space(error):
            raise
        said = (str(error).strip().splitlines() or [""])[0][:200]
        raise BadSetting(
            f"Encoder folder {folder} cannot be read ({type(error).__name__}: {said}): a file of it is missing or damaged. Download "
            f"or copy the model completely (`recpipe install-encoder multilingual` makes that one), or name another by RECPIPE_ENCODER."
        ) from error


def _open(folder: Path) -> TextModel:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # ours counts texts; theirs counts weights, into the task log
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    recipe = read_recipe(folder)
    if recipe.get("kind") == INT8:
        from recpipe.text.layers.int8 import open_int8

        return TextModel(tokenizer, open_int8(folder))
    _require_safetensors(folder)
    network: Any = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True, trust_remote_code=False).eval()
    kind = recipe.get("kind", "")
    if kind == "adapter":
        from recpipe.text.layers.adapters import insert_adapters

        insert_adapters(network, recipe["size"])
    elif kind == "prefix":
        from recpipe.text.layers.prefix import add_prefix

        network = add_prefix(network, recipe["tokens"])
    elif kind:
        raise BadSetting(f"{folder / RECIPE} speaks of kind '{kind}', which this version of recpipe does not know.")
    if kind:
        _load_beside(network, folder / BESIDE)
    return TextModel(tokenizer, network.eval(), int(recipe.get("tokens", 0)))


def _require_safetensors(folder: Path) -> None:
    """Refuse weights that could run code when they are read."""
    if not list(folder.glob("*.safetensors")):
        raise BadSetting(
            f"Encoder folder {folder} holds no weights as safetensors, and others are not read: a pickle can run code. Write them anew "
            f"where you trust them, with model.save_pretrained(folder) of transformers."
        )


def read_recipe(folder: Path) -> dict[str, Any]:
    """Return what stands in ``recpipe_encoder.json``; nothing where there is none."""
    file = folder / RECIPE
    recipe: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    return recipe


def mean_of_states(states: Any, mask: Any) -> Any:
    """Return (texts, d): mean of the last hidden states over the attention mask."""
    return (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)


def _load_beside(network: Any, file: Path) -> None:
    from safetensors.torch import load_file

    found = load_file(file)
    state = network.state_dict()
    strange = sorted(set(found) - set(state))
    if strange:
        raise BadSetting(f"{file} holds '{strange[0]}', which the model in the folder has no place for. Fine-tune again.")
    network.load_state_dict(found, strict=False)

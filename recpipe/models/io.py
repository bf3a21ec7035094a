"""Model folders: ``config.json`` for people and ``model.safetensors`` for arrays; nothing that runs code when read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from recpipe.errors import MissingModel, RecpipeError
from recpipe.files import to_json, write_whole
from recpipe.models.base import Learner
from recpipe.models.blend import Blend
from recpipe.models.ease import EASE
from recpipe.models.guarded import Guarded
from recpipe.models.heads import HEADS
from recpipe.models.item_knn import ItemKNN
from recpipe.models.pair_network import NETWORK, STACK, PairNetwork
from recpipe.models.popularity import CountryPopularity, Popularity, SeasonPopularity, UserPopularity
from recpipe.models.prototypical import Prototypical
from recpipe.models.text_prototype import TextPrototype

FORMAT = 1
GUARD = "guard"
"""Key of ``config.json`` beside a taught learner: the blend of closed forms, and the learner's share for each size."""


CLOSED_FORMS = (Popularity, UserPopularity, SeasonPopularity, CountryPopularity, ItemKNN, TextPrototype, EASE, Blend)
LEARNERS: dict[str, Any] = {
    **{kind.name: kind for kind in (*CLOSED_FORMS, Prototypical)},
    **HEADS,
    **dict.fromkeys((STACK, NETWORK), PairNetwork),
}
"""Every learner that can stand in a model folder, by its name."""


def save(learner: Learner, folder: Path, facts: Mapping[str, Any]) -> None:
    """Write a learner; each file appears whole or not at all, ``config.json`` last.

    Parameters
    ----------
    learner
        One of `LEARNERS`; its numbers go into ``config.json``, its arrays into ``model.safetensors``.
    folder
        Made if it is not there.
    facts
        What else ``config.json`` says: encoder (fingerprint), fitted_until, trained_until, seed, … Values of JSON.

    Raises
    ------
    RecpipeError
        If the learner is none that `load` could read.
    """
    if isinstance(learner, Guarded):
        guard = {"parts": list(learner.blend.parts), "weights": learner.blend.weights, "shares": list(learner.shares)}
        save(learner.network, folder, {**facts, GUARD: guard})
        return
    if LEARNERS.get(learner.name) is not type(learner):
        raise RecpipeError(f"Learner '{learner.name}' cannot be saved: it is none of {', '.join(sorted(LEARNERS))}.")
    values = {field.name: getattr(learner, field.name) for field in fields(learner)}  # type: ignore[arg-type]
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray) or _holds_arrays(value)}
    data = save_tensors({name: np.ascontiguousarray(array) for name, array in _flat(arrays).items()})
    config = {
        **facts,
        "format": FORMAT,
        "learner": learner.name,
        "parameters": {name: value for name, value in values.items() if name not in arrays},
        "sha256": {"model.safetensors": hashlib.sha256(data).hexdigest()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "model.safetensors", data)
    write_whole(folder / "config.json", to_json(config))


def load(folder: Path) -> Learner:
    """Read a learner back.

    Raises
    ------
    MissingModel
        If the folder holds no model.
    RecpipeError
        If its learner is unknown, or a file is not the one that was saved.
    """
    config = read_config(folder)
    kind = LEARNERS.get(config.get("learner", ""))
    if kind is None or config.get("format") != FORMAT:
        raise RecpipeError(
            f"Model folder {folder} holds learner '{config.get('learner')}' in format {config.get('format')}; this version "
            f"of recpipe reads {', '.join(sorted(LEARNERS))} in format {FORMAT}. Use the version that wrote it, or train again."
        )
    arrays = _arrays(_checked(folder, "model.safetensors", config), folder / "model.safetensors")
    parameters = {**config.get("parameters", {}), **_nested(arrays)}
    unknown = sorted(set(parameters) ^ {field.name for field in fields(kind)})
    if unknown:
        raise RecpipeError(f"Model folder {folder} and learner '{kind.name}' disagree about {', '.join(unknown)}. Train again.")
    learner: Learner = kind(**parameters)
    guard = config.get(GUARD)
    return Guarded(learner, Blend(guard["parts"], guard["weights"]), guard["shares"]) if guard else learner


def read_config(folder: Path) -> dict[str, Any]:
    """Return ``config.json`` of a model folder: learner, parameters, and the facts it was saved with.

    Raises
    ------
    MissingModel
        If there is none.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingModel(f"Folder {folder} holds no model: config.json is missing. Run `recpipe train` first.") from None
    except ValueError as error:  # no JSON, or no UTF-8
        raise RecpipeError(f"{folder / 'config.json'} is no JSON ({error}). Fetch or train the model again.") from None
    if not isinstance(config, dict) or not all(isinstance(config.get(name, {}), dict) for name in ("parameters", "sha256")):
        raise RecpipeError(f"{folder / 'config.json'} is no model's: it was damaged. Fetch or train the model again.")
    return config


def _holds_arrays(value: Any) -> bool:
    """Return whether a value is a dictionary of arrays."""
    return isinstance(value, Mapping) and bool(value) and all(isinstance(held, np.ndarray) for held in value.values())


def _flat(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return every array by its path: ``numbers/gate`` for the one in a dictionary."""
    flat = {name: array for name, array in arrays.items() if isinstance(array, np.ndarray)}
    groups = {name: held for name, held in arrays.items() if name not in flat}
    return {**flat, **{f"{name}/{inner}": array for name, held in groups.items() for inner, array in held.items()}}


def _nested(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Undo `_flat`."""
    nested: dict[str, Any] = {}
    for path, array in arrays.items():
        name, _, inner = path.partition("/")
        if inner:
            nested.setdefault(name, {})[inner] = array
        else:
            nested[name] = array
    return nested


def _arrays(data: bytes, file: Path) -> dict[str, Any]:
    try:
        return dict(load_tensors(data))
    except SafetensorError:
        raise RecpipeError(
            f"{file} is no file of safetensors, and nothing else is read: a pickle can run code. Fetch or train the model again."
        ) from None


def _checked(folder: Path, name: str, config: Mapping[str, Any]) -> bytes:
    file = folder / name
    if not file.is_file():
        raise MissingModel(f"Model folder {folder} is not whole: {name} is missing. Fetch or train the model again.")
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != config.get("sha256", {}).get(name):
        raise RecpipeError(f"{file} is not the file that was saved with its config.json. Fetch or train the model again.")
    return data

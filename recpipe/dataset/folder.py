"""The training input as a folder: ``evidence.safetensors``, ``catalogue.json`` and ``facts.json``; no user id in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from recpipe.dataset.catalogue import Catalogue
from recpipe.dataset.history import Evidence, History
from recpipe.errors import RecpipeError
from recpipe.files import to_json, write_whole

FORMAT = 1
FACTS_FILE = "facts.json"
NEEDED_FACTS = ("fitted_until", "seed", "encoder")


def write_episodes_folder(folder: Path, evidence: Evidence, facts: Mapping[str, Any]) -> None:
    """Write what a training run reads.

    Users are written as row numbers: training needs no id, and none leaves the lake.

    Parameters
    ----------
    folder
        Made if it is not there; ``facts.json`` is written last and says that the folder is complete.
    evidence
        As of the end of the day ``fitted_until``.
    facts
        Values of JSON. Needed: ``fitted_until`` (2011-08-21), ``seed``, ``encoder`` (its fingerprint). Read by training
        where given: ``half_life_days``, ``last_events``, ``horizon_days``, ``metric_k``, ``few_items``, ``new_user_days``,
        ``seen_items``. All of them end up in the model's ``config.json``.

    Raises
    ------
    RecpipeError
        If a needed fact is missing.
    """
    missing = [name for name in NEEDED_FACTS if name not in facts]
    if missing:
        raise RecpipeError(f"Training input {folder} needs the facts {', '.join(missing)}.")
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files_of(evidence, facts).items():
        write_whole(folder / name, data)


def files_of(evidence: Evidence, facts: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files of a training input by name; ``facts.json``, the last, holds the sums of the others and so says which it is."""
    files = {"evidence.safetensors": save_tensors(_arrays(evidence)), "catalogue.json": to_json(_texts(evidence))}
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    return {**files, FACTS_FILE: to_json({"format": FORMAT, "facts": dict(facts), "sha256": sums})}


def read_episodes_folder(folder: Path) -> tuple[Evidence, dict[str, Any]]:
    """Read a training input: the evidence (with row numbers as user ids) and its facts.

    Raises
    ------
    RecpipeError
        If the folder is not complete, of another format, or was changed.
    """
    evidence, facts, _ = read_training_input(folder)
    return evidence, facts


def read_training_input(folder: Path) -> tuple[Evidence, dict[str, Any], str]:
    """Read a training input and, at the same time, what says which one it is: the text of ``facts.json``.

    Whoever names a run after its input goes by this text: read later it may be that of another export.

    Raises
    ------
    RecpipeError
        As `read_episodes_folder` does.
    """
    facts_file = folder / FACTS_FILE
    if not facts_file.is_file():
        raise RecpipeError(f"Training input {folder} is not complete: facts.json is missing. Export it again.")
    text = facts_file.read_text(errors="replace")
    whole = _facts(text, facts_file)
    if whole.get("format") != FORMAT:
        raise RecpipeError(f"Training input {folder} is of format {whole.get('format')}, not {FORMAT}. Export it again.")
    arrays = load_tensors(_checked(folder / "evidence.safetensors", whole))
    texts = json.loads(_checked(folder / "catalogue.json", whole))
    facts: dict[str, Any] = whole["facts"]
    return _evidence(arrays, texts), facts, text


def _facts(text: str, file: Path) -> dict[str, Any]:
    try:
        whole = json.loads(text)
    except json.JSONDecodeError as error:
        raise RecpipeError(f"{file} is no JSON ({error}): it was damaged. Export the training input again.") from None
    if (
        not isinstance(whole, dict)
        or not isinstance(whole.get("facts", {}), dict)
        or not isinstance(whole.get("sha256", {}), dict)
    ):
        raise RecpipeError(f"{file} does not say what a training input says of itself: it was damaged. Export it again.")
    return whole


def _checked(file: Path, whole: Mapping[str, Any]) -> bytes:
    data = file.read_bytes() if file.is_file() else b""
    if hashlib.sha256(data).hexdigest() != whole.get("sha256", {}).get(file.name):
        raise RecpipeError(f"{file} is not the file that facts.json speaks of. Export the training input again.")
    return data


def _arrays(evidence: Evidence) -> dict[str, np.ndarray[Any, Any]]:
    catalogue, history = evidence.catalogue, evidence.history
    arrays: dict[str, Any] = {
        "vectors": catalogue.vectors,
        "first_day": catalogue.first_day.astype("datetime64[D]").astype(np.int64),
        "available": catalogue.available,
        "price": catalogue.price,
        "user": history.user,
        "item": history.item,
        "ts": history.ts.astype("datetime64[us]").astype(np.int64),
        "weight": history.weight,
        "popularity_item": evidence.popularity_item,
        "popularity_ts": evidence.popularity_ts.astype("datetime64[us]").astype(np.int64),
        "until": np.array([evidence.until.astype("datetime64[us]").astype(np.int64)]),
        "users": np.array([len(history.user_ids)]),
    }
    if history.returned_at is not None:
        arrays["returned_at"] = history.returned_at.astype("datetime64[us]").astype(np.int64)
    if history.country is not None:
        arrays["country"] = history.country
    if catalogue.tuned is not None:
        arrays["tuned"] = catalogue.tuned
    return {name: np.ascontiguousarray(value) for name, value in arrays.items()}


def _texts(evidence: Evidence) -> dict[str, Any]:
    catalogue, countries = evidence.catalogue, evidence.history.country_names
    return {
        **({"countries": list(countries)} if countries else {}),
        "item_ids": [str(item) for item in catalogue.item_ids],
        "texts": list(catalogue.texts),
        "categories": [list(path) for path in catalogue.categories],
        **({"brands": list(catalogue.brands)} if catalogue.brands is not None else {}),
    }


def _evidence(arrays: Mapping[str, Any], texts: Mapping[str, Any]) -> Evidence:
    catalogue = Catalogue(
        item_ids=np.array(texts["item_ids"], dtype=object),
        texts=texts["texts"],
        vectors=arrays["vectors"],
        first_day=arrays["first_day"].astype("datetime64[D]"),
        available=arrays["available"],
        price=arrays["price"],
        categories=[tuple(path) for path in texts["categories"]],
        brands=texts.get("brands"),
        tuned=arrays.get("tuned"),
    )
    rows = int(arrays["users"][0])
    history = History(
        user_ids=np.array([f"{row:09d}" for row in range(rows)], dtype=object),
        user=arrays["user"],
        item=arrays["item"],
        ts=arrays["ts"].astype("datetime64[us]"),
        weight=arrays["weight"],
        returned_at=arrays["returned_at"].astype("datetime64[us]") if "returned_at" in arrays else None,
        country=arrays.get("country"),
        country_names=tuple(texts.get("countries", ())),
    )
    until = arrays["until"].astype("datetime64[us]")[0]
    return Evidence(catalogue, history, arrays["popularity_item"], arrays["popularity_ts"].astype("datetime64[us]"), until)

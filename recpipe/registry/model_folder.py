"""The folder that training writes: what counts as the model, its hash, its facts and its curves."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final

from recpipe.errors import MissingModel

CONFIG: Final = "config.json"
WEIGHTS: Final = "model.safetensors"
CLOSED_FORM: Final = "closed_form"
"""Folder within the one that training writes, with the best learner that needs no training."""
MODEL_FILES: Final = (CONFIG, WEIGHTS)
"""The model itself; what else stands in the folder (curves, plots, checkpoints) tells how it came about."""


def content_hash(folder: Path) -> str:
    """Return the sha256 of the model's files, names included.

    Raises
    ------
    MissingModel
        If a file is not there.
    """
    digest = hashlib.sha256()
    for name in MODEL_FILES:
        path = folder / name
        if not path.is_file():
            raise MissingModel(f"{folder} holds no {name}, so it is no model folder: run `recpipe train` into it first.")
        digest.update(f"{name}\n{path.stat().st_size}\n".encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object, empty if the file is not there.

    Raises
    ------
    MissingModel
        If it holds none: it was damaged.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise MissingModel(f"{path} is no JSON ({error}): it was damaged. Fetch the model anew, or train again.") from None
    if not isinstance(found, dict):
        raise MissingModel(f"{path} holds no JSON object: it was damaged. Fetch the model anew, or train again.")
    return found


def summary_of(folder: Path, learner: str) -> tuple[dict[str, Any], Path]:
    """Return what training measured of a model, and the folder of its pictures.

    A closed form has neither of its own: they are those of the training that left it, of the summary its own part.
    """
    summary = read_json(folder / "summary.json")
    if summary or folder.name != CLOSED_FORM:
        return summary, folder / "plots"
    quality = read_json(folder.parent / "summary.json").get("quality", {})
    mine = {learner: quality[learner]} if learner in quality else {}
    return ({"quality": mine} if mine else {}), folder.parent / "plots"


def day_in(config: Mapping[str, Any], name: str, folder: Path) -> date:
    """Return a day that config.json names.

    Raises
    ------
    MissingModel
        If it names none.
    """
    value = config.get(name)
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise MissingModel(
            f"{folder / CONFIG} names no day '{name}' (found: {value!r}): write the model folder with learn.save and its facts."
        ) from None


def curves(folder: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield (step, numbers by name) of metrics.jsonl, in the order of the file."""
    path = folder / "metrics.jsonl"
    if not path.is_file():
        return
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        try:
            row = json.loads(line)
        except json.JSONDecodeError:  # the last line of a run that was killed while it wrote
            continue
        step = int(row.pop("step", number))
        yield step, {mlflow_name(name): value for name, value in numbers(row)}


def mlflow_name(name: str) -> str:
    """Return a name that MLflow takes for a metric or parameter: ndcg@10 becomes ndcg_at_10."""
    return re.sub(r"[^\w\-. :/]", "_", name.replace("@", "_at_"))


def numbers(tree: object, prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield (dotted name, value) of every number in nested dictionaries."""
    if isinstance(tree, Mapping):
        for name, value in tree.items():
            yield from numbers(value, f"{prefix}{name}.")
    elif isinstance(tree, int | float) and not isinstance(tree, bool):
        yield prefix.rstrip("."), float(tree)


def leaves(tree: object, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted name, text) of every leaf of nested dictionaries."""
    if isinstance(tree, Mapping):
        for name, value in tree.items():
            yield from leaves(value, f"{prefix}{name}.")
    else:
        yield prefix.rstrip("."), tree if isinstance(tree, str) else json.dumps(tree)

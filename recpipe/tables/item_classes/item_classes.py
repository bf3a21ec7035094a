"""The class of every item that has none: a few labelled items a class, a tree of classes, new classes on any day."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.contract import ITEM_CLASSES
from recpipe.lake.reader import Reader
from recpipe.metrics.calibration import calibration_error
from recpipe.pipeline.blocks import blocks_of, shard_of
from recpipe.pipeline.run_plan import RunPlan
from recpipe.pipeline.table import Facts, Metric, Task
from recpipe.pipeline.task_outcomes import mean_metric
from recpipe.rules.load import read_rules
from recpipe.rules.model import Tree
from recpipe.rules.plan_copies import rules_of_plan
from recpipe.tables.item_classes.labels import CATEGORY, labels_hash, read_labels
from recpipe.text.classes import class_tree
from recpipe.text.encoder import load_encoder
from recpipe.text.lsa import beside, learn_words, spread_of
from recpipe.validation.suites import Suite, whole_suite

log = logging.getLogger(__name__)

COLUMNS: Final = ["day", "item_id", "title", "category", "brand"]
ITEMS_A_BLOCK: Final = 512
MOST_NAMED: Final = 3

Path = tuple[str, ...]


@dataclass(frozen=True)
class Items:
    """The items of a day, by id, and the label that each has in its category; empty where it has none."""

    item_ids: NDArray[np.object_]
    texts: list[str]
    categories: list[Path]


RULE: Final = "classes-2"
"""Name of the rule that classes follow from; another one makes other classes of the same labels."""


@dataclass(frozen=True)
class Scheme:
    """A fitted tree of classes with the items that it is asked about.

    Attributes
    ----------
    name
        `CATEGORY`, or a scheme of the shop's labels.
    model
        What was fitted on the labelled items.
    item_ids, placed
        Of the labelled items: (labelled,) ids, and (labelled, axes) where the model sees them. A text's vector is what the encoder
        makes of it, and beside it the words that it shares with others.
    below
        Rows of the labelled items of every node of the tree.
    asked, asked_vectors
        Of the items without a label: (asked,) ids, sorted, and (asked, d + axes).
    """

    name: str
    model: class_tree.Model
    item_ids: NDArray[np.object_]
    placed: NDArray[np.float64]
    below: dict[Path, NDArray[np.intp]]
    asked: NDArray[np.object_]
    asked_vectors: NDArray[np.float32]


@dataclass(frozen=True)
class State:
    """What the rows of a day are made from."""

    day: date
    least: float
    version: str
    items: Items
    labels: dict[str, dict[str, Path]]
    schemes: list[Scheme]


def version(settings: Settings, day: date) -> str:
    """Return what makes the classes: the rule, the encoder, and the shop's labels where there are any."""
    made = f"{RULE}+{load_encoder(settings.text.encoder).fingerprint[:12]}"
    own = labels_hash(settings.item_classes)
    return f"{made}+{own[:8]}" if own else made


def open_classes(settings: Settings, plan: RunPlan, reader: Reader) -> State:
    """Fit a tree for each scheme of labels that stands at the end of the day."""
    day = plan.day
    items = read_items(reader, day, rules_of_plan(settings, plan.knowledge, plan.day).tree)
    known = set(items.item_ids)
    labels = {CATEGORY: {item: path for item, path in zip(items.item_ids, items.categories, strict=True) if path}}
    for name, own in read_labels(settings, day).items():
        labels[name] = {item: path for item, path in own.items() if item in known}
    able = {name: own for name, own in labels.items() if len(set(own.values())) > 1}
    for name in sorted(set(labels) - set(able)):
        log.warning("Scheme %s has fewer than two classes on %s: no item gets a class of it.", name, day)
    schemes = [_fit(settings, items, name, own) for name, own in sorted(able.items())]
    return State(day, settings.item_classes.least_confidence, plan.model_version, items, able, schemes)


def read_items(reader: Reader, day: date, tree: Tree) -> Items:
    """Return the items as of a day, their categories as the shop's tree has them.

    Their texts are title and brand, since the category is what is asked for.
    """
    rows = reader.as_of("items", day, COLUMNS)
    parts = zip(rows["title"].to_pylist(), rows["brand"].to_pylist(), strict=True)
    texts = [" ".join(part for part in both if part) for both in parts]
    categories = [tuple(level for level in path or () if level) for path in rows["category"].to_pylist()]
    return Items(rows["item_id"].to_numpy(zero_copy_only=False).astype(object), texts, tree.of_all(categories))


def _fit(settings: Settings, items: Items, name: str, labels: dict[str, Path]) -> Scheme:
    encoder = load_encoder(settings.text.encoder, settings.places.work / "encoder")
    labelled = np.array([item in labels for item in items.item_ids], np.bool_)
    # the category says much of a class that the shop made up; it is what the scheme category asks for
    texts = items.texts if name == CATEGORY else [_with_path(*pair) for pair in zip(items.texts, items.categories, strict=True)]
    words = learn_words(texts)
    plain = encoder.encode(texts)
    spread = spread_of(plain)
    vectors = beside(plain, words.vectors(texts), spread)
    paths = [labels[item] for item in items.item_ids[labelled]]
    named = sorted(set(paths))
    said = [" ".join(path) for path in named]
    names = dict(zip(named, beside(encoder.encode(said), words.vectors(said), spread), strict=True))
    model = class_tree.fit(vectors[labelled], paths, names)
    log.info(
        "Scheme %s: %d classes from %d items; %.1f %% right of those left out, by turns.",
        name, len(model.classes), len(paths), 100 * model.accuracy,
    )  # fmt: skip
    known = (items.item_ids[labelled], np.asarray(vectors[labelled] @ model.axes, np.float64), _below(paths))
    return Scheme(name, model, *known, items.item_ids[~labelled], vectors[~labelled])


def _with_path(text: str, path: Path) -> str:
    return " ".join(part for part in (text, *path) if part)


def make(state: State, shard: int, shards: int) -> tuple[pa.Table, Facts]:
    """Return the classes of one shard's items, and what the audit wants to know of them."""
    parts, asked = [], []
    for scheme in state.schemes:
        for rows in shard_of(blocks_of(scheme.asked, ITEMS_A_BLOCK), shard, shards):
            parts += _rows(state, scheme, rows)
            asked += [(scheme.name, item) for item in scheme.asked[rows]]
    return pa.Table.from_pylist(parts, schema=ITEM_CLASSES.schema), count_faults(state, parts, asked)


def _rows(state: State, scheme: Scheme, rows: NDArray[np.intp]) -> list[dict[str, Any]]:
    if not len(rows):
        return []
    vectors = scheme.asked_vectors[rows]
    found = class_tree.place(scheme.model.probabilities(vectors), scheme.model.classes, state.least)
    because = _closest(scheme, vectors, found.paths)
    return [
        {
            "day": state.day,
            "scheme": scheme.name,
            "item_id": item,
            "class_path": list(path) or None,
            "level": len(path),
            "confidence": float(confidence),
            "abstained": not path,
            "because_item_ids": named,
            "model_version": state.version,
        }
        for item, path, confidence, named in zip(scheme.asked[rows], found.paths, found.confidence, because, strict=True)
    ]


def _closest(scheme: Scheme, vectors: NDArray[np.float32], paths: list[Path]) -> list[list[str]]:
    """Return the labelled items of each item's class whose vectors are the closest to its own, as the model sees them."""
    mine = np.asarray(vectors @ scheme.model.axes, np.float64)
    found: list[list[str]] = [[] for _ in paths]
    rows_of: dict[Path, list[int]] = {}
    for row, path in enumerate(paths):
        if path:
            rows_of.setdefault(path, []).append(row)
    for path, rows in sorted(rows_of.items()):
        inside = scheme.below[path]
        theirs = scheme.placed[inside]
        away = np.round((theirs**2).sum(1) - 2 * mine[rows] @ theirs.T, 6)
        for _ in range(min(MOST_NAMED, len(inside))):
            nearest = away.argmin(1)  # of equally close ones the first by id
            away[np.arange(len(rows)), nearest] = np.inf
            for row, one in zip(rows, nearest, strict=True):
                found[row].append(str(scheme.item_ids[inside[one]]))
    return found


def _below(paths: list[Path]) -> dict[Path, NDArray[np.intp]]:
    """Return the labelled items of every node of the tree, those of the classes in it."""
    rows: dict[Path, list[int]] = {}
    for row, path in enumerate(paths):
        for level in range(1, len(path) + 1):
            rows.setdefault(path[:level], []).append(row)
    return {path: np.array(some, np.intp) for path, some in rows.items()}


# --- is it good enough? -------------------------------------------------------------------------------------------


def count_faults(state: State, rows: list[dict[str, Any]], asked: list[tuple[str, str]]) -> Facts:
    """Count what is wrong with rows, from the labels and not from the model's arrays."""
    known, nodes = set(state.items.item_ids), {}
    for name, own in state.labels.items():
        nodes[name] = {path[:level] for path in set(own.values()) for level in range(1, len(path) + 1)}
    path_of = [tuple(row["class_path"] or ()) for row in rows]
    both = list(zip(rows, path_of, strict=True))
    return {
        "unknown_items": sum(row["item_id"] not in known for row in rows),
        "labelled_items": sum(row["item_id"] in state.labels.get(row["scheme"], {}) for row in rows),
        "items_without_row": len(set(asked) - {(row["scheme"], row["item_id"]) for row in rows}),
        "unknown_classes": sum(bool(path) and path not in nodes.get(row["scheme"], set()) for row, path in both),
        "levels_amiss": sum(row["level"] != len(path) or row["abstained"] == bool(path) for row, path in both),
        "unsure_classes": sum(bool(path) and row["confidence"] < state.least for row, path in both),
        "because_amiss": sum(not _speaks(state, row, path) for row, path in both),
    }


def _speaks(state: State, row: dict[str, Any], path: Path) -> bool:
    """Whether a row names labelled items of its class where it has one, and none where it has none."""
    own = state.labels.get(row["scheme"], {})
    named = row["because_item_ids"]
    return bool(named) == bool(path) and all(own.get(item, ())[: len(path)] == path for item in named)


def suite(settings: Settings) -> Suite:
    """Return what is expected of a day of classes."""
    from recpipe.validation.rule import between, none

    return whole_suite(
        ITEM_CLASSES.name,
        settings.intake,
        rows=[between("confidence", 0, 1, "Every confidence is a probability")],
        day=[
            none("unknown_items", "Every item was delivered on the day or before"),
            none("labelled_items", "No item has a label of the scheme already"),
            none("items_without_row", "Every item without a label has a row"),
            none("unknown_classes", "Every class is one that labelled items have"),
            none("levels_amiss", "The level is the length of the path, and 0 where nothing is said"),
            none("unsure_classes", "No class is given that is less likely than set"),
            none("because_amiss", "Labelled items of the class are named, and only where there is a class"),
        ],
        needed=FACTS,
    )


FACTS: Final = (
    "unknown_items", "labelled_items", "items_without_row", "unknown_classes", "levels_amiss", "unsure_classes", "because_amiss",
)  # fmt: skip


# --- what became of it --------------------------------------------------------------------------------------------


def measure(settings: Settings, reader: Reader, made_on: date, day: date) -> list[Metric]:
    """Compare the classes of a day with the labels that the items got since.

    ``accuracy`` is the share of right ones of the classes that were given, ``coverage`` the share of items that were given one,
    ``calibration_error`` the mean distance of confidence and accuracy in ten bins of equally many items (Nguyen & O'Connor
    2015, section 3). A class is right as far as it goes: the shorter of the two paths begins the longer.
    """
    rows = reader.read(ITEM_CLASSES.name, made_on, made_on).to_pylist()
    items = read_items(reader, day, read_rules(settings).tree)
    labels = {CATEGORY: {item: path for item, path in zip(items.item_ids, items.categories, strict=True) if path}}
    labels |= read_labels(settings, day)
    found: list[Metric] = []
    for name in sorted({row["scheme"] for row in rows}):
        own = labels.get(name, {})
        judged = sorted((row for row in rows if row["scheme"] == name and row["item_id"] in own), key=lambda row: row["item_id"])
        found += _judged(settings, day, name, judged, [own[row["item_id"]] for row in judged])
    return found


def _judged(settings: Settings, day: date, scheme: str, rows: list[dict[str, Any]], truth: list[Path]) -> list[Metric]:
    given = np.array([not row["abstained"] for row in rows], np.float64)
    right = np.array([_right(row, path) for row, path in zip(rows, truth, strict=True)], np.float64)
    confidence = np.array([row["confidence"] for row in rows], np.float64)
    metrics = [
        mean_metric(settings, f"{name}:{scheme}", values, day, scheme, name)
        for name, values in (("accuracy", right[given > 0]), ("coverage", given))
    ]
    enough = given.sum() >= max(settings.evaluation.min_users, 1)
    error = calibration_error(confidence[given > 0], right[given > 0]) if enough else None
    return [*metrics, Metric(f"calibration_error:{scheme}", error, None, None, int(given.sum()))]


def _right(row: dict[str, Any], truth: Path) -> bool:
    path = tuple(row["class_path"] or ())
    shorter = min(len(path), len(truth))
    return shorter > 0 and path[:shorter] == truth[:shorter]


CLASSES: Final = Task(
    table=ITEM_CLASSES,
    reads=("items",),
    description="The class of every item that has none, from a few labelled items a class.",
    open=open_classes,
    build=make,
    version=version,
    uses_rules=True,
    suite=suite,
    measure=measure,
)

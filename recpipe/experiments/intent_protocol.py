"""``recpipe benchmark intents``: the intents of short messages, told from a few messages of each intent."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from recpipe.errors import BadSetting
from recpipe.experiments.text_protocol import read_table, write_table
from recpipe.text.classes import classifier
from recpipe.text.classes.shots import Encode
from recpipe.text.encoder import load_encoder

log = logging.getLogger(__name__)

COLUMNS = ("split", "text", "intent")
PUBLISHED = "published"
"""The draw that the data set itself names ``train_<shots>``."""
ADAPTATIONS = ("", "labelled", "unlabelled")


@dataclass(frozen=True)
class Way:
    """How the intents are told.

    Attributes
    ----------
    encoder
        Folder of an encoder; the wheel's if empty.
    adapt
        Empty: the vectors as they are; ``labelled``: of upper layers that learned on the few messages; ``unlabelled``: and on
        the messages of the split ``train`` without their intents.
    cache
        Folder for vectors that were computed before.
    """

    encoder: str = ""
    adapt: str = ""
    cache: Path | None = None


def run(data: Path, out: Path, shots: Sequence[int], draws: int, way: Way, *, seed: int = 0) -> None:
    """Tell the intent of every message of the split ``test`` in each draw.

    Parameters
    ----------
    data
        Parquet or CSV with the columns split, text and intent; splits train and test, and ``train_<shots>`` where there is
        a published draw.
    out
        Gets shots, draw, row (of ``test``, from 0), text, intent and confidence.
    draws
        Besides the published one, from ``train``.

    Raises
    ------
    BadSetting
        If a column, a split or enough messages of an intent are missing, or there is no such way to adapt.
    """
    if way.adapt not in ADAPTATIONS:
        raise BadSetting(f"There is no adaptation '{way.adapt}'. Choose labelled or unlabelled, or leave it away.")
    table = read_table(data, COLUMNS)
    asked = table.loc[table["split"] == "test", "text"].astype(str).tolist()
    train = table[table["split"] == "train"]
    if not asked or train.empty:
        raise BadSetting(f"{data} has no rows of split '{'train' if asked else 'test'}'. The splits train and test are needed.")
    parts = []
    for count in shots:
        for name, known in supports(table, count, draws, seed):
            began = time.monotonic()
            labels, confidence = tell(known, train["text"].astype(str).tolist(), asked, way, seed)
            log.info("%d shots, draw %s: %d intents, %.0f s", count, name, known["intent"].nunique(), time.monotonic() - began)
            answers = {"row": range(len(asked)), "text": asked, "intent": labels, "confidence": confidence}
            parts.append(pd.DataFrame({"shots": count, "draw": name, **answers}))
    write_table(pd.concat(parts, ignore_index=True), out)


def supports(table: pd.DataFrame, shots: int, draws: int, seed: int) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the published draw, where there is one, and further ones from the split ``train``, with their names.

    Raises
    ------
    BadSetting
        If an intent has fewer messages than ``shots``.
    """
    published = table[table["split"] == f"train_{shots}"]
    if len(published):
        yield PUBLISHED, published
    train = table[table["split"] == "train"]
    count = train["intent"].value_counts()
    if draws and count.iloc[-1] < shots:
        raise BadSetting(f"Intent '{count.index[-1]}' has {count.iloc[-1]} messages in train; {shots} of each are to be drawn.")
    for draw in range(draws):
        random = np.random.default_rng([seed, shots, draw])
        yield str(draw), train.groupby("intent", sort=True).sample(shots, random_state=random)


def tell(known: pd.DataFrame, unlabelled: list[str], asked: list[str], way: Way, seed: int) -> tuple[list[str], np.ndarray]:
    """Return the intent of each asked message, and its probability."""
    texts, labels = known["text"].astype(str).tolist(), known["intent"].astype(str).tolist()
    if way.adapt:
        encode = _adapted(texts, labels, unlabelled if way.adapt == "unlabelled" else [], way, seed)
    else:
        encode = load_encoder(way.encoder, way.cache).encode
    return classifier.fit(texts, labels, encode, seed=seed).predict(asked)


def _adapted(texts: list[str], labels: list[str], unlabelled: list[str], way: Way, seed: int) -> Encode:
    from recpipe.training.encoder.few_shot import Course, Lesson, UpperLayers, adapt, adapt_with_unlabelled

    course = Course(tokens=40, rounds=1, learning_rate=3e-5, seed=seed)
    upper, lesson = UpperLayers(load_encoder(way.encoder).folder, course), Lesson(texts, labels)
    more = bool(unlabelled)
    facts = adapt_with_unlabelled(upper, lesson, unlabelled, course, alone=False) if more else adapt(upper, [lesson], course)
    log.info(", ".join(f"{name} {value:.3g}" for name, value in facts.items()))
    return upper.encode

"""The adaptation of an encoder to classes of texts from a few labelled ones: supervised contrast in its upper layers.

Texts of a class are drawn together and apart from the others of their batch (Khosla et al. 2020, "Supervised contrastive learning",
equation 2), and towards the words of their label, which the same network encodes, so that what is learned on classes in one language
serves the words of other classes in another. Texts without a label take part once the adapted encoder is sure of them
(Lee 2013, "Pseudo-label"), which fits an installation that has thousands of texts and labels for some.

The layers below the taught ones do not change: a text passes them once, and its states there are kept, which makes an update
some three times cheaper.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recpipe.errors import BadSetting
from recpipe.text.classes import classifier
from recpipe.text.classes.shots import words_of
from recpipe.text.loaders import mean_of_states, open_model
from recpipe.training.encoder.methods import Sizes, prepare, save_encoder

TEMPERATURE = 0.05
"""Of the contrast; cosines of sentence encoders lie close together."""
CHUNK = 6
"""Batches whose texts are sorted by length together, so that little is padding."""
AT_ONCE = 64
"""Texts that pass the lower layers together."""


@dataclass(frozen=True)
class Lesson:
    """Texts with labels of one kind; the classes of different lessons are not held against each other.

    Attributes
    ----------
    texts, labels
        One label a text; a label that is a word is an anchor by itself.
    """

    texts: Sequence[str]
    labels: Sequence[Any]


@dataclass(frozen=True)
class Course:
    """How an encoder is adapted.

    Attributes
    ----------
    layers
        Taught from the top.
    tokens
        Of a text that are read while learning.
    rounds
        Passes over the texts of a lesson.
    batch
        Texts an update.
    learning_rate
        AdamW's at its highest, after a tenth of the updates.
    sure
        Least probability of a pseudo-label.
    seed
        Of order and dropout.
    """

    layers: int = 4
    tokens: int = 64
    rounds: int = 2
    batch: int = 32
    learning_rate: float = 5e-5
    sure: float = 0.7
    seed: int = 0


DEFAULTS = Course()


class UpperLayers:
    """An encoder whose upper layers learn; `encode` is that of `recpipe.text.encoder.Encoder`.

    Parameters
    ----------
    folder
        Encoder folder of a BERT.
    course
        How many layers, and how many tokens.

    Raises
    ------
    BadSetting
        If the network is no stack of layers on embeddings.
    """

    def __init__(self, folder: Path, course: Course = DEFAULTS) -> None:
        model = open_model(folder)
        self.folder, self.network, self._tokenizer = folder, model.network, model.tokenizer
        stack = getattr(getattr(self.network, "encoder", None), "layer", None)
        if stack is None or not hasattr(self.network, "embeddings"):
            raise BadSetting(
                f"{folder} holds a {type(self.network).__name__}; few-shot adaptation takes a BERT. Name all-MiniLM-L6-v2 or the "
                f"multilingual encoder (`recpipe install-encoder multilingual`)."
            )
        prepare(self.network, "top_layers", Sizes(top_layers=course.layers), 1)
        self._lower, self._upper = list(stack[: -course.layers]), list(stack[-course.layers :])
        self._tokens, self._states = course.tokens, dict[str, Any]()

    def parameters(self) -> list[Any]:
        """Return what is taught."""
        return [parameter for parameter in self.network.parameters() if parameter.requires_grad]

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return (texts, d) unit vectors."""
        import torch

        order = np.argsort(self.lengths(texts), kind="stable")
        out = np.zeros((len(texts), int(self.network.config.hidden_size)), np.float32)
        self.network.eval()
        with torch.inference_mode():
            for start in range(0, len(order), AT_ONCE):
                rows = order[start : start + AT_ONCE]
                out[rows] = self.vectors([texts[row] for row in rows]).numpy()
        return out

    def lengths(self, texts: Sequence[str]) -> NDArray[np.intp]:
        """Return (texts,) tokens; texts that are new pass the lower layers."""
        self._read([text for text in dict.fromkeys(texts) if text not in self._states])
        return np.array([len(self._states[text]) for text in texts], np.intp)

    def vectors(self, texts: Sequence[str]) -> Any:
        """Return (texts, d) torch unit vectors of texts that `lengths` was asked for."""
        import torch

        states = torch.nn.utils.rnn.pad_sequence([self._states[text].float() for text in texts], batch_first=True)
        mask = _mask([len(self._states[text]) for text in texts])
        with _half():
            last = _through(self._upper, states, mask)
        return torch.nn.functional.normalize(mean_of_states(last.float(), mask), dim=1)

    def _read(self, texts: list[str]) -> None:
        """Keep the states of texts below the taught layers, in bfloat16."""
        import torch

        tokens = self._tokenizer(texts, truncation=True, max_length=self._tokens)["input_ids"] if texts else []
        order = sorted(range(len(texts)), key=lambda row: len(tokens[row]))
        learning = self.network.training
        self.network.eval()
        for start in range(0, len(order), AT_ONCE):
            rows = order[start : start + AT_ONCE]
            ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(tokens[row]) for row in rows], batch_first=True)
            with torch.no_grad(), _half():
                states = _through(self._lower, self.network.embeddings(input_ids=ids), _mask([len(tokens[row]) for row in rows]))
            for place, row in enumerate(rows):
                self._states[texts[row]] = states[place, : len(tokens[row])].to(torch.bfloat16).clone()
        self.network.train(learning)


def adapt(upper: UpperLayers, lessons: Sequence[Lesson], course: Course = DEFAULTS) -> dict[str, float]:
    """Teach the upper layers some lessons, their batches in one shuffled order.

    Returns
    -------
    dict
        Updates, mean loss of the first and of the last quarter of them, seconds.
    """
    import torch

    torch.manual_seed(course.seed)
    plan = _plan(upper, lessons, course)
    optimizer = torch.optim.AdamW(upper.parameters(), lr=course.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, len(plan)))
    losses, began = [], time.monotonic()
    upper.network.train()
    for lesson, rows in plan:
        loss = _loss(upper, [lesson.texts[row] for row in rows], [lesson.labels[row] for row in rows])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(upper.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    upper.network.eval()
    part = max(len(losses) // 4, 1)
    first, last = float(np.mean(losses[:part])), float(np.mean(losses[-part:]))
    return {"updates": len(plan), "first_loss": first, "last_loss": last, "seconds": time.monotonic() - began}


def adapt_with_unlabelled(
    upper: UpperLayers, lesson: Lesson, texts: Sequence[str], course: Course = DEFAULTS, *, alone: bool = True
) -> dict[str, float]:
    """Teach a lesson, then it and those texts without a label of which a classifier on the adapted vectors is sure.

    Parameters
    ----------
    alone
        False: the lesson is not taught before by itself, and the classifier judges by the vectors as they are, which is
        better where a lesson has few texts of many classes.

    Returns
    -------
    dict
        As `adapt` says of the second part, and how many texts got a pseudo-label.
    """
    if alone:
        adapt(upper, [lesson], course)
    labels, sure = classifier.fit(lesson.texts, lesson.labels, upper.encode, seed=course.seed).predict(texts)
    rows = [int(row) for row in np.flatnonzero(sure >= course.sure)]
    both = Lesson([*lesson.texts, *(texts[row] for row in rows)], [*lesson.labels, *(labels[row] for row in rows)])
    return {**adapt(upper, [both], course), "pseudo_labels": float(len(rows))}


def adapt_folder(
    source: Path, texts: Sequence[str], labels: Sequence[str | None], out: Path, course: Course = DEFAULTS
) -> dict[str, float]:
    """Adapt an encoder folder to texts of which some have a label, and write another folder.

    Parameters
    ----------
    labels
        One a text; None, where a text has none.

    Raises
    ------
    BadSetting
        If the labels do not name two classes, or the source is no BERT.
    """
    known = [row for row, label in enumerate(labels) if label is not None]
    lesson = Lesson([texts[row] for row in known], [labels[row] for row in known])
    if len(set(lesson.labels)) < 2:
        raise BadSetting(
            f"An encoder adapts to two classes or more; the {len(known)} labelled texts name {len(set(lesson.labels))}."
        )
    upper, rest = UpperLayers(source, course), [text for text, label in zip(texts, labels, strict=True) if label is None]
    facts = adapt_with_unlabelled(upper, lesson, rest, course) if rest else adapt(upper, [lesson], course)
    save(upper, out)
    return facts


def save(upper: UpperLayers, folder: Path) -> None:
    """Write the adapted encoder as a folder that `recpipe.text.encoder.load_encoder` loads."""
    save_encoder(upper.network.eval(), "top_layers", Sizes(), upper.folder, folder)


def _plan(upper: UpperLayers, lessons: Sequence[Lesson], course: Course) -> list[tuple[Lesson, NDArray[np.intp]]]:
    random = np.random.default_rng(course.seed)
    plan = [
        (lesson, rows)
        for lesson in lessons
        for length in [upper.lengths(lesson.texts)]
        for _ in range(course.rounds)
        for rows in _batches(length, course.batch, random)
    ]
    return [plan[place] for place in random.permutation(len(plan))]


def _batches(length: NDArray[np.intp], size: int, random: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    """Deal texts into batches at random, those of like length together; a last one of fewer than two is dropped."""
    order = random.permutation(len(length))
    for start in range(0, len(order), size * CHUNK):
        some = order[start : start + size * CHUNK]
        some = some[np.argsort(length[some], kind="stable")]
        for place in range(0, len(some), size):
            if len(some[place : place + size]) > 1:
                yield some[place : place + size]


def _loss(upper: UpperLayers, texts: list[str], labels: list[Any]) -> Any:
    """Return the contrast within a batch: of texts with one another, and with the words of the labels that are in it."""
    import torch

    classes = sorted(set(labels))
    number = torch.tensor([classes.index(label) for label in labels])
    words = [words_of(name) for name in classes]
    upper.lengths(words)
    vectors = upper.vectors([*texts, *words])
    own, anchors = vectors[: len(texts)], vectors[len(texts) :]
    loss = _supervised_contrast(own, number)
    return loss + torch.nn.functional.cross_entropy(own @ anchors.T / TEMPERATURE, number) if all(words) else loss


def _supervised_contrast(vectors: Any, number: Any) -> Any:
    """Return the mean over texts of −log of the share of another text of the class; 0 where no class has two."""
    import torch

    same = (number[:, None] == number[None]).float().fill_diagonal_(0.0)
    alike = (vectors @ vectors.T / TEMPERATURE).masked_fill(torch.eye(len(vectors), dtype=torch.bool), -1e9)
    own = -(same * torch.log_softmax(alike, 1)).sum(1) / same.sum(1).clamp_min(1.0)
    return own.sum() / (same.sum(1) > 0).sum().clamp_min(1)


def _rate(step: int, steps: int) -> float:
    """Return the share of the learning rate: up over a tenth of the updates, then down to 0."""
    return min((step + 1) / (0.1 * steps + 1), max(0.0, (steps - step) / (0.9 * steps)))


def _through(layers: Sequence[Any], states: Any, mask: Any) -> Any:
    """Return (texts, tokens, d) states after some layers."""
    hidden = (1 - mask[:, None, None, :]) * -1e4
    for layer in layers:
        found = layer(states, attention_mask=hidden)
        states = found[0] if isinstance(found, tuple) else found
    return states


def _mask(lengths: Sequence[int]) -> Any:
    """Return (texts, tokens): 1 where a token is."""
    import torch

    return (torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]).float()


def _half() -> Any:
    """Return the context of bfloat16 products where the processor has them."""
    import torch

    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=torch.ops.mkldnn._is_mkldnn_bf16_supported())

"""The gradients of one update: batches drawn by seed and step, shared out over processes, and averaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from recpipe.training.encoder.augmentation import pass_of, tokens_of, viewed
from recpipe.training.encoder.devices.pace import Pace
from recpipe.training.encoder.finetune_config import Config
from recpipe.training.encoder.meta import inner_steps
from recpipe.training.encoder.objectives import unit_vectors
from recpipe.training.encoder.pair_batches import Batch, draw_batch
from recpipe.training.encoder.state import Course
from recpipe.training.encoder.word_views import View
from recpipe.training.model_selection import Window


@dataclass(frozen=True)
class Lesson:
    """What a run learns from.

    Attributes
    ----------
    course
        What learns.
    windows
        Of which each batch is drawn.
    titles
        (items,) texts of the catalogue.
    config
        With the temperature that was found.
    views
        Ways in which each text is changed.
    pace
        Counts what goes through the network in this process.
    """

    course: Course
    windows: Sequence[Window]
    titles: Sequence[str]
    config: Config
    views: Sequence[View]
    pace: Pace = field(default_factory=Pace)


def add_gradients(lesson: Lesson, step: int) -> float:
    """Add up the gradients of this process's share of a step's batches; return its part of the mean loss.

    A step has as many batches as ``accumulate`` says, times the processes. All of them are drawn by (seed, step, number), so that
    two processes with one batch each learn from the same batches as one process with two.
    """
    place = lesson.course.place
    batches = lesson.config.accumulate * place.size
    return sum(_batch(lesson, step, number, 1 / batches) for number in range(place.rank, batches, place.size))


def _batch(lesson: Lesson, step: int, number: int, share: float) -> float:
    """Add a share of one batch's gradients; return that share of its loss."""
    config, course = lesson.config, lesson.course
    named = [config.seed, step, number] if number else [config.seed, step]
    random = np.random.default_rng(named)  # of the step alone, so that a resumed run draws the same
    torch.manual_seed(int(random.integers(1 << 62)))  # for dropout
    window = lesson.windows[int(random.integers(len(lesson.windows)))]
    batch, _ = draw_batch(window, config.batch_users, config.support_items, config.hard, random)
    texts = [viewed(lesson.titles[row], lesson.views, random) for row in batch.item]
    if config.objective == "maml" and config.maml_order != "second-on-head":
        return _tasks(lesson, batch, texts, share)
    made = pass_of(course.network, course.head, course.tokenizer, texts, batch, config, random, course.place.device)
    lesson.pace.take(made.ids, made.times * (2 if course.noise else 1))
    loss = _backward(course, made.loss, share)
    if course.noise:
        course.noise.perturb()
        _backward(course, made.loss, share)
        course.noise.clear()
    return share * float(loss)


def _backward(course: Course, loss_of: Any, share: float) -> Any:
    with course.place.autocast():
        loss = loss_of()
    (loss if share == 1 else loss * share).backward()
    return loss.detach()


def _tasks(lesson: Lesson, batch: Batch, texts: list[str], share: float) -> float:
    """Add a share of the gradients of a batch's users, one task after the other."""
    config, course = lesson.config, lesson.course
    tokens = tokens_of(course.tokenizer, texts, config).to(course.place.device)

    def encode(rows: Any) -> torch.Tensor:
        some = {name: value[torch.from_numpy(rows).to(value.device)] for name, value in tokens.items()}
        lesson.pace.take(some["input_ids"])
        with course.place.autocast():
            return unit_vectors(course.network, some)

    add = inner_steps.add_reptile if config.maml_order == "reptile" else inner_steps.add_first_order
    tasks = inner_steps.tasks_of(batch)
    part = share / max(len(tasks), 1)
    with_steps = (config.temperature, config.inner_steps, config.rate_of_inner_steps, part)
    return part * sum(add(course.parameters, encode, task, *with_steps) for task in tasks)

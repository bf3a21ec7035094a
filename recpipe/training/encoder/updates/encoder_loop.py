"""The loop of fine-tuning: updates, points of the curves, looks, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from recpipe.errors import TrainingFailed
from recpipe.training.encoder.augmentation import spread
from recpipe.training.encoder.devices.pace import pace_in_words, shape_of, share_of_peak, work
from recpipe.training.encoder.live.encoder_curves import Curves
from recpipe.training.encoder.meta.inner_steps import put_back
from recpipe.training.encoder.optimisation.optimisers import share_of_rate
from recpipe.training.encoder.state import Course, Progress, keep
from recpipe.training.encoder.updates.gradients import Lesson, add_gradients
from recpipe.training.encoder.updates.looks import look
from recpipe.training.model_selection import Window

REPORT_EVERY = 10


def learn(
    lesson: Lesson, progress: Progress, later: Window | None, curves: Curves | None, say: Callable[[str], None]
) -> dict[str, float]:
    """Make the updates that are left, and leave in the network what is to be served.

    Parameters
    ----------
    later
        The window that is looked at while learning; None: every step is made.
    curves
        Of the first process; None in the others.

    Returns
    -------
    dict
        ``seconds``, ``texts_per_second``, ``tokens_per_second`` and, where it is known, ``share_of_peak``.
    """
    course, config = lesson.course, lesson.config
    began = time.monotonic()
    course.network.train()
    if later and progress.best < 0:
        _look(lesson, progress, later, curves, say)  # what learning starts from may be the best of all
    while progress.step < config.steps and not _ended(lesson, progress, later):
        progress.losses.append(update(lesson, progress.step))
        progress.step += 1
        if progress.step % REPORT_EVERY == 0 or progress.step == config.steps:
            _report(lesson, progress, time.monotonic() - began, curves, say)
        if later and (progress.step % config.look_every == 0 or progress.step == config.steps):
            _look(lesson, progress, later, curves, say)
        if config.evaluate_every and progress.step % config.evaluate_every == 0 and progress.step < config.steps:
            _keep(course, progress)
    if course.average:
        course.average.put_into(course.parameters)
    if later:
        say(f"the best weights are those after {progress.best_step} updates: nDCG@10 {progress.best:.4f}")
        put_back(course.parameters, course.best)
    return _pace(lesson, time.monotonic() - began)


def update(lesson: Lesson, step: int) -> float:
    """Change the parameters once; return the mean loss before."""
    course, config = lesson.course, lesson.config
    for group in course.optimiser.param_groups:
        group["lr"] = course.rate * share_of_rate(step, config.steps, config.schedule)
    (lost,) = course.place.sum_of(add_gradients(lesson, step))
    if not np.isfinite(lost):
        raise TrainingFailed(f"Fine-tuning broke off at step {step}: the loss is {lost}. Lower --learning-rate.")
    course.place.sum_gradients(course.parameters.values())
    if course.ranks:
        spread(course.network).backward()
    if config.clip > 0:
        torch.nn.utils.clip_grad_norm_(list(course.parameters.values()), config.clip)
    course.optimiser.step()
    if course.ranks:
        course.network.base_model.update_and_allocate(step)
    course.optimiser.zero_grad(set_to_none=True)
    if course.average:
        course.average.update(course.parameters)
    return lost


def _ended(lesson: Lesson, progress: Progress, later: Window | None) -> bool:
    return later is not None and progress.idle >= lesson.config.patience


def _look(lesson: Lesson, progress: Progress, later: Window, curves: Curves | None, say: Callable[[str], None]) -> None:
    ndcg = look(lesson.course, progress, later, lesson.titles)
    say(f"step {progress.step}: nDCG@10 {ndcg:.4f} on the later window, {progress.idle} looks without a gain")
    if curves:
        curves.add({"step": progress.step, "look_ndcg": round(ndcg, 6)})


def _report(lesson: Lesson, progress: Progress, seconds: float, curves: Curves | None, say: Callable[[str], None]) -> None:
    loss = round(float(np.mean(progress.losses)), 6)
    found = _pace(lesson, seconds)
    say(f"step {progress.step} of {lesson.config.steps}: loss {loss:.4f}, {pace_in_words(found)}")
    progress.losses = []
    if curves:
        curves.add({"step": progress.step, "loss": loss}, found)


def _keep(course: Course, progress: Progress) -> None:
    if course.place.first:
        keep(course, progress)


def _pace(lesson: Lesson, seconds: float) -> dict[str, float]:
    """Return the pace, all processes counted as this one."""
    place, pace = lesson.course.place, lesson.pace
    long = max(seconds, 1e-9)
    found = {
        "seconds": seconds,
        "texts_per_second": place.size * pace.texts / long,
        "tokens_per_second": place.size * pace.tokens / long,
    }
    if place.device.type == "cuda":
        all_taught = lesson.config.method == "full"
        done = work(pace, shape_of(lesson.course.network, all_taught, lesson.config.gradient_checkpointing))
        share = share_of_peak(done, seconds, torch.cuda.get_device_name(place.device))
        found |= {} if share is None else {"share_of_peak": share}
    return found

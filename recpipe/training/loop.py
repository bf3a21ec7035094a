"""The training of a learner that is taught by gradients: one file, from top to bottom, whatever the learner.

``python -m recpipe.training.loop --episodes DIR --out DIR``. Reads the training input, cuts the past into episodes at
several instants, learns on the earlier ones, looks at the later ones to stop, and writes into the folder ``out``:

- ``config.json``, ``model.safetensors``: the model (`recpipe.models.io.load`);
- ``closed_form/``: the best learner without training, in the same form;
- ``metrics.jsonl``, ``summary.json``, ``plots/``: how it went, against popularity and item kNN on the same users;
- ``checkpoint.safetensors``: from where a killed run goes on, to the same bytes as if it had not been killed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recpipe.dataset.folder import read_training_input
from recpipe.dataset.history import Evidence
from recpipe.errors import BadSetting, RecpipeError, TrainingFailed, Trouble
from recpipe.files import to_json, write_whole
from recpipe.models.base import Learner
from recpipe.models.blend import Blend
from recpipe.models.io import save
from recpipe.models.pair_network import NETWORK
from recpipe.training.cold_start import kept_for_others
from recpipe.training.config import DEFAULTS, Config
from recpipe.training.continual import Start, change, in_words, pick_window, read_start, settings_of, split_windows, tensors_of
from recpipe.training.folder_claim import alone
from recpipe.training.model_selection import best_of, measure_closed_forms, measure_views, support_sizes
from recpipe.training.networks import find_network
from recpipe.training.networks.network import Network, Placed
from recpipe.training.quality import Quality, Window
from recpipe.training.summary import summarise
from recpipe.training.transfer import clearly_better, cut_first_days, enough, knows_weeks, pull
from recpipe.training.windows import cut_newcomers, draw, some_of, too_little, windows_of, windows_to_look_at

if TYPE_CHECKING:
    import torch

    Tensors = dict[str, torch.Tensor]

CHECKPOINT = "checkpoint.safetensors"


STACK_STEPS = 200
"""Updates of the stack of closed forms, the bar for the network: it is linear, and done long before the network is."""


def train(
    episodes_dir: Path,
    out_dir: Path,
    config: Config = DEFAULTS,
    *,
    resume: bool = True,
    start_from: Path | None = None,
    other_shop: bool = False,
    on_look: Callable[[int, float], None] | None = None,
    start_note: str = "",
    same_input: str = "",
) -> dict[str, Any]:
    """Train, or go on training, and write the model folder. Two runs that are given one folder work one after the other.

    Parameters
    ----------
    episodes_dir
        What `recpipe.dataset.folder.write_episodes_folder` wrote.
    out_dir
        Model folder to write; with ``resume`` a checkpoint in it is gone on from when it is of the same input and settings.
    config
        Settings of the run.
    start_from
        A model folder to go on from, of the same learner and encoder: its arrays are the start, weeks after its
        ``fitted_until`` are learned from, older ones replayed (`Config.replay_share`), and what is forgotten is measured.
    other_shop
        Whether the model to go on from is another shop's: its days mean nothing here, its numbers are a prior, and with too few
        episodes it is taken as it is (`recpipe.training.transfer`).
    on_look
        Called with (step, nDCG) after each look at the later weeks, once the checkpoint is written. What it raises ends the run.
    start_note
        A sentence on what the run goes on from, such as where it starts afresh though a champion serves; it is logged and stands
        in the summary.
    same_input
        Text of ``facts.json`` that the input must have, where many runs are to learn from the same; empty: any.

    Returns
    -------
    dict
        What ``summary.json`` says.

    Raises
    ------
    BadSetting
        If there is no such learner, or it cannot go on from that model.
    TrainingFailed
        If there is too little history, or nothing new in it for the model to go on from, or the loss is no number; the last good checkpoint stays.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # before CUDA starts: the same sums every time
    given = read_input(episodes_dir, config, start_from, other_shop)
    if same_input and given.identity != same_input:
        raise BadSetting(f"The training input in {episodes_dir} is another one than when this began: give each its own folder.")
    if start_note:
        say(start_note)
    with alone(out_dir, say):
        if given.other_shop and not learns(given):
            return take_over(given, out_dir)
        return teach(given, out_dir, resume, on_look, start_note)


def teach(
    given: Given, out_dir: Path, resume: bool, on_look: Callable[[int, float], None] | None, start_note: str = ""
) -> dict[str, Any]:
    """Learn from what was given, measure what came of it, and write the model folder; return what ``summary.json`` says."""
    given, lessons = with_tuned_or_not(given, look_back(given))
    baselines = measure_bar(given, lessons)
    closed_form = best_of(baselines)
    save(closed_form, out_dir / "closed_form", given.facts)
    for name, (_, quality) in baselines.items():
        say(f"val nDCG@{given.metric_k} {quality.ndcg.mean():.4f} of {name}")
    course = begin_course(given, lessons, out_dir, resume)
    learn(given, lessons, course, out_dir, on_look)

    # --- what came of it
    if given.config.openings:
        course.best = kept_for_others(course.best, first_tensors(given, lessons))
    learner = given.network.to_learner(course.best)
    if given.begun and given.other_shop and not clearly_better(gain_over(given.begun, learner, given, lessons)):
        learner, course.best_step = given.begun.learner, 0
    quality = measure_views(learner, lessons.valid_views, lessons.valid, given.metric_k)
    measured = {learner.name: quality, **{name: held for name, (_, held) in baselines.items()}}
    served, beside = shrink(given, lessons, learner, baselines)
    summary = {
        "best_step": course.best_step,
        "best_ndcg": course.best_ndcg,
        "steps": course.rows[-1]["step"],
        "closed_form": closed_form.name,
        "device": given.device,
        "quality": summarise(measured, support_sizes(lessons.valid), given.metric_k, given.seed),
        **beside,
    }
    came_from: dict[str, Any] = {}
    if given.begun:
        came_from = facts_of_start(given, given.begun)
        summary["continual"] = {**came_from, **measure_forgetting(given, lessons, learner)}
    if start_note:
        summary["start_note"] = start_note
    write_whole(out_dir / "summary.json", to_json(summary))
    from recpipe.training.curves import draw_plots

    draw_plots(out_dir / "plots", course.rows, summary["quality"], given.metric_k)
    save(served, out_dir, {**given.facts, "training": asdict(given.config), "best_step": course.best_step, **came_from})
    say(f"model of step {course.best_step} is in {out_dir}")
    return summary


def shrink(
    given: Given, lessons: Lessons, learner: Placed, baselines: Mapping[str, tuple[Learner, Quality]]
) -> tuple[Learner, dict[str, Any]]:
    """Return what serves, the learner beside the blend of closed forms, and what the summary says of it.

    Another shop's model is left as it is: the few days of this one cannot tell who is better. A model for other shops has no
    blend beside it, for its weights are this shop's; and where sales are withheld there is none that could do without them.
    """
    from recpipe.training.closed_forms.guarding import guard, summary_of_shares

    blend = baselines["blend"][0] if "blend" in baselines else None
    alone = given.other_shop or given.config.openings or given.facts.get("withhold")
    if alone or not isinstance(blend, Blend):
        return learner, {}
    windows, views = [*lessons.valid, *lessons.newcomers], [*lessons.valid_views, *lessons.newcomer_views]
    found, compared = guard(learner, blend, windows, views, given.metric_k, given.seed)
    told = summary_of_shares(found, compared, len(support_sizes(lessons.valid)))
    say(f"share of {learner.name} beside the blend of closed forms: {told['shares']}")
    return (learner if min(found.shares) == 1 else found), told


def take_over(given: Given, out_dir: Path) -> dict[str, Any]:
    """Write another shop's model as it is: this shop has seen too little to change it, or nothing at all."""
    if given.begun is None:
        raise BadSetting("There is no model of another shop to start from: name one (--from).")
    came_from = facts_of_start(given, given.begun)
    summary = {"best_step": 0, "steps": 0, "device": given.device, "quality": {}, "continual": came_from}
    out_dir.mkdir(parents=True, exist_ok=True)
    write_whole(out_dir / "summary.json", to_json(summary))
    save(given.begun.learner, out_dir, {**given.facts, "training": asdict(given.config), "best_step": 0, **came_from})
    say(f"too few episodes to learn from: the model of {given.begun.folder} is taken as it is, into {out_dir}")
    return summary


def facts_of_start(given: Given, begun: Start) -> dict[str, Any]:
    """Return what a model folder says of the model that it came from."""
    facts: dict[str, Any] = {"start": begun.content, "start_fitted_until": str(begun.fitted_until)}
    return {**facts, "other_shop": True} if given.other_shop else facts


@dataclass(frozen=True)
class Given:
    """What a run was given: the training input, the learner and what is not learned of it, and what it goes on from.

    ``identity`` is the text of the input's ``facts.json``, which says which one it is.
    """

    episodes_dir: Path
    evidence: Evidence
    facts: Mapping[str, Any]
    network: Network
    config: Config
    begun: Start | None
    device: str
    other_shop: bool = False
    identity: str = ""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What is not learned of the learner."""
        return self.network.settings

    @property
    def seed(self) -> int:
        """Of all that is drawn."""
        return int(self.facts["seed"])

    @property
    def metric_k(self) -> int:
        """Cut-off of the metrics."""
        return int(self.facts.get("metric_k", 10))


@dataclass(frozen=True)
class Lessons:
    """Windows to learn from and to look at, newest first, and what the network sees of the items in each.

    Attributes
    ----------
    valid, valid_views
        To look at.
    past, views, items
        To learn from; the views as they are on the device.
    new, old
        Numbers of windows in ``past``: since the model that the run goes on from, and before.
    newcomers, newcomer_views
        Simulated newcomers of the weeks looked at, where there are any.
    """

    valid: list[Window]
    valid_views: list[Any]
    past: list[Window]
    views: list[Any]
    items: list[Any]
    new: list[int]
    old: list[int]
    newcomers: list[Window] = field(default_factory=list)
    newcomer_views: list[Any] = field(default_factory=list)

    @property
    def episodes(self) -> int:
        """To learn from."""
        return sum(len(window.episodes) for window in self.past)


def read_input(episodes_dir: Path, config: Config, start_from: Path | None, other_shop: bool = False) -> Given:
    """Read the training input, and the model to go on from; refuse what does not fit together."""
    import torch

    if not 0 <= config.replay_share <= 1:
        raise BadSetting(f"A replay share is a chance, between 0 and 1, not {config.replay_share} (--replay-share).")
    if other_shop and start_from is None:
        raise BadSetting("To start from another shop's model, name its folder (--from).")
    evidence, facts, identity = read_training_input(episodes_dir)
    network = find_network(config.learner).for_catalogue(evidence.catalogue)
    if start_from:
        network = network.going_on(settings_of(start_from))
    if facts.get("withhold"):
        network = network.with_settings(withhold=sorted(facts["withhold"]))
    begun = read_start(start_from, config.learner, network.settings, facts) if start_from else None
    device = ("cuda" if torch.cuda.is_available() else "cpu") if config.device == "auto" else config.device
    torch.set_num_threads(config.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    return Given(episodes_dir, evidence, facts, network, config, begun, device, other_shop, identity)


def cut_past(given: Given) -> tuple[list[Window], list[Window]]:
    """Return windows to look at, and those to learn from, newest first."""
    if given.other_shop and not knows_weeks(given.evidence, given.config):
        return cut_first_days(given.evidence, given.facts)
    windows, last = windows_of(given.evidence, given.facts, given.config), windows_to_look_at(given.config)
    return [some_of(window) for window in windows[:last]], windows[last:]


def learns(given: Given) -> bool:
    """Return whether there are episodes enough to change another shop's model."""
    return enough(*cut_past(given))


def look_back(given: Given) -> Lessons:
    """Cut the past into windows, and gather what the network sees in each."""
    valid, past = cut_past(given)
    if not valid or not past:
        raise TrainingFailed(too_little(given.evidence, given.facts, given.config))
    new, old = split_windows(past, None if given.other_shop else given.begun, given.evidence, given.facts)
    episodes = sum(len(window.episodes) for window in past)
    say(f"{episodes} episodes of {len(past)} weeks to learn from, {len(support_sizes(valid))} to look at")
    if given.begun and not given.other_shop:
        since = f"fitted until {given.begun.fitted_until}: {len(new)} weeks are new, {len(old)} to replay"
        say(f"going on from {given.begun.folder}, {since}")
    network = given.network
    valid_views = [network.look(window.evidence) for window in valid]
    views = [network.look(window.evidence) for window in past]
    items = [network.to_items(view, w.evidence.catalogue.available, given.device) for view, w in zip(views, past, strict=True)]
    newcomers = [] if given.other_shop or given.config.openings else cut_newcomers(given.evidence, given.facts, given.config)
    newcomer_views = [network.look(window.evidence) for window in newcomers]
    return Lessons(valid, valid_views, past, views, items, new, old, newcomers, newcomer_views)


def with_tuned_or_not(given: Given, lessons: Lessons) -> tuple[Given, Lessons]:
    """Leave the fine-tuned vectors out where they do not pay on the later weeks; what goes on from a model keeps its kinds."""
    from recpipe.training.closed_forms.kind_choice import TUNED, gain_of_tuned, pays, without_tuned

    if given.begun or TUNED not in given.settings.get("kinds", ()):
        return given, lessons
    known = [(window.episodes, items) for window, items in zip(lessons.past, lessons.items, strict=True)]
    later = ([*lessons.valid, *lessons.newcomers], [*lessons.valid_views, *lessons.newcomer_views])
    rates = STACK_STEPS, given.config.batch_users, given.config.learning_rate
    gain = gain_of_tuned(known, *later, given.settings, rates, given.seed, given.metric_k)
    kept = pays(gain)
    error = gain.std(ddof=1) / max(len(gain), 1) ** 0.5 if len(gain) > 1 else 0.0
    say(
        f"the fine-tuned encoder's vectors change nDCG@{given.metric_k} of the stack by {gain.mean():+.4f} (standard error {error:.4f}, "
        f"{len(gain)} users): they are {'kept' if kept else 'left out'}"
    )
    if kept:
        return given, lessons
    kinds, facts = without_tuned(given.settings, given.facts)
    given = replace(given, network=given.network.with_settings(kinds=kinds), facts=facts)
    return given, look_back(given)


def measure_bar(given: Given, lessons: Lessons) -> dict[str, tuple[Learner, Quality]]:
    """Measure what needs no network: the closed forms, and with the pair network their stack."""
    found = measure_closed_forms(lessons.valid, given.metric_k, lessons.past, given.seed)
    if given.config.learner != NETWORK:  # the stack weighs the same evidence, which costs the most to gather
        return found
    from recpipe.training.networks.candidate_softmax import closed_forms_of, fit_stack

    known = [(window.episodes, items) for window, items in zip(lessons.past, lessons.items, strict=True)]
    rates = STACK_STEPS, given.config.batch_users, given.config.learning_rate
    stack = fit_stack(known, given.settings, given.seed, *rates)
    less = [closed_forms_of(view, given.settings) for view in lessons.valid_views]
    found[stack.name] = (stack, measure_views(stack, less, lessons.valid, given.metric_k))
    return found


@dataclass
class Course:
    """Where a run stands: what a checkpoint holds, and what it is made anew from.

    Attributes
    ----------
    run
        Hash of input and settings: a checkpoint of another run is not gone on from.
    tensors, optimiser
        The network now.
    best
        Its tensors when the later weeks looked best.
    prior
        Numbers of another shop's model, which these are pulled to; None where they are free.
    start, best_step, best_ndcg
        Step to go on with; step and nDCG of the best.
    losses, rows
        Since the last look; a row a look, as in ``metrics.jsonl``.
    """

    run: str
    tensors: Tensors
    optimiser: torch.optim.Optimizer
    best: Tensors
    prior: Tensors | None = None
    start: int = 0
    best_step: int = 0
    best_ndcg: float = -1.0
    losses: list[float] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)


def begin_course(given: Given, lessons: Lessons, out_dir: Path, resume: bool) -> Course:
    """Return the network and its optimiser, as new or as a killed run left them."""
    import torch

    from recpipe.training import checkpoint

    config, begun = given.config, given.begun
    tensors = first_tensors(given, lessons)
    optimiser = torch.optim.AdamW(given.network.parameter_groups(tensors, config))
    told = [
        asdict(config),
        given.settings,
        given.identity,
        *([begun.content] if begun else []),
        *(["other shop"] if given.other_shop else []),
    ]
    course = Course(hashlib.sha256(to_json(told)).hexdigest(), tensors, optimiser, copied(tensors))
    course.prior = copied(tensors) if given.other_shop else None
    found = checkpoint.read_checkpoint(out_dir / CHECKPOINT, given.device) if resume else None
    if found and found[1]["run"] == course.run:
        groups, state = found
        with torch.no_grad():
            for name, tensor in tensors.items():
                tensor.copy_(groups["now"][name])
        checkpoint.restore_optimiser(optimiser, tensors, groups)
        course.best, course.start = groups["best"], state["step"]
        for name in ("best_step", "best_ndcg", "losses", "rows"):
            setattr(course, name, state[name])
        say(f"going on from step {course.start}")
    elif found:
        say("the checkpoint is of another input or other settings: starting anew")
    return course


def first_tensors(given: Given, lessons: Lessons) -> Tensors:
    """Return the network that a run begins with: as new, or as the model to go on from has it."""
    tensors = given.network.initial_tensors(lessons.views[0], given.config.width, given.seed, given.device)
    return tensors_of(given.begun.learner, tensors) if given.begun else tensors


def learn(given: Given, lessons: Lessons, course: Course, out_dir: Path, on_look: Callable[[int, float], None] | None) -> None:
    """Go through the updates, look at the later weeks now and then, and stop when they no longer gain."""
    config, began = given.config, time.monotonic()
    for step in range(course.start, config.steps + 1):
        if step % config.evaluate_every == 0 or step == config.steps:
            look(given, lessons, course, step, out_dir)
            pace = (time.monotonic() - began) / max(step - course.start, 1)
            last = course.rows[-1]
            shown = f"loss {last['loss']:.4f}" if last["loss"] is not None else "before training"
            say(f"step {step} of {config.steps}: {shown}, val nDCG@{given.metric_k} {last['val_ndcg']:.4f}, {pace:.3f} s/step")
            if on_look:
                on_look(step, last["val_ndcg"])
            course.losses = []
            if course.best_step and step - course.best_step >= config.patience * config.evaluate_every:
                return
        if step < config.steps:
            course.losses.append(update(given, lessons, course, step, out_dir))


def look(given: Given, lessons: Lessons, course: Course, step: int, out_dir: Path) -> None:
    """Measure the network on the later weeks, keep it if it is the best so far, and write the checkpoint.

    It is measured on known users and on simulated newcomers; the mean of both decides.
    """
    from recpipe.training import checkpoint

    learner = given.network.to_learner(course.tensors)
    known = float(measure_views(learner, lessons.valid_views, lessons.valid, given.metric_k).ndcg.mean())
    apart = {"val_ndcg_known": known}
    if lessons.newcomers:
        newcomers = measure_views(learner, lessons.newcomer_views, lessons.newcomers, given.metric_k)
        apart["val_ndcg_newcomers"] = float(newcomers.ndcg.mean())
    ndcg = float(np.mean(list(apart.values())))
    if not course.rows or course.rows[-1]["step"] < step:
        loss = float(np.mean(course.losses)) if course.losses else None
        course.rows.append({"step": step, "loss": loss, "val_ndcg": ndcg, **apart})
    if (given.other_shop or step >= given.config.steps // 2) and ndcg > course.best_ndcg:
        course.best_step, course.best_ndcg, course.best = step, ndcg, copied(course.tensors)
    memory = checkpoint.optimiser_tensors(course.optimiser, course.tensors)
    kept = {name: getattr(course, name) for name in ("run", "best_step", "best_ndcg", "losses", "rows")}
    groups = {"now": course.tensors, "best": course.best, **memory}
    checkpoint.write_checkpoint(out_dir / CHECKPOINT, groups, {**kept, "step": step})
    lines = [json.dumps(row, sort_keys=True).encode() + b"\n" for row in course.rows]
    write_whole(out_dir / "metrics.jsonl", b"".join(lines))


def update(given: Given, lessons: Lessons, course: Course, step: int, out_dir: Path) -> float:
    """Do one update of the network, of one window for each batch, and return its loss."""
    import torch

    config, network, total = given.config, given.network, 0.0
    for group in course.optimiser.param_groups:
        group["lr"] = group["initial_lr"] * schedule(step, config)
    for part in range(config.accumulate):
        random = np.random.default_rng([given.seed, step, part])  # of the step alone, so that a resumed run draws the same
        chosen = pick_window(random, lessons.new, lessons.old, config.replay_share)
        items = lessons.items[chosen]
        batch = network.to_batch(draw(lessons.past[chosen].episodes, config, random), items)
        with torch.autocast(given.device, dtype=torch.bfloat16, enabled=given.device == "cuda"):
            loss = network.loss(course.tensors, items, batch) / config.accumulate
        if course.prior is not None:
            loss = loss + pull(course.tensors, course.prior, lessons.episodes) / config.accumulate
        loss.backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    if not np.isfinite(total):
        raise TrainingFailed(
            f"Training on {given.episodes_dir} broke off at step {step}: the loss is {total}. The checkpoint of the last look, in "
            f"{out_dir}, is whole. Lower the learning rates (--learning-rate, --projection-learning-rate) and run again."
        )
    torch.nn.utils.clip_grad_norm_(list(course.tensors.values()), 1.0)
    course.optimiser.step()
    course.optimiser.zero_grad()
    return total


def copied(tensors: Tensors) -> Tensors:
    """Return the tensors as they are now, without gradients."""
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def schedule(step: int, config: Config) -> float:
    """Return the share of the learning rate at a step: a line up, then half a cosine down to zero."""
    rise = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    return float(rise * 0.5 * (1 + np.cos(np.pi * step / max(config.steps, 1))))


def measure_forgetting(given: Given, lessons: Lessons, learner: Placed) -> dict[str, Any]:
    """Compare the model that a run went on from with what came of it, on weeks that are replayed and on those looked at."""
    if given.begun is None:
        return {}
    k, seed, old = given.metric_k, given.seed, lessons.old
    replayed = [some_of(lessons.past[number]) for number in old]
    kept = change(given.begun, learner, [lessons.views[number] for number in old], replayed, k, seed) if old else None
    gained = gain_over(given.begun, learner, given, lessons)
    say(in_words(kept, gained, k))
    counts = {"new_windows": len(lessons.new), "replayed_windows": len(old) if given.config.replay_share else 0}
    return {**counts, "old": kept, "new": gained}


def gain_over(begun: Start, learner: Placed, given: Given, lessons: Lessons) -> dict[str, float | int]:
    """Compare the model that a run went on from with another one, on the windows looked at."""
    return change(begun, learner, lessons.valid_views, lessons.valid, given.metric_k, given.seed)


def say(text: str) -> None:
    """Print a line of progress at once."""
    print(text, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line, without the rest of recpipe."""
    parser = argparse.ArgumentParser(description="Train a learner on a training input.")
    parser.add_argument("--episodes", type=Path, required=True, help="folder of the training input")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True, help="go on from a checkpoint")
    parser.add_argument("--start-from", type=Path, help="model folder to go on from, with new weeks and replay of old ones")
    parser.add_argument("--other-shop", action="store_true", help="the model to go on from is another shop's")
    for option in fields(Config):
        parser.add_argument(f"--{option.name.replace('_', '-')}", type=type(option.default), default=option.default)
    given = vars(parser.parse_args(arguments))
    try:
        folders = given.pop("episodes"), given.pop("out")
        start = {name: given.pop(name) for name in ("resume", "start_from", "other_shop")}
        train(*folders, **start, config=Config(**given))
    except RecpipeError as error:
        print(f"recpipe: {error}", file=sys.stderr)
        return 1 if isinstance(error, Trouble) else 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Train a learner that is taught by gradients: one file, from top to bottom, whatever the learner.

``python -m recpipe.learn.train --episodes DIR --out DIR``. Reads the training input, cuts the past into episodes at
several instants, learns on the earlier ones, looks at the later ones to stop, and writes into the folder ``out``:

- ``config.json``, ``model.safetensors``: the model (`recpipe.learn.load`);
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
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recpipe.errors import BadSetting, RecpipeError, TrainingFailed
from recpipe.learn.continual import Start, in_words, paired, pick_window, read_start, split_windows, tensors_of
from recpipe.learn.cut import Episodes, as_of, choose, cut_as_new, cut_episodes, shorten, without_users
from recpipe.learn.data import Evidence
from recpipe.learn.episodes_folder import read_episodes_folder
from recpipe.learn.folder import save, to_json, write_whole
from recpipe.learn.metrics import Quality, bootstrap, measure_in
from recpipe.learn.networks import Placed
from recpipe.learn.pair_network import NETWORK
from recpipe.learn.selection import Window, best_of, measure_closed_forms, support_sizes

BUCKETS = ((0, 0), (1, 5), (6, 10), (11, 50), (51, 1_000_000))
"""Users are shown apart by the items in their support."""
NEW_USER_SIZES = (0, 1, 3, 5, 10)
"""Items that the supports of simulated new users hold."""
FORGET_EVERY = 4
"""Of the known users every so manieth is taken for new at a cut, another part at each."""
STACK_STEPS = 200
"""Updates of the stack of closed forms, the bar for the network: it is linear, and done long before the network is."""
MOST_VALID = 800
"""Episodes of a window that are looked at to decide when to stop; of more, evenly spread ones."""


@dataclass(frozen=True)
class Config:
    """What can be set about a training run.

    Attributes
    ----------
    learner
        Which learner; one of `recpipe.learn.networks.PLACES`.
    steps, warmup_steps
        Updates at most, and those over which the learning rate rises; afterwards it falls like a cosine.
    batch_users, accumulate
        Episodes a batch, batches an update.
    learning_rate, projection_learning_rate
        Of the few numbers that weigh evidence, and of the matrices (projections and the like).
    weight_decay
        Of the matrices (AdamW).
    width
        Dimensions of the space that texts are projected to.
    cutoffs, valid_weeks
        Weekly instants to learn from, and the weeks after them that decide when to stop.
    new_user_cuts
        Instants to learn from where lists are to be made for users who come in the months after the evidence ends.
    short_share, short_items
        Share of the episodes that are cut as if the user were new, to 0 … short_items items. Few on purpose: what a known
        user takes next is not what a new one takes, and a half of such episodes cost 11 % of nDCG on Online Retail II.
    evaluate_every, patience
        Updates between looks at the later weeks (and checkpoints); looks without gain before the run stops. Only looks from
        half of the steps on count: before, the learning rate is high and nDCG of some hundred users mostly noise.
    replay_share
        With a model to go on from: the chance that an update is of a week that the model could have learned from before.
    threads
        Of torch on the CPU. One is as fast as more for these sizes where other work runs beside, and the bytes of a model
        would depend on the number.
    device
        ``cpu``, ``cuda``, or ``auto``: a GPU where there is one, with bfloat16 there.
    """

    learner: str = "pair_network"
    steps: int = 300
    warmup_steps: int = 30
    batch_users: int = 64
    accumulate: int = 1
    learning_rate: float = 1.5e-2
    projection_learning_rate: float = 2e-4
    weight_decay: float = 1e-2
    width: int = 128
    cutoffs: int = 6
    valid_weeks: int = 2
    new_user_cuts: int = 6
    short_share: float = 0.1
    short_items: int = 10
    evaluate_every: int = 50
    patience: int = 4
    replay_share: float = 0.5
    threads: int = 1
    device: str = "auto"


def train(
    episodes_dir: Path,
    out_dir: Path,
    config: Config = Config(),
    *,
    resume: bool = True,
    start_from: Path | None = None,
    on_look: Callable[[int, float], None] | None = None,
) -> dict[str, Any]:
    """Train, or go on training, and write the model folder.

    Parameters
    ----------
    episodes_dir
        What `recpipe.learn.episodes_folder.write_episodes_folder` wrote.
    out_dir
        Model folder to write; with ``resume`` a checkpoint in it is gone on from when it is of the same input and settings.
    config
        Settings of the run.
    start_from
        A model folder to go on from, of the same learner and encoder: its arrays are the start, weeks after its
        ``fitted_until`` are learned from, older ones replayed (`Config.replay_share`), and what is forgotten is measured.
    on_look
        Called with (step, nDCG) after each look at the later weeks, once the checkpoint is written. What it raises ends the run.

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
    import torch

    from recpipe.learn import checkpoint
    from recpipe.learn.networks import find_network

    network = find_network(config.learner)

    # --- what to learn from, and what to look at
    evidence, facts = read_episodes_folder(episodes_dir)
    settings = {**network.settings, **({"withhold": sorted(facts["withhold"])} if facts.get("withhold") else {})}
    begun = read_start(start_from, config.learner, settings, facts) if start_from else None
    if not 0 <= config.replay_share <= 1:
        raise BadSetting(f"A replay share is a chance, between 0 and 1, not {config.replay_share} (--replay-share).")
    seed, metric_k = int(facts["seed"]), int(facts.get("metric_k", 10))
    device = ("cuda" if torch.cuda.is_available() else "cpu") if config.device == "auto" else config.device
    torch.set_num_threads(config.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    weeks = range(1, 1 + config.valid_weeks + config.cutoffs)
    windows = cut_new_users(evidence, facts, config) if facts.get("window_days") else cut_windows(evidence, facts, weeks)
    valid, past = [some_of(window) for window in windows[: config.valid_weeks]], windows[config.valid_weeks :]
    if not valid or not past:
        raise TrainingFailed(too_little(evidence, facts, config))
    new, old = split_windows(past, begun, evidence, facts)
    say(
        f"{sum(len(w.episodes) for w in past)} episodes of {len(past)} weeks to learn from, {len(support_sizes(valid))} to look at"
    )
    if begun:
        say(f"going on from {begun.folder}, fitted until {begun.fitted_until}: {len(new)} weeks are new, {len(old)} to replay")
    baselines = measure_closed_forms(valid, metric_k)
    valid_views = [network.look(window.evidence, settings) for window in valid]
    views = [network.look(window.evidence, settings) for window in past]
    items = [network.to_items(v, w.evidence.catalogue.available, device) for v, w in zip(views, past, strict=True)]
    if config.learner == NETWORK:  # the stack weighs the same evidence, which costs the most to gather
        from recpipe.learn.networks.pair_network import closed_forms_of, fit_stack

        known = [(window.episodes, item) for window, item in zip(past, items, strict=True)]
        stack = fit_stack(known, settings, seed, STACK_STEPS, config.batch_users, config.learning_rate)
        less = [closed_forms_of(view, settings) for view in valid_views]
        baselines[stack.name] = (stack, measure_views(stack, less, valid, metric_k))
    closed_form = best_of(baselines)
    save(closed_form, out_dir / "closed_form", facts)
    for name, (_, quality) in baselines.items():
        say(f"val nDCG@{metric_k} {quality.ndcg.mean():.4f} of {name}")

    # --- the network and its optimiser, as new or as they were left
    tensors = network.initial_tensors(views[0], config.width, seed, device)
    tensors = tensors_of(begun.learner, tensors) if begun else tensors
    optimiser = torch.optim.AdamW(network.parameter_groups(tensors, config))
    told = [asdict(config), settings, (episodes_dir / "facts.json").read_text(), *([begun.content] if begun else [])]
    run = hashlib.sha256(to_json(told)).hexdigest()
    start, best_step, best_ndcg, losses, rows = 0, 0, -1.0, [], []
    best = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    file = out_dir / "checkpoint.safetensors"
    found = checkpoint.read_checkpoint(file, device) if resume else None
    if found and found[1]["run"] == run:
        groups, state = found
        start, best_step, best_ndcg, losses, rows = (state[n] for n in ("step", "best_step", "best_ndcg", "losses", "rows"))
        best = groups["best"]
        with torch.no_grad():
            for name, tensor in tensors.items():
                tensor.copy_(groups["now"][name])
        checkpoint.restore_optimiser(optimiser, tensors, groups)
        say(f"going on from step {start}")
    elif found:
        say("the checkpoint is of another input or other settings: starting anew")

    # --- learn
    began, first = time.monotonic(), start
    for step in range(start, config.steps + 1):
        if step % config.evaluate_every == 0 or step == config.steps:
            learner = network.to_learner(tensors, settings)
            ndcg = float(measure_views(learner, valid_views, valid, metric_k).ndcg.mean())
            if not rows or rows[-1]["step"] < step:
                rows.append({"step": step, "loss": float(np.mean(losses)) if losses else None, "val_ndcg": ndcg})
            if step >= config.steps // 2 and ndcg > best_ndcg:
                best_step, best_ndcg = step, ndcg
                best = {name: tensor.detach().clone() for name, tensor in tensors.items()}
            groups = {"now": tensors, "best": best, **checkpoint.optimiser_tensors(optimiser, tensors)}
            state = {"run": run, "step": step, "best_step": best_step, "best_ndcg": best_ndcg, "losses": losses, "rows": rows}
            checkpoint.write_checkpoint(file, groups, state)
            write_whole(out_dir / "metrics.jsonl", b"".join(json.dumps(row, sort_keys=True).encode() + b"\n" for row in rows))
            pace = (time.monotonic() - began) / max(step - first, 1)
            shown = f"loss {rows[-1]['loss']:.4f}" if rows[-1]["loss"] is not None else "before training"
            say(f"step {step} of {config.steps}: {shown}, val nDCG@{metric_k} {ndcg:.4f}, {pace:.3f} s/step")
            if on_look:
                on_look(step, ndcg)
            losses = []
            if step == config.steps or (best_step and step - best_step >= config.patience * config.evaluate_every):
                break
        for group in optimiser.param_groups:
            group["lr"] = group["initial_lr"] * schedule(step, config)
        total = 0.0
        for part in range(config.accumulate):
            random = np.random.default_rng([seed, step, part])  # of the step alone, so that a resumed run draws the same
            chosen = pick_window(random, new, old, config.replay_share)
            batch = network.to_batch(draw(past[chosen].episodes, config, random), items[chosen], settings)
            with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
                loss = network.loss_of(tensors, items[chosen], batch, settings) / config.accumulate
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        if not np.isfinite(total):
            raise TrainingFailed(
                f"Training on {episodes_dir} broke off at step {step}: the loss is {total}. The checkpoint of the last look, in "
                f"{out_dir}, is whole. Lower the learning rates (--learning-rate, --projection-learning-rate) and run again."
            )
        torch.nn.utils.clip_grad_norm_(list(tensors.values()), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        losses.append(total)

    # --- what came of it
    learner = network.to_learner(best, settings)
    quality = measure_views(learner, valid_views, valid, metric_k)
    measured = {learner.name: quality, **{name: held for name, (_, held) in baselines.items()}}
    summary = {
        "best_step": best_step,
        "steps": rows[-1]["step"],
        "closed_form": closed_form.name,
        "device": device,
        "quality": summarise(measured, support_sizes(valid), metric_k, seed),
    }
    came_from: dict[str, Any] = {}
    if begun:
        came_from = {"start": begun.content, "start_fitted_until": str(begun.fitted_until)}
        replayed = [some_of(past[number]) for number in old]
        kept = change(begun, learner, [views[number] for number in old], replayed, metric_k, seed) if old else None
        gained = change(begun, learner, valid_views, valid, metric_k, seed)
        counts = {"new_windows": len(new), "replayed_windows": len(old) if config.replay_share else 0}
        summary["continual"] = {**came_from, **counts, "old": kept, "new": gained}
        say(in_words(kept, gained, metric_k))
    write_whole(out_dir / "summary.json", to_json(summary))
    from recpipe.learn.plots import draw_plots

    draw_plots(out_dir / "plots", rows, summary["quality"], metric_k)
    save(learner, out_dir, {**facts, "training": asdict(config), "best_step": best_step, **came_from})
    say(f"model of step {best_step} is in {out_dir}")
    return summary


def measure_views(learner: Placed, views: Sequence[Any], windows: Sequence[Window], metric_k: int) -> Quality:
    """Measure a learner on windows whose items were looked at before, users one after the other."""
    parts = [measure_in(learner, learner.place(view), window.evidence.catalogue.available, window.episodes, metric_k)
             for view, window in zip(views, windows, strict=True)]  # fmt: skip
    return Quality(np.concatenate([part.ndcg for part in parts]), np.concatenate([part.recall for part in parts]))


def change(
    begun: Start, learner: Placed, views: Sequence[Any], windows: Sequence[Window], metric_k: int, seed: int
) -> dict[str, float | int]:
    """Compare the model that a run went on from with what came of it, on the same episodes."""
    before, after = (measure_views(one, views, windows, metric_k).ndcg for one in (begun.learner, learner))
    return paired(before, after, np.concatenate([window.episodes.user for window in windows]), seed)


def cut_windows(evidence: Evidence, facts: Mapping[str, Any], weeks_back: Sequence[int]) -> list[Window]:
    """Cut the past at some numbers of weeks before its end; weeks with too few users or nothing before them are left out."""
    last = np.datetime64(str(facts["fitted_until"]), "D")
    horizon = float(facts.get("horizon_days", 7))
    windows = []
    for weeks in weeks_back:
        cutoff = evidence.until - np.timedelta64(7 * weeks, "D")
        known = as_of(evidence, cutoff, last - 7 * weeks)
        episodes = cut_episodes(
            evidence.history,
            cutoff,
            horizon_days=min(horizon, 7.0),  # what came next of a week never reaches into the next one's
            half_life_days=float(facts.get("half_life_days", 90)),
            last_events=int(facts.get("last_events", 200)),
        )
        if len(known.history.user) and len(episodes) >= 2:
            windows.append(Window(known, episodes))
    return windows


def cut_new_users(evidence: Evidence, facts: Mapping[str, Any], config: Config) -> list[Window]:
    """Cut the past as a benchmark of new users cuts the present, newest cut first: the evidence stays that of the cut.

    A third of the horizon lies between two cuts, and at least two thirds of it behind the newest; the oldest leaves a third
    of the log as evidence. New users are few, so that some of the known ones are cut as if they were new, too: their past is
    taken out of the evidence of the cut. The newest cuts, which decide when to stop, have none of these.
    """
    horizon, window = float(facts["horizon_days"]), float(facts["window_days"])
    last, step = np.datetime64(str(facts["fitted_until"]), "D"), max(1, round(horizon / 3))
    reach = (evidence.until - evidence.history.ts.min()) / np.timedelta64(1, "D") if len(evidence.history.ts) else 0.0
    windows = []
    backs = range(2 * step, int(reach * 2 / 3), step)[: config.valid_weeks + config.new_user_cuts]
    for number, back in enumerate(backs):
        cutoff = evidence.until - np.timedelta64(back, "D")
        history = evidence.history
        if number >= config.valid_weeks:
            forgotten = np.flatnonzero((np.arange(len(history.user_ids)) + number) % FORGET_EVERY == 0)
            history = without_users(history, forgotten, cutoff)
        known = as_of(replace(evidence, history=history), cutoff, last - back)
        episodes = cut_as_new(
            history,
            cutoff,
            window_days=window,
            horizon_days=horizon,
            half_life_days=float(facts.get("half_life_days", 90)),
            sizes=NEW_USER_SIZES,
        )
        known = replace(known, catalogue=evidence.catalogue)  # the catalogue of such a benchmark knows no day of delivery
        if len(known.history.user) and len(episodes) >= 2:
            windows.append(Window(known, episodes))
    return windows


def some_of(window: Window) -> Window:
    """Return a window with at most `MOST_VALID` episodes."""
    count = len(window.episodes)
    if count <= MOST_VALID:
        return window
    return Window(window.evidence, choose(window.episodes, np.linspace(0, count - 1, MOST_VALID).astype(np.intp)))


def draw(episodes: Episodes, config: Config, random: np.random.Generator) -> Episodes:
    """Draw a batch; some of its users are cut as if they were new."""
    rows = random.choice(len(episodes), min(config.batch_users, len(episodes)), replace=False)
    short = random.random(len(rows)) < config.short_share
    most = np.where(short, random.integers(0, config.short_items + 1, len(rows)), np.iinfo(np.int32).max)
    return shorten(choose(episodes, rows), most)


def schedule(step: int, config: Config) -> float:
    """Return the share of the learning rate at a step: a line up, then half a cosine down to zero."""
    rise = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    return float(rise * 0.5 * (1 + np.cos(np.pi * step / max(config.steps, 1))))


def summarise(measured: Mapping[str, Quality], k: NDArray[np.int64], metric_k: int, seed: int) -> dict[str, Any]:
    """Return means with user-bootstrap intervals, by learner, metric and size of the support."""
    buckets = {"all": np.ones(len(k), bool)}
    buckets.update({bucket_name(low, high): (k >= low) & (k <= high) for low, high in BUCKETS})
    out: dict[str, Any] = {}
    for name, quality in measured.items():
        for metric, values in ((f"ndcg@{metric_k}", quality.ndcg), (f"recall@{metric_k}", quality.recall)):
            for bucket, rows in buckets.items():
                if rows.any():
                    low, high = bootstrap(values[rows], seed=seed)
                    entry = {"mean": float(values[rows].mean()), "low": low, "high": high, "users": int(rows.sum())}
                    out.setdefault(name, {}).setdefault(metric, {})[bucket] = entry
    return out


def bucket_name(low: int, high: int) -> str:
    """Return how a range of support sizes is shown."""
    return f"k={low}" if low == high else f"k={low}-{high}" if high < BUCKETS[-1][1] else f"k>={low}"


def too_little(evidence: Evidence, facts: Mapping[str, Any], config: Config) -> str:
    """Return the sentence for a history that no episode can be cut from."""
    if not len(evidence.history.ts):
        found = "it holds no event"
    else:
        days = (evidence.until - evidence.history.ts.min()) / np.timedelta64(1, "D")
        found = f"it reaches back {days:.0f} days, with {len(evidence.history.user)} events"
    return (
        f"The training input until {facts['fitted_until']} is too little to learn from: {found}. Training needs at least "
        f"{config.valid_weeks + 2} weeks in which users come back. Take more history in, or go on with a closed form."
    )


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
    for field in fields(Config):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    given = vars(parser.parse_args(arguments))
    try:
        folders = given.pop("episodes"), given.pop("out")
        train(*folders, resume=given.pop("resume"), start_from=given.pop("start_from"), config=Config(**given))
    except RecpipeError as error:
        print(f"recpipe: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

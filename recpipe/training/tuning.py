"""The search for settings of a training run: learner, width, rates. Optuna proposes and stops, we train.

The folder ``out`` holds ``study.sqlite`` (what was tried; from there a killed search goes on), a model folder
``trial-NNN`` a trial, ``trials.csv`` and ``best.json``, the settings of the best trial as `recpipe.training.config.Config`.

What is looked for is the highest nDCG on the later weeks of the training input; nothing behind its cut is seen.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recpipe.dataset.folder import read_training_input
from recpipe.errors import BadSetting, TrainingFailed
from recpipe.files import to_json, write_whole
from recpipe.training.config import Config
from recpipe.training.folder_claim import alone
from recpipe.training.loop import say, train
from recpipe.training.networks import find_network

if TYPE_CHECKING:
    import optuna

BASE = Config()
STUDY = "study.sqlite"
STARTING_TRIALS = 5
"""Trials that go to their end, before others are proposed from them and measured by them: the settings as they are, then
random ones."""


@dataclass(frozen=True)
class Between:
    """A number to be chosen between two others, both included; ``log``: evenly by its logarithm."""

    low: float
    high: float
    log: bool = False


Space = Mapping[str, Between | Sequence[Any]]
"""What may be chosen, by field of `Config`: a range, or a list of choices."""

SPACE: Space = {
    "learner": ("pair_network", "stack", "prototypical", "ridge_head", "proto_maml"),
    "width": (64, 128, 256),
    "learning_rate": Between(2e-3, 5e-2, log=True),
    "projection_learning_rate": Between(5e-5, 2e-3, log=True),
    "weight_decay": Between(1e-4, 1e-1, log=True),
    "batch_users": (32, 64, 128),
    "short_share": Between(0.0, 0.5),
}


@dataclass(frozen=True)
class Progress:
    """What became known of a trial.

    Attributes
    ----------
    number
        Of the trial, from 0.
    config
        Its settings.
    state
        ``running``, ``complete``, ``pruned`` or ``failed``. Every trial is told of as running first, without a step.
    step, ndcg
        Of a look at the later weeks; at the end of a complete trial, the nDCG of its best look.
    note
        Why it failed.
    """

    number: int
    config: Config
    state: str
    step: int | None = None
    ndcg: float | None = None
    note: str = ""


Hook = Callable[[Progress], None]


def search(
    episodes_dir: Path,
    out_dir: Path,
    trials: int,
    space: Space = SPACE,
    *,
    seed: int,
    on_trial: Hook | None = None,
    base: Config = BASE,
    pruner: optuna.pruners.BasePruner | None = None,
) -> dict[str, Any]:
    """Try settings until so many trials have ended, those of earlier calls on the same folder included.

    The first trial has the settings of ``base`` wherever the space holds them: what is found has to be better than that.
    A trial that was killed goes on from its checkpoint; one that ended is not repeated. Proposals depend on the seed and on
    the trials that ended before alone, so that a search that was cut off proposes what it would have proposed otherwise.

    Parameters
    ----------
    episodes_dir
        Training input.
    out_dir
        Folder of the search; a second process that is given it waits for the first.
    trials
        Trials in all: complete, pruned and failed ones.
    space
        What may be chosen; every other setting is that of ``base``.
    seed
        Of the proposals (tree of Parzen estimators: Bergstra et al., "Algorithms for hyper-parameter optimization", 2011).
        The seed of training is the one in the training input.
    on_trial
        Told of every trial as it begins, looks and ends. It may end one by raising ``optuna.TrialPruned``.
    base
        Settings that are not searched for, and those of the first trial.
    pruner
        Which trials are not worth their end. As given, those whose best look so far is worse than the median of earlier
        trials at the same step, from half of the steps on: looks before do not count in training either.

    Returns
    -------
    dict
        ``number``, ``ndcg`` and ``config`` (what best.json says) of the best trial; ``states``: trials by state.

    Raises
    ------
    BadSetting
        If the space names what is no setting or no learner, or the folder holds another search.
    TrainingFailed
        If no trial came to its end.
    """
    _check(space, base, trials)
    *_, identity = read_training_input(episodes_dir)
    with alone(out_dir, say):
        study = _open(identity, out_dir, space, seed, base)
        study.pruner = pruner or _median(base)
        teach = partial(train, episodes_dir, same_input=identity)
        while (ended := len(_ended(study))) < trials:
            trial = _next(study, seed, _start(space, base))
            say(f"trial {trial.number} ({ended} of {trials} ended)")
            _run(study, trial, teach, out_dir, _propose(trial, space, base), on_trial or (lambda progress: None))
            write_whole(out_dir / "trials.csv", _table(study, space))
        return _write_best(study, out_dir, space, base)


def narrowed(learners: Sequence[str], space: Space = SPACE) -> Space:
    """Return a space with these learners alone; with none given, the space as it is."""
    return {**space, "learner": tuple(learners)} if learners else space


def _check(space: Space, base: Config, trials: int) -> None:
    """Refuse what would fail in every trial, before the first one."""
    known = {field.name for field in fields(Config)}
    wrong = sorted(set(space) - known)
    if wrong:
        raise BadSetting(f"Nothing called {', '.join(wrong)} can be searched for: choose from {', '.join(sorted(known))}.")
    empty = [name for name, choices in space.items() if not isinstance(choices, Between) and not choices]
    if empty:
        raise BadSetting(f"The search is left no choice of {', '.join(empty)}: give at least one value.")
    if trials < 1:
        raise BadSetting(f"{trials} trials are none: give at least 1.")
    for learner in space.get("learner", (base.learner,)):  # type: ignore[union-attr]
        find_network(learner)


def _open(identity: str, out_dir: Path, space: Space, seed: int, base: Config) -> optuna.Study:
    """Open the study of a folder, making it at first use.

    Trials can be compared only where they learned from the same input, so that the study keeps a hash of what it is about.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    out_dir.mkdir(parents=True, exist_ok=True)
    store = optuna.storages.RDBStorage(f"sqlite:///{(out_dir / STUDY).resolve()}")
    study = optuna.create_study(storage=store, study_name="search", direction="maximize", load_if_exists=True)
    choices = {name: asdict(held) if isinstance(held, Between) else list(held) for name, held in space.items()}
    about = hashlib.sha256(to_json([asdict(base), choices, seed, identity])).hexdigest()
    if study.user_attrs.setdefault("about", about) != about:
        raise BadSetting(
            f"Folder {out_dir} holds a search over another input, space, seed or other settings. Give the ones it was begun "
            "with to go on, or another folder to begin anew."
        )
    study.set_user_attr("about", about)
    return study


def _median(base: Config) -> optuna.pruners.BasePruner:
    """Return the pruner that `search` speaks of.

    Optuna's own counts the look before training, too. What is untaught is as good as the closed forms here, so that by its
    best look no trial was ever worse than the median, however much training had spoilt it.
    """
    import numpy as np
    import optuna

    half = base.steps // 2

    def best(trial: optuna.trial.FrozenTrial, step: int) -> float | None:
        return max((value for at, value in trial.intermediate_values.items() if half <= at <= step), default=None)

    class Median(optuna.pruners.BasePruner):
        def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
            step = trial.last_step or 0
            complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
            others = [reached for other in complete if (reached := best(other, step)) is not None]
            own = best(trial, step)
            return own is not None and len(others) >= STARTING_TRIALS and own < float(np.median(others))

    return Median()


def _ended(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]


def _start(space: Space, base: Config) -> dict[str, Any]:
    """Return the settings of ``base`` that the space holds."""
    given = asdict(base)

    def holds(held: Between | Sequence[Any], value: Any) -> bool:
        return held.low <= value <= held.high if isinstance(held, Between) else value in held

    return {name: given[name] for name, held in space.items() if holds(held, given[name])}


def _next(study: optuna.Study, seed: int, start: Mapping[str, Any]) -> optuna.Trial:
    """Return the trial that was running when the search was cut off, else a new one; the first of all gets ``start``.

    A sampler's state is not stored. Seeding one anew for each trial, from its number, keeps a search that goes on from drawing
    its first trials once more.
    """
    import numpy as np
    import optuna

    states = optuna.trial.TrialState
    trials = study.get_trials(deepcopy=False)
    if not trials and start:
        study.enqueue_trial(dict(start))
    cut_off = [trial for trial in trials if trial.state == states.RUNNING]
    begun = sum(trial.state != states.WAITING for trial in trials)  # waiting: enqueued, and then the search was killed
    number = cut_off[0].number if cut_off else begun
    drawn = int(np.random.default_rng([seed, number]).integers(2**31))
    study.sampler = optuna.samplers.TPESampler(n_startup_trials=STARTING_TRIALS, seed=drawn)
    return optuna.Trial(study, cut_off[0]._trial_id) if cut_off else study.ask()


def _propose(trial: optuna.Trial, space: Space, base: Config) -> Config:
    """Ask for the settings of a trial; one that goes on is given those it had."""
    chosen: dict[str, Any] = {}
    for name, held in space.items():
        if isinstance(held, Between):
            chosen[name] = trial.suggest_float(name, held.low, held.high, log=held.log)
        else:
            chosen[name] = trial.suggest_categorical(name, list(held))
    return replace(base, **chosen)


def _run(
    study: optuna.Study, trial: optuna.Trial, teach: Callable[..., dict[str, Any]], out_dir: Path, config: Config, tell: Hook
) -> None:
    """Train one trial and write down how it ended; what is no fault of its settings passes through and leaves it running."""
    import optuna
    import torch

    number, states = trial.number, optuna.trial.TrialState
    reported = set(study.get_trials(deepcopy=False)[number].intermediate_values)

    def look(step: int, ndcg: float) -> None:
        if step in reported:  # going on from a checkpoint begins with the look that wrote it
            return
        trial.report(ndcg, step)
        tell(Progress(number, config, "running", step, ndcg))
        if step < config.steps and trial.should_prune():  # at the end there is nothing left to save
            raise optuna.TrialPruned

    tell(Progress(number, config, "running"))
    try:
        summary = teach(out_dir / f"trial-{number:03d}", config, on_look=look)
    except optuna.TrialPruned:
        study.tell(trial, state=states.PRUNED)
        end = Progress(number, config, "pruned")
    except (TrainingFailed, torch.OutOfMemoryError) as error:
        trial.set_user_attr("note", str(error))
        study.tell(trial, state=states.FAIL)
        end = Progress(number, config, "failed", note=str(error))
    else:
        ndcg = float(summary["best_ndcg"])
        study.tell(trial, ndcg)
        end = Progress(number, config, "complete", int(summary["best_step"]), ndcg)
    say(f"trial {number} {end.state}" + (f", val nDCG {end.ndcg:.4f}" if end.ndcg is not None else f" {end.note}".rstrip()))
    tell(end)


def _table(study: optuna.Study, space: Space) -> bytes:
    """Return the trials that ended as a CSV, in their order."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", "val_ndcg", "last_step", *space, "note"])
    for trial in _ended(study):
        chosen = [trial.params.get(name, "") for name in space]
        value = trial.value if trial.value is not None else ""
        writer.writerow([trial.number, _state(trial), value, trial.last_step, *chosen, trial.user_attrs.get("note", "")])
    return text.getvalue().encode()


def _state(trial: optuna.trial.FrozenTrial) -> str:
    return {"COMPLETE": "complete", "PRUNED": "pruned"}.get(trial.state.name, "failed")


def _write_best(study: optuna.Study, out_dir: Path, space: Space, base: Config) -> dict[str, Any]:
    """Write the settings of the best complete trial, and say which it was."""
    ended = _ended(study)
    complete = [trial for trial in ended if trial.value is not None and _state(trial) == "complete"]
    states = {state: sum(_state(trial) == state for trial in ended) for state in ("complete", "pruned", "failed")}
    if not complete:
        notes = [str(trial.user_attrs["note"]) for trial in ended if "note" in trial.user_attrs]
        raise TrainingFailed(
            f"None of {len(ended)} trials in {out_dir} came to its end ({states['pruned']} pruned, {states['failed']} failed; see "
            f"trials.csv). {notes[-1] if notes else 'Give more trials.'}"
        )
    best = max(complete, key=lambda trial: (trial.value, -trial.number))
    first = f" (the first trial: {complete[0].value:.4f})" if best.number > complete[0].number == 0 else ""
    config = replace(base, **{name: best.params[name] for name in space})
    write_whole(out_dir / "best.json", to_json(asdict(config)))
    say(f"best of {len(ended)} trials: {best.number}, val nDCG {best.value:.4f}{first}, {config.learner}; settings in best.json")
    return {"number": best.number, "ndcg": best.value, "config": asdict(config), "states": states}

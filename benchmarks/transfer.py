"""Other shops: a model of shop A serves shop B from its first day.

``python -m benchmarks.transfer measure B --models NAME=FOLDER … --work DIR``: B opens at several days, all before hidden; after 0, 7
and 30 days lists are made for users at their next order, from their own support, and what they buy first in the seven days after
it is the truth. Every learner sees the same evidence and the same supports. ``teach A --out DIR`` teaches a model for it, and ``adapt B``
goes on from each model with B's own days, beside training from scratch on them (where it can learn from so few).

What was computed for a day is kept in ``--work``: more models can be measured without computing it again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.shops import read_shop, some_users
from recpipe.dataset.history import Evidence
from recpipe.evidence.item_features import SETTINGS, Pairs
from recpipe.metrics.cluster_intervals import clustered_interval
from recpipe.metrics.intervals import Interval
from recpipe.models.base import Learner
from recpipe.models.io import load
from recpipe.models.pair_network import HIDDEN, PairNetwork, look, start
from recpipe.models.text_prototype import TextPrototype
from recpipe.training.cold_start import AGES, opening
from recpipe.training.model_selection import ITEM_KNNS, POPULARITIES
from recpipe.training.quality import Window, measure, measure_in

HORIZON = 7.0
CLOSED_FORMS: tuple[Learner, ...] = (*POPULARITIES, *ITEM_KNNS, TextPrototype(), TextPrototype(popularity_weight=0.1))
DRAWS = 2000
UNTAUGHT = "network before training"
SCRATCH = "from scratch"
Scores = dict[str, NDArray[np.float64]]


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Measure how a model of one shop serves another.")
    parser.add_argument("what", choices=("teach", "measure", "adapt"))
    parser.add_argument("shop", type=Path, help="folder with events.parquet and items.parquet")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="model folder that teach writes")
    parser.add_argument("--least", type=int, default=1, help="items of fewer events are left out")
    parser.add_argument("--users", type=int, default=0, help="of shop A so many users, drawn with seed 0; all if 0")
    parser.add_argument("--openings", type=int, default=6)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch-users", type=int, default=64)
    parser.add_argument("--models", nargs="*", default=[], help="NAME=FOLDER")
    first = date(2010, 1, 11), date(2010, 2, 1)
    parser.add_argument("--first", type=date.fromisoformat, nargs="*", default=first, help="first days that the shop opens on")
    parser.add_argument("--every", type=int, default=49, help="days between two openings")
    parser.add_argument("--starts", type=int, default=12)
    parser.add_argument("--ages", type=int, nargs="*", default=list(AGES))
    given = parser.parse_args()
    {"teach": teach, "measure": compare, "adapt": adapt}[given.what](given)


def teach(given: Any) -> None:
    """Teach a model on openings that are played through in a shop's log."""
    from recpipe.dataset.folder import write_episodes_folder
    from recpipe.training.config import Config
    from recpipe.training.loop import train

    evidence, facts = read_shop(given.shop, given.work / "encoder", given.least)
    evidence = some_users(evidence, given.users) if given.users else evidence
    print(f"{given.shop.name}: {len(evidence.catalogue)} items, {len(evidence.history.ts)} events", flush=True)
    write_episodes_folder(given.work / f"episodes-{given.shop.name}", evidence, facts)
    pace = {"evaluate_every": max(given.steps // 4, 1), "warmup_steps": max(given.steps // 10, 1)}
    config = Config(openings=given.openings, steps=given.steps, batch_users=given.batch_users, **pace)
    train(given.work / f"episodes-{given.shop.name}", given.out, config)


def compare(given: Any) -> None:
    """Measure closed forms and models at every opening, and print a table for each age."""
    evidence, facts = read_shop(given.shop, given.work / "encoder", given.least)
    models = {UNTAUGHT: untaught()} | {name: load(Path(folder)) for name, folder in (m.split("=", 1) for m in given.models)}
    for age in given.ages:
        parts = [
            found for day in starts(given) if (found := one_start(evidence, facts, day, age, models, given.work)) is not None
        ]
        show(age, {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, len(parts))


def adapt(given: Any) -> None:
    """Go on from each model with the days of the shop, and learn from scratch on them; print what each came to."""
    evidence, facts = read_shop(given.shop, given.work / "encoder", given.least)
    models = {name: Path(folder) for name, folder in (m.split("=", 1) for m in given.models)}
    for age in given.ages:
        parts = []
        for day in starts(given):
            parts.append(one_start(evidence, facts, day, age, taught_on(evidence, facts, day, age, models, given), given.work))
            show(age, {name: np.concatenate([part[name] for part in parts if part]) for name in parts[0] or {}}, len(parts))


def taught_on(
    evidence: Evidence, facts: Mapping[str, Any], day: date, age: int, models: Mapping[str, Path], given: Any
) -> dict[str, Learner]:
    """Return every model as it is and as it came out of the shop's first days, and what came out of them without a model."""
    from recpipe.dataset.folder import write_episodes_folder
    from recpipe.errors import TrainingFailed
    from recpipe.training.config import Config
    from recpipe.training.loop import train

    place, known_by_then = given.work / f"{day}-after-{age}", window_of(evidence, facts, day, age).evidence
    last = str(day + timedelta(days=age - 1))
    write_episodes_folder(place / "episodes", known_by_then, {**facts, "fitted_until": last, "trained_until": last})
    found: dict[str, Learner] = {UNTAUGHT: untaught()} | {name: load(folder) for name, folder in models.items()}
    for name, folder in models.items():
        config = Config(steps=given.steps)
        train(place / "episodes", place / name, config, start_from=folder, other_shop=True)
        found[f"{name}, adapted"] = load(place / name)
    try:
        train(place / "episodes", place / "scratch", Config(steps=given.steps))
    except TrainingFailed:
        print(f"{day}, {age} days: too little to learn from without a model", flush=True)
        return found
    closed = load(place / "scratch" / "closed_form")
    return found | {SCRATCH: load(place / "scratch"), "closed form of its training": closed}


def starts(given: Any) -> Iterator[date]:
    """Yield the days that the shop opens on."""
    for number in range(given.starts):
        yield from (first + timedelta(days=number * given.every) for first in given.first)


def one_start(
    evidence: Evidence, facts: Mapping[str, Any], day: date, age: int, models: Mapping[str, Learner], work: Path
) -> Scores | None:
    """Return (episodes,) nDCG@10 of every learner in a shop that opened on a day, some days later; None without episodes."""
    window = window_of(evidence, facts, day, age)
    if not len(window.episodes):
        return None
    place = work / evidence_name(day, age)
    found, view = known(place, window)
    for name, model in models.items():
        if isinstance(model, PairNetwork):
            available = window.evidence.catalogue.available
            found[name] = measure_in(model, model.place(view), available, window.episodes).ndcg
        else:
            found[name] = measure(model, window.evidence, window.episodes).ndcg
    return found | {"user": window.episodes.user.astype(np.float64)}


def window_of(evidence: Evidence, facts: Mapping[str, Any], day: date, age: int) -> Window:
    """Return what is known, and who comes, some days after the shop opened at the beginning of a day."""
    until = np.datetime64(day + timedelta(days=age), "us")
    back = int((evidence.until - until) / np.timedelta64(1, "D"))
    return opening(evidence, facts, np.datetime64(str(facts["fitted_until"]), "D"), back, age, HORIZON)


def evidence_name(day: date, age: int) -> str:
    """Return the name of the file that keeps what was computed for a day."""
    return f"{day}-after-{age}.npz"


def known(place: Path, window: Window) -> tuple[Scores, Pairs]:
    """Return the closed forms' nDCG and the evidence of pairs, computed once."""
    if not place.is_file():
        scores = {f"closed {n}": measure(form, window.evidence, window.episodes).ndcg for n, form in enumerate(CLOSED_FORMS)}
        view = look(window.evidence, SETTINGS)
        place.parent.mkdir(parents=True, exist_ok=True)
        np.savez(place, **scores, **{field.name: getattr(view, field.name) for field in fields(Pairs)})
    with np.load(place) as held:
        view = Pairs(**{field.name: held[field.name] for field in fields(Pairs)})
        return {repr(form): held[f"closed {n}"] for n, form in enumerate(CLOSED_FORMS)}, view


def untaught() -> PairNetwork:
    """Return the network that training from scratch begins with: what every shop has in common, by hand."""
    return PairNetwork(**start(HIDDEN, seed=0), settings=SETTINGS)


def show(age: int, scores: Scores, starts_measured: int) -> None:
    """Print means, and paired differences to the best closed form and to the untaught network, with intervals over persons."""
    user = scores.pop("user").astype(np.int64)
    best = max((repr(form) for form in CLOSED_FORMS), key=lambda name: float(scores[name].mean()))
    print(
        f"\n{age} days: {starts_measured} openings, {len(user)} episodes of {len(np.unique(user))} persons; best closed form {best}"
    )
    others = [name for name in (best, UNTAUGHT, SCRATCH) if name in scores]
    print(f"paired differences to: {'; '.join(others)}")
    for name, ndcg in scores.items():
        against = "  ".join(in_words(paired(ndcg, scores[other], user)) for other in others)
        print(f"{name[:90]:<92}{ndcg.mean():.4f}  {against}")
    print(json.dumps({"age": age, "mean": {name: round(float(ndcg.mean()), 4) for name, ndcg in scores.items()}}), flush=True)


def paired(mine: NDArray[np.float64], other: NDArray[np.float64], user: NDArray[np.int64]) -> Interval:
    """Return the mean difference and its 95 % interval; a person's episodes are drawn together."""
    return clustered_interval(mine - other, user, DRAWS, np.random.default_rng(0), 1)


def in_words(difference: Interval) -> str:
    """Return a difference with its interval."""
    return f"{difference.value:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]"


if __name__ == "__main__":
    main()

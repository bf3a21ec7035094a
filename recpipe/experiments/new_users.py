"""Lists for users who came after the training log ended: the new-user protocol, on the way that the nights take.

The split becomes `Evidence` and `Support`, training reads the same folder as `train_meta_model`, and lists are made by
`adapt`, `score` and `recommend.ranking.rank`. Only the instant differs: a list is made for t0, up to some months after
the evidence ends.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.dataset.history import Evidence
from recpipe.dataset.protocol_facts import protocol_facts
from recpipe.dataset.support import Support
from recpipe.errors import BadSetting, TrainingFailed
from recpipe.experiments.split import Split, read_split
from recpipe.experiments.split_evidence import split_evidence, split_support
from recpipe.files import whole_file
from recpipe.models.base import ItemSpace, Learner, score_users
from recpipe.pipeline.blocks import users_a_block
from recpipe.ranking.order import rank

LENGTH = 50
DEFAULT, BLEND = "default", "blend"
WITHHELD: Mapping[str, tuple[str, ...]] = {"age": ("age", "sales")}
"""What `--withhold` takes, and what the learner is told to do without."""
FACTS = ("seed", "half_life_days", "last_events", "metric_k", "few_items", "new_user_days")
"""Settings that the nights' training input carries, too."""


@dataclass(frozen=True)
class Task:
    """What is to be done.

    Attributes
    ----------
    split
        Folder of the split; its ``truth`` is not opened.
    out
        Parquet file to write: k, user_id, rank (1 to 50), item_id.
    work
        Folder for the training input and the model.
    learner
        ``default``: what training makes unless told otherwise; or a learner's name.
    encoder
        Folder of the text encoder; the default one if empty.
    tuned
        Folder of an encoder that was fine-tuned on the log: its vectors are a further kind of evidence. None if empty.
    cache
        Folder of the encoders' cache.
    withhold
        Names of `WITHHELD`.
    training
        Settings of the training run (`recpipe.training.config.Config`) that differ from its own.
    """

    split: Path
    out: Path
    work: Path
    learner: str = DEFAULT
    encoder: str = ""
    tuned: str = ""
    cache: Path | None = None
    withhold: tuple[str, ...] = ()
    training: Mapping[str, Any] | None = None


def recommend_new_users(task: Task, settings: Settings) -> dict[str, Any]:
    """Train on the log, make the lists, write them.

    Returns
    -------
    dict
        learner, users, items, training_seconds, list_seconds, users_per_second.

    Raises
    ------
    RecpipeError
        If the split is wrong, the learner unknown, or the log too short to learn from.
    """
    from recpipe.text.encoder import load_encoder

    _check_task(task)
    split = read_split(task.split)
    say(
        f"{len(split.events)} events until {split.cutoff.astype('datetime64[D]')}, {len(split.items)} items, {len(split.users)} rows to serve"
    )
    encoder = load_encoder(task.encoder, task.cache)
    tuned = load_encoder(task.tuned, task.cache) if task.tuned else None
    evidence = split_evidence(split, encoder.encode, settings.history.event_weights, tuned.encode if tuned else None)
    support = split_support(split, settings.history.half_life_days, settings.history.event_weights)
    facts = split_facts(split, settings, encoder.fingerprint, task.withhold)
    if tuned:
        facts["tuned_encoder"] = tuned.fingerprint
    began = time.monotonic()
    learner = make_learner(task, evidence, facts)
    trained = time.monotonic()
    space = learner.items(evidence)
    listed = [item for _, item in lists(learner, space, support, len(evidence.catalogue))]
    done = time.monotonic()
    write_lists(task.out, split, evidence, np.concatenate(listed))
    summary = {
        "learner": learner.name,
        "users": len(support),
        "items": len(evidence.catalogue),
        "training_seconds": round(trained - began, 1),
        "list_seconds": round(done - trained, 1),
        "users_per_second": round(len(support) / max(done - trained, 1e-9)),
    }
    say(
        f"{learner.name}: trained in {summary['training_seconds']} s, {summary['users']} lists in {summary['list_seconds']} s "
        f"({summary['users_per_second']} users/s) -> {task.out}"
    )
    return summary


def split_facts(split: Split, settings: Settings, encoder: str, withhold: Sequence[str]) -> dict[str, Any]:
    """Return the facts of the training input, as the nightly export writes them.

    The horizon is the split's, unless the log is too short to cut both an episode's past and its future from.
    """
    last_day = (split.cutoff - np.timedelta64(1, "us")).astype("datetime64[D]")
    first = split.events["ts"].to_numpy().astype("datetime64[us]").min()
    days = {"horizon_days": split.horizon_days, "window_days": split.window_days}
    return {
        **{name: settings.flat()[name] for name in FACTS},
        "seen_items": "exclude",
        "encoder": encoder,
        **protocol_facts(first, split.cutoff, str(last_day), **days),
        "withhold": sorted({name for given in withhold for name in WITHHELD[given]}),
    }


def make_learner(task: Task, evidence: Evidence, facts: Mapping[str, Any]) -> Learner:
    """Return the learner that is asked for, read back from its model folder.

    Its folders are named by what it learns from and how: a run that was killed goes on there, and no other comes by.

    A closed form has nothing to train: its few numbers are chosen on users before the cut; others go through training.
    """
    from recpipe.dataset.folder import FACTS_FILE, files_of, write_episodes_folder
    from recpipe.models.io import load, save
    from recpipe.training.folder_claim import alone
    from recpipe.training.loop import train

    closed = needs_no_training(task.learner)
    config: Any = None if closed else training_config(task.learner, task.training or {})
    files = files_of(evidence, facts)
    name = folder_name(task, files, config)
    model = task.work / f"model-{name}"
    if closed:
        with alone(model, say):
            save(closed_form(task.learner, evidence, facts), model, facts)
    else:
        episodes = task.work / f"episodes-{name}"
        write_episodes_folder(episodes, evidence, facts)
        train(episodes, model, config, same_input=files[FACTS_FILE].decode())
    return load(model)


def closed_form(name: str, evidence: Evidence, facts: Mapping[str, Any]) -> Learner:
    """Return a closed form whose numbers served the users of earlier windows best; as it comes, where the log is too short for any.

    Raises
    ------
    BadSetting
        If it cannot do without what is withheld.
    """
    from recpipe.models.io import LEARNERS
    from recpipe.training.config import DEFAULTS
    from recpipe.training.model_selection import choose_form
    from recpipe.training.windows import windows_of

    kind: Any = LEARNERS[name]
    if facts["withhold"]:
        if "withhold" not in {field.name for field in fields(kind)}:
            raise BadSetting(f"Learner '{name}' cannot do without {' and '.join(facts['withhold'])}: leave --withhold away.")
        told: Learner = kind(withhold=tuple(facts["withhold"]))
        return told
    chosen = choose_form(name, windows_of(evidence, facts, DEFAULTS), int(facts["metric_k"]), int(facts["seed"]))
    if chosen is None and name == BLEND:
        raise TrainingFailed("The log is too short to weigh closed forms on: no user comes back in it. Ask for one of them.")
    return chosen or kind()


def folder_name(task: Task, files: Mapping[str, bytes], config: Any) -> str:
    """Return the name of a run's folders: by what is learned from and how, so that runs on splits of one name never meet in one."""
    said = json.dumps([task.learner, sorted(task.withhold), asdict(config) if config else None], sort_keys=True, default=str)
    from recpipe.dataset.folder import FACTS_FILE

    mark = hashlib.sha256(said.encode() + files[FACTS_FILE]).hexdigest()[:12]
    return "-".join([task.learner, *(f"without-{what}" for what in sorted(task.withhold)), mark])


def needs_no_training(name: str) -> bool:
    """Whether a learner can be made without any number that training finds."""
    from recpipe.models.io import LEARNERS

    kind = LEARNERS.get(name)
    if name == BLEND:
        return True
    return kind is not None and all(f.default is not MISSING or f.default_factory is not MISSING for f in fields(kind))


def training_config(learner: str, given: Mapping[str, Any]) -> Any:
    """Return the settings of a training run for a learner.

    Raises
    ------
    BadSetting
        If training has no such setting; an unknown learner is refused by training itself.
    """
    from recpipe.training.config import Config

    known = {field.name for field in fields(Config)}
    if unknown := sorted(set(given) - known):
        raise BadSetting(f"Training has no setting {', '.join(unknown)}; it has {', '.join(sorted(known))}.")
    return Config(**given) if learner == DEFAULT else Config(**given, learner=learner)


def lists(learner: Learner, space: ItemSpace, support: Support, items: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield the number of users served so far and (some users, 50) item rows, −1 where a list ends.

    What a user has met is never recommended; memory holds the scores of one block of users.
    """
    block, began, said = users_a_block(items), time.monotonic(), time.monotonic()
    category = np.zeros(items, np.int64)
    for start in range(0, len(support), block):
        some = support.users(start, min(start + block, len(support)))
        barred = np.zeros((len(some), items), np.bool_)
        barred[np.repeat(np.arange(len(some)), some.k), some.item] = True
        found, _ = rank(score_users(learner, space, some), barred, LENGTH, category, 0)
        done = start + len(some)
        yield done, found
        if time.monotonic() - said > 10:
            said = time.monotonic()
            say(f"{done} of {len(support)} lists, {done / (said - began):.0f} users/s")


def write_lists(out: Path, split: Split, evidence: Evidence, item: NDArray[np.int64]) -> None:
    """Write (users, 50) item rows as k, user_id, rank, item_id: by k, user and rank."""
    user, place = np.nonzero(item >= 0)
    table = pa.table(
        {
            "k": split.users["k"].take(pa.array(user)),
            "user_id": split.users["user_id"].take(pa.array(user)),
            "rank": pa.array(place + 1, pa.int32()),
            "item_id": pa.array(evidence.catalogue.item_ids[item[user, place]], pa.string()),
        }
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(out) as part:
        pq.write_table(table, part)


def say(text: str) -> None:
    """Print a line of progress at once."""
    print(text, flush=True)


def _check_task(task: Task) -> None:
    if unknown := sorted(set(task.withhold) - set(WITHHELD)):
        raise BadSetting(f"--withhold {', '.join(unknown)} is unknown: it takes {', '.join(WITHHELD)}.")
    if task.out.is_dir():
        raise BadSetting(f"--out {task.out} is a folder: name a file such as recs.parquet.")

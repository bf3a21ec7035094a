"""SASRec (Kang and McAuley 2018) of the package RecTools, its epochs chosen before the cutoff."""

from __future__ import annotations

import logging
import time
import warnings
from typing import Any

import pandas as pd
import torch
from protocol import LENGTH, Log, Make, Tuning, arguments, cut_earlier, filled, popular, quality, read_log, serve, write_notes
from pytorch_lightning import seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

EPOCHS = (2, 4, 7, 10, 14, 20)
"""After so many passes over the log the lists are looked at; training ends when two looks in a row bring nothing."""
FIXED: dict[str, Any] = {"n_blocks": 2, "n_heads": 2, "n_factors": 64, "dropout_rate": 0.2, "session_max_len": 20,
                         "batch_size": 64, "lr": 1e-3, "deterministic": True}  # fmt: skip
SMALL_CATALOGUE = 6_000
"""Items up to which the loss is the softmax over all of them; beyond, gBCE with negatives (Petrov and Macdonald 2023)."""
NAMES = {"user_id": Columns.User, "item_id": Columns.Item, "ts": Columns.Datetime}


def dataset(events: pd.DataFrame) -> Dataset:
    """Return the log as RecTools reads it, each pair of user and item at its first time."""
    rows = events.drop_duplicates(["user_id", "item_id"]).rename(columns=NAMES)
    return Dataset.construct(rows.assign(**{Columns.Weight: 1.0}))


def fit(model: SASRecModel, data: Dataset, epochs: int) -> None:
    """Train some epochs more."""
    model.fit_partial(data, min_epochs=epochs, max_epochs=epochs)


def maker(model: SASRecModel) -> Make:
    """Return how a trained model serves users whom it has never seen: by the sequence of their support alone."""

    def make(supports: list[list[str]]) -> list[list[str]]:
        rows = [(str(row), item, place) for row, support in enumerate(supports) for place, item in enumerate(support)]
        entries = pd.DataFrame(rows, columns=["user_id", "item_id", "place"])
        entries["ts"] = pd.Timestamp("2000-01-01") + pd.to_timedelta(entries.pop("place"), unit="s")
        users = entries.user_id.unique()
        found = model.recommend(users, dataset(entries), k=LENGTH, filter_viewed=True, on_unsupported_targets="ignore")
        held = found.sort_values(Columns.Rank).groupby(Columns.User)[Columns.Item].apply(list).to_dict()
        return [held.get(str(row), []) for row in range(len(supports))]

    return make


def setting_for(items: int) -> dict[str, Any]:
    """Return the setting for a catalogue: a softmax over many items takes hours on a CPU."""
    loss = {"loss": "softmax"} if items <= SMALL_CATALOGUE else {"loss": "gBCE", "n_negatives": 64, "gbce_t": 0.75}
    return {**FIXED, **loss}


def tune(earlier: Tuning, setting: dict[str, Any], looks: tuple[int, ...], seed: int) -> tuple[int, float | None]:
    """Return the number of epochs with the best lists one window before the cutoff, and their nDCG.

    Where there is nothing to choose, or nobody was new then, that is the first number and no figure.
    """
    if len(looks) == 1 or not earlier.k:
        return looks[0], None
    popularity, data = popular(earlier.events, earlier.cutoff), dataset(earlier.events)
    seed_everything(seed)
    model, done, worse = SASRecModel(**setting), 0, 0
    best: tuple[int, float] = (looks[0], -1.0)
    for look in looks:
        fit(model, data, look - done)
        done = look
        lists = maker(model)(earlier.supports)
        reached = quality(earlier, [filled(f, s, popularity) for f, s in zip(lists, earlier.supports, strict=True)])
        print(f"sasrec after {done} epochs: nDCG@10 {reached:.4f} before the cutoff", flush=True)
        best, worse = ((done, reached), 0) if reached > best[1] else (best, worse + 1)
        if worse == 2:
            break
    return best


def main() -> None:
    """Tune, fit and serve."""
    given = arguments(__doc__)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(given.threads)
    log: Log = read_log(given.split)
    setting = setting_for(log.events.item_id.nunique())
    began = time.monotonic()
    epochs, reached = tune(cut_earlier(log, given.seed), setting, EPOCHS[:1] if given.quick else EPOCHS, given.seed)
    tuned = time.monotonic()
    seed_everything(given.seed)
    model = SASRecModel(**setting)
    fit(model, dataset(log.events), epochs)
    notes = {"setting": {**setting, "epochs": epochs}, "ndcg_before_cutoff": reached,
             "tuning_seconds": round(tuned - began, 1), "training_seconds": round(time.monotonic() - tuned, 1)}  # fmt: skip
    out = given.out_dir / "rectools_sasrec.parquet"
    write_notes(out, {**notes, **serve(log, maker(model), out)})


if __name__ == "__main__":
    main()

"""A shop's log as frames: the data set of whoever has no lake, cut into the past and the newcomers after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recpipe.contract import POSITIVE_EVENT_TYPES
from recpipe.dataset.catalogue import Catalogue
from recpipe.dataset.catalogue_reader import item_texts
from recpipe.dataset.episodes import Episodes, as_of, cut_as_new
from recpipe.dataset.history import Evidence, History
from recpipe.dataset.protocol_facts import protocol_facts
from recpipe.dataset.support import Support
from recpipe.errors import BadDelivery

DAY = np.timedelta64(1, "D")
NEEDED = {"events": ("user_id", "item_id", "event_type", "ts"), "items": ("item_id", "title")}
WEIGHTS: Mapping[str, float] = {"view": 0.2, "cart": 0.5, "favourite": 0.6, "purchase": 1.0, "review": 0.8}
"""What an event type weighs where nobody says otherwise; the same as the setting's."""


@dataclass(frozen=True)
class Supports:
    """The supports of some users, with their ids.

    Attributes
    ----------
    user_ids
        (users,) text.
    entries
        The supports, in the same order.
    """

    user_ids: NDArray[np.object_]
    entries: Support

    def __len__(self) -> int:
        return len(self.user_ids)


@dataclass(frozen=True)
class Newcomers:
    """Users who came after the evidence ended, each served at his first items.

    Attributes
    ----------
    support
        What is known of each; a user stands there once for each number of shots.
    shots
        (rows,) items of the support.
    query
        For each row the items that the user met next, and nobody may look at before lists are made.
    seen
        For each row the items that are not to be listed.
    """

    support: Supports
    shots: NDArray[np.int64]
    query: tuple[NDArray[np.object_], ...]
    seen: tuple[NDArray[np.object_], ...]

    def __len__(self) -> int:
        return len(self.shots)


@dataclass(frozen=True)
class Dataset:
    """What a shop knew at one instant, and how its events are weighed.

    Attributes
    ----------
    evidence
        Catalogue and history as of the instant.
    encoder
        Fingerprint of the encoder that made the catalogue's vectors.
    half_life_days
        Age at which an event counts half.
    facts
        What a training run is told beside.
    """

    evidence: Evidence
    encoder: str
    half_life_days: float
    facts: Mapping[str, Any]

    @classmethod
    def from_frames(
        cls,
        events: pd.DataFrame,
        items: pd.DataFrame,
        users: pd.DataFrame | None = None,
        *,
        until: str | None = None,
        encoder: str = "",
        half_life_days: float = 90.0,
        weights: Mapping[str, float] | None = None,
    ) -> Dataset:
        """Take in a log.

        Parameters
        ----------
        events
            ``user_id`` (null for anonymous traffic), ``item_id``, ``event_type``, ``ts``.
        items
            ``item_id``, ``title``, and where known ``categories`` (a path as a list, root first), ``brand``, ``price``.
        users
            Where known, ``user_id`` and ``country``.
        until
            The last day that is looked at; the last of the log where it is not given.
        encoder
            Folder of the text encoder; the one of the wheel if empty.

        Raises
        ------
        BadDelivery
            If a column is missing, or an event is of an item that is not there.
        """
        from recpipe.text.encoder import load_encoder

        _require(events=events, items=items)
        opened = load_encoder(encoder)
        end = _end(events, until)
        ids = np.array(sorted(items["item_id"].astype(str).unique()), object)
        catalogue = _catalogue(items.assign(item_id=items["item_id"].astype(str)), ids, opened.encode, events)
        evidence = _evidence(events, catalogue, users, end, weights or WEIGHTS)
        facts = {
            "encoder": opened.fingerprint,
            "half_life_days": half_life_days,
            "seed": 0,
            "seen_items": "exclude",
            "withhold": [],
        }
        return cls(evidence, opened.fingerprint, half_life_days, facts)

    def episodes(self, shots: Sequence[int] = (0, 1, 3, 5, 10), horizon_days: float = 7) -> tuple[Dataset, Newcomers]:
        """Cut the last days off: what was known before them, and the users who came in them.

        Parameters
        ----------
        shots
            Sizes of the supports: a user is served at his first item, the third, and so on, as far as something follows.
        horizon_days
            Days that are cut off, and days after a list that make its query.

        Returns
        -------
        Dataset, Newcomers
            What a learner is fitted on, and whom it is tried on.
        """
        cutoff = self.evidence.until - np.timedelta64(round(horizon_days * 86_400), "s")
        last_day = (cutoff - np.timedelta64(1, "us")).astype("datetime64[D]")
        before = as_of(self.evidence, cutoff, last_day)
        days = {"window_days": horizon_days, "horizon_days": horizon_days}
        cut = cut_as_new(self.evidence.history, cutoff, half_life_days=self.half_life_days, sizes=shots, **days)
        return replace(self, evidence=before), _newcomers(self.evidence, cut)

    def training_facts(self, window_days: int = 28, horizon_days: int = 7) -> dict[str, Any]:
        """Return what a training run reads beside the evidence."""
        history, until = self.evidence.history, self.evidence.until
        last_day = (until - np.timedelta64(1, "us")).astype("datetime64[D]")
        first = history.ts.min() if len(history.ts) else until
        return {**self.facts, **protocol_facts(first, until, str(last_day), horizon_days=horizon_days, window_days=window_days)}


def _require(**frames: pd.DataFrame) -> None:
    for name, frame in frames.items():
        missing = [column for column in NEEDED[name] if column not in frame.columns]
        if missing:
            raise BadDelivery(
                f"The frame `{name}` needs the columns {', '.join(missing)}; it has {', '.join(map(str, frame.columns))}."
            )


def _end(events: pd.DataFrame, until: str | None) -> np.datetime64:
    """Return the instant at which the last day ends."""
    last: Any = np.datetime64(until, "D") if until else _moments(events["ts"]).max().astype("datetime64[D]")
    return (last + DAY).astype("datetime64[us]")  # type: ignore[no-any-return]


def _moments(ts: pd.Series[Any]) -> NDArray[np.datetime64]:
    return pd.to_datetime(ts, utc=True).dt.tz_localize(None).to_numpy().astype("datetime64[us]")


def _catalogue(items: pd.DataFrame, ids: NDArray[np.object_], encode: Any, events: pd.DataFrame) -> Catalogue:
    rows = items.drop_duplicates("item_id", keep="last").set_index("item_id").loc[list(ids)]

    def column(name: str) -> list[Any]:
        return [None if _null(value) else value for value in rows[name]] if name in rows else [None] * len(rows)

    categories = [tuple(map(str, path)) if path is not None else () for path in column("categories")]
    brands = [None if name is None else str(name) for name in column("brand")]
    texts = item_texts(column("title"), categories, brands)
    first = _moments(events["ts"]).min().astype("datetime64[D]") - DAY
    price = np.array([np.nan if value is None else float(value) for value in column("price")], np.float32)
    known = (ids, texts, encode(texts), np.full(len(ids), first), np.ones(len(ids), np.bool_), price, categories)
    return Catalogue(*known, brands=[name or "" for name in brands])


def _null(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def _evidence(
    events: pd.DataFrame, catalogue: Catalogue, users: pd.DataFrame | None, end: np.datetime64, weights: Mapping[str, float]
) -> Evidence:
    log = events.assign(ts=_moments(events["ts"]), item=_codes(events["item_id"], catalogue.item_ids))
    log = log[(log["ts"] < end) & log["event_type"].isin(POSITIVE_EVENT_TYPES)].sort_values("ts", kind="stable")
    named = (
        log[log["user_id"].notna()]
        .assign(user_id=lambda frame: frame["user_id"].astype(str))
        .sort_values("user_id", kind="stable")
    )
    known, user = np.unique(named["user_id"].to_numpy(object), return_inverse=True)
    history = History(
        user_ids=known,
        user=user.astype(np.int32),
        item=named["item"].to_numpy(np.int32),
        ts=named["ts"].to_numpy().astype("datetime64[us]"),
        weight=named["event_type"].map(lambda kind: weights.get(kind, 1.0)).to_numpy(np.float32),
    )
    history = history if users is None or "country" not in users else _with_countries(history, users)
    return Evidence(catalogue, history, log["item"].to_numpy(np.int32), log["ts"].to_numpy().astype("datetime64[us]"), end)


def _codes(values: pd.Series[Any], known: NDArray[np.object_]) -> NDArray[np.int64]:
    texts = values.astype(str).to_numpy(object)
    codes = np.searchsorted(known, texts)
    wrong = codes >= len(known)
    wrong[~wrong] = known[codes[~wrong]] != texts[~wrong]
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise BadDelivery(
            f"Row {row} of the frame `events` is of an item that the frame `items` lacks, and {int(wrong.sum()) - 1} more are: "
            f"add the items, or leave their events away."
        )
    return codes.astype(np.int64)


def _with_countries(history: History, users: pd.DataFrame) -> History:
    of_user = (
        users.assign(user_id=users["user_id"].astype(str)).drop_duplicates("user_id", keep="last").set_index("user_id")["country"]
    )
    found = of_user.reindex(list(history.user_ids))
    names = tuple(sorted(str(name) for name in found.dropna().unique()))
    codes = {name: code for code, name in enumerate(names)}
    country = np.array([-1 if _null(name) else codes[str(name)] for name in found], np.int32)
    return replace(history, country=country, country_names=names)


def _newcomers(evidence: Evidence, cut: Episodes) -> Newcomers:
    ids = evidence.catalogue.item_ids
    query = tuple(ids[cut.query_item[a:b]] for a, b in zip(cut.query_indptr[:-1], cut.query_indptr[1:], strict=True))
    seen = tuple(ids[cut.seen_item[a:b]] for a, b in zip(cut.seen_indptr[:-1], cut.seen_indptr[1:], strict=True))
    return Newcomers(Supports(evidence.history.user_ids[cut.user], cut.support), np.diff(cut.support.indptr), query, seen)

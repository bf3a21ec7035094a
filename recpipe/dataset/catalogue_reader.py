"""Items and users as the lake has them on a day: the catalogue, and the attributes that a shop says may be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recpipe.config.model_settings import TextSettings
from recpipe.config.place_settings import PlaceSettings
from recpipe.config.settings import Settings
from recpipe.dataset.catalogue import Catalogue
from recpipe.dataset.history import Evidence
from recpipe.lake.reader import Reader
from recpipe.text.encoder import load_encoder


def read_attributes(reader: Reader, settings: Settings, day: date) -> pa.Table:
    """Return user_id, and a text column for each key of ``settings.fairness.use_attributes``, as of a day, by user_id.

    Age, sex, income and the like may stand among a user's attributes. No list, profile or audience is made from them; a task of the
    shop's own that is to look at some reads them here, and the shop says which in RECPIPE_USE_ATTRIBUTES. Measuring how well groups of
    users are served (`recpipe.evaluation.fairness`) is no input, nor is an age that the shop's knowledge files ask for.

    Parameters
    ----------
    reader
        Sees the lake at fixed versions; where the setting is empty it is not asked.
    settings
        Name the keys.
    day
        Deliveries after it are not looked at.
    """
    keys = settings.fairness.use_attributes
    if not keys:
        return pa.table({"user_id": pa.array([], pa.string())})
    rows = reader.as_of("users", day, ["day", "user_id", "attributes"])
    values = [dict(found or ()) for found in rows["attributes"].to_pylist()]
    named = {key: pa.array([found.get(key) for found in values], pa.string()) for key in keys}
    return pa.table({"user_id": rows["user_id"], **named})


COLUMNS = ["day", "item_id", "title", "category", "brand", "price", "available"]


def read_catalogue(reader: Reader, settings: Settings, day: date) -> Catalogue:
    """Return the items that were delivered on a day or before, each as its newest delivery describes it.

    Parameters
    ----------
    reader
        Sees the lake at fixed versions.
    settings
        Name the encoder and the folder of its cache.
    day
        Deliveries after it are not looked at.
    """
    rows, first, last = _deliveries(reader, day)
    ids, newest = rows["item_id"].to_numpy(), rows.take(pa.array(last))
    categories, brands, texts = _described(newest)
    vectors, tuned = read_texts(texts, settings.text, settings.places)
    return Catalogue(
        item_ids=ids[last].astype(object),
        texts=texts,
        vectors=vectors,
        first_day=rows["day"].to_numpy()[first].astype("datetime64[D]"),
        available=_flags(newest["available"]),
        price=newest["price"].to_numpy().astype(np.float32),
        categories=categories,
        brands=[brand or "" for brand in brands],
        tuned=tuned,
    )


def read_item_texts(reader: Reader, day: date) -> list[str]:
    """Return the texts of the items of a day as an encoder reads them, by item id; no encoder is asked."""
    rows, _, last = _deliveries(reader, day)
    return _described(rows.take(pa.array(last)))[2]


def _deliveries(reader: Reader, day: date) -> tuple[pa.Table, NDArray[np.intp], NDArray[np.intp]]:
    """Return what was delivered of items up to a day, by id and day, and the rows of each item's first and newest delivery."""
    rows = reader.read("items", last=day, columns=COLUMNS)
    rows = rows.sort_by([("item_id", "ascending"), ("day", "ascending")])
    ids = rows["item_id"].to_numpy()
    changes = ids[1:] != ids[:-1]
    first = np.flatnonzero(np.concatenate([[True], changes])[: len(ids)])
    return rows, first, np.flatnonzero(np.concatenate([changes, [True]])[: len(ids)])


def _described(newest: pa.Table) -> tuple[list[tuple[str, ...]], list[str | None], list[str]]:
    """Return categories, brands and joined texts of items."""
    categories = [tuple(level for level in path or () if level) for path in newest["category"].to_pylist()]
    brands = newest["brand"].to_pylist()
    return categories, brands, item_texts(newest["title"].to_pylist(), categories, brands)


Vectors = NDArray[np.float32]


def read_texts(texts: Sequence[str], text: TextSettings, places: PlaceSettings) -> tuple[Vectors, Vectors | None]:
    """Return what the plain and the fine-tuned encoder of the settings make of texts; None where there is no tuned one.

    Texts that an encoder has read before cost nothing: its vectors are kept by its fingerprint.
    """
    cache = places.work / "encoder"
    tuned = load_encoder(text.tuned_encoder, cache).encode(texts) if text.tuned_encoder else None
    return load_encoder(text.encoder, cache).encode(texts), tuned


def read_again(evidence: Evidence, settings: Settings) -> Evidence:
    """Return evidence whose texts were read by the encoders of the settings."""
    vectors, tuned = read_texts(evidence.catalogue.texts, settings.text, settings.places)
    return replace(evidence, catalogue=replace(evidence.catalogue, vectors=vectors, tuned=tuned))


def item_texts(titles: list[str | None], categories: list[tuple[str, ...]], brands: list[str | None]) -> list[str]:
    """Join title, category and brand, as the encoder reads them."""
    parts = zip(titles, categories, brands, strict=True)
    return [" ".join(part for part in (title, *path, brand) if part) for title, path, brand in parts]


def _flags(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    return np.asarray(column.to_numpy(), dtype=np.bool_)


def codes_of(values: pa.ChunkedArray | pa.Array, known: NDArray[np.object_]) -> NDArray[np.int64]:
    """Return the row in ``known`` of each text, −1 where it is null or not known."""
    found = pc.index_in(values, value_set=pa.array(known, pa.string()), skip_nulls=True)
    return np.asarray(pc.fill_null(found, -1).to_numpy(), np.int64)

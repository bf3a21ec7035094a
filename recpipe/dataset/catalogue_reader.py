"""The catalogue at the end of a day, and the vectors of its texts."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.dataset.catalogue import Catalogue
from recpipe.lake.reader import Reader
from recpipe.text.encoder import load_encoder

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
    rows = reader.read("items", last=day, columns=COLUMNS)
    rows = rows.sort_by([("item_id", "ascending"), ("day", "ascending")])
    ids = rows["item_id"].to_numpy()
    changes = ids[1:] != ids[:-1]
    first = np.flatnonzero(np.concatenate([[True], changes])[: len(ids)])
    last = np.flatnonzero(np.concatenate([changes, [True]])[: len(ids)])
    newest = rows.take(pa.array(last))
    categories = [tuple(level for level in path or () if level) for path in newest["category"].to_pylist()]
    texts = item_texts(newest["title"].to_pylist(), categories, newest["brand"].to_pylist())
    return Catalogue(
        item_ids=ids[last].astype(object),
        texts=texts,
        vectors=load_encoder(settings.encoder, settings.work / "encoder").encode(texts),
        first_day=rows["day"].to_numpy()[first].astype("datetime64[D]"),
        available=_flags(newest["available"]),
        price=newest["price"].to_numpy().astype(np.float32),
        categories=categories,
    )


def item_texts(titles: list[str | None], categories: list[tuple[str, ...]], brands: list[str | None]) -> list[str]:
    """Join title, category and brand, as the encoder reads them."""
    parts = zip(titles, categories, brands, strict=True)
    return [" ".join(part for part in (title, *path, brand) if part) for title, path, brand in parts]


def _flags(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    return np.asarray(column.to_numpy(), dtype=np.bool_)

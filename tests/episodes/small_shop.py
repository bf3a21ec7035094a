"""A shop of a few rows: its days are written as literals, and its texts have vectors of four numbers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from recpipe.config.settings import Settings, load_settings
from recpipe.contract import TABLES
from recpipe.lake.lake import Lake
from recpipe.models.io import save
from recpipe.pipeline.run_plan import RunPlan
from recpipe.registry.model_folder import content_hash
from recpipe.registry.store import client
from recpipe.text.cache import VectorCache
from recpipe.text.encoder import load_encoder

COLOURS = {"red": 0, "blue": 1, "green": 2}


def moment(text: str) -> datetime:
    """Read '2026-03-02 10:00' as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def item(item_id: str, title: str = "", category: list[str] | None = None, available: bool = True, **more) -> dict:
    return {"item_id": item_id, "title": title or None, "category": category, "available": available, **more}


def user(user_id: str, registered: str, country: str | None = None) -> dict:
    return {"user_id": user_id, "registered_at": moment(registered), "country": country}


def event(user_id: str | None, item_id: str | None, kind: str, ts: str, event_id: str = "", query: str | None = None) -> dict:
    event_id = event_id or f"{user_id}-{item_id}-{kind}-{ts}-{query}"
    return {"event_id": event_id, "user_id": user_id, "item_id": item_id, "event_type": kind, "ts": moment(ts), "query": query}


@cache
def empty_registry() -> bytes:
    """Return the SQLite file of an MLflow store that knows the model, and no version of it; its tables are made once."""
    with TemporaryDirectory() as scratch:
        settings = load_settings(home=Path(scratch))
        client(settings).create_registered_model(settings.registered_model)
        return (settings.home / "mlflow" / "mlflow.db").read_bytes()


def registry_of(settings: Settings):
    """Return the registry of a home, made if it is not there."""
    file = settings.home / "mlflow" / "mlflow.db"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(empty_registry())
    return client(settings)


@dataclass
class Shop:
    """A lake and its settings."""

    settings: Settings

    @property
    def lake(self) -> Lake:
        return Lake.from_settings(self.settings)

    def deliver(self, day: str, *, items: tuple = (), users: tuple = (), events: tuple = ()) -> date:
        """Publish one day of the three delivered tables; texts get their vectors."""
        when = date.fromisoformat(day)
        for name, rows in (("items", items), ("users", users), ("events", events)):
            schema = TABLES[name].schema
            full = [{column: {**row, "day": when}.get(column) for column in schema.names} for row in rows]
            self.lake.publish(name, [when], pa.Table.from_pylist(full, schema=schema))
        self.know(*(" ".join([r["title"] or "", *(r["category"] or []), r.get("brand") or ""]).strip() for r in items))
        self.know(*(row["query"] for row in events if row["query"]))
        return when

    def know(self, *texts: str) -> None:
        """Put the vectors of texts into the encoder's cache: a colour is a direction, everything else the fourth."""
        if not texts:
            return
        encoder = load_encoder(self.settings.encoder)
        cache = VectorCache(self.settings.work / "encoder" / f"{encoder.fingerprint[:16]}.sqlite", 4)
        cache.add([hashlib.sha256(text.encode()).digest() for text in texts], np.stack([vector(text) for text in texts]))

    def plan(self, learner: object, day: date, shards: int = 1, version: str = "1") -> RunPlan:
        """Return the plan of a night with a learner that no registry knows of."""
        folder = self.folder(learner, version)
        versions = self.lake.versions_now(["events", "items", "users"])
        return RunPlan(day, version, versions, shards, folder, content_hash(Path(folder)))

    def folder(self, learner: object, version: str = "1", encoder: str = "") -> str:
        """Lay a model folder where a fetched version lies."""
        folder = self.settings.work / "models" / version
        save(learner, folder, {"encoder": encoder or load_encoder(self.settings.encoder).fingerprint})
        return str(folder)

    def model(self, learner: object, version: str = "1", encoder: str = "") -> str:
        """Lay a model folder, and let the registry know it as a version."""
        folder = self.folder(learner, version, encoder)
        store, name = registry_of(self.settings), self.settings.registered_model
        tags = {"content": content_hash(Path(folder)), "trained_until": "2000-01-01", "fitted_until": "2000-01-01"}
        while len(store.search_model_versions(f"name='{name}'")) < int(version):
            store.create_model_version(name, folder, tags=tags)
        store.set_model_version_tag(name, version, "content", tags["content"])
        return folder


def vector(text: str) -> np.ndarray:
    found = np.zeros(4, np.float32)
    for word in text.split() or [""]:
        found[COLOURS.get(word, 3)] += 1
    return found / np.linalg.norm(found)


def open_shop(home: Path, **settings) -> Shop:
    """Make a home whose encoder knows what it was told, and fails for every other text."""
    encoder = home / "encoder"
    encoder.mkdir(parents=True, exist_ok=True)
    (encoder / "config.json").write_text('{"hidden_size": 4}')
    (encoder / "model.safetensors").write_bytes(b"no weights")
    return Shop(load_settings(home=home, encoder=str(encoder), **settings))

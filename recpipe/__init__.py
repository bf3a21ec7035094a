"""recpipe: nightly recommendations for every user of a shop, the one who registered today included.

What a program imports is named here and loaded when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

_PLACES = {
    "open_shop": "recpipe.api.open_shop",
    "Shop": "recpipe.api.open_shop",
    "Dataset": "recpipe.dataset.from_frames",
    "PairNetwork": "recpipe.api.estimators",
    "Prototypical": "recpipe.api.estimators",
    "MAML": "recpipe.api.estimators",
    "ProtoMAML": "recpipe.api.estimators",
    "ItemKNN": "recpipe.api.estimators",
    "EASE": "recpipe.api.estimators",
    "Popularity": "recpipe.api.estimators",
    "TextPrototype": "recpipe.api.estimators",
    "load_settings": "recpipe.config.settings",
}

__all__ = ["__version__", *sorted(_PLACES)]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"recpipe has no {name}: it has {', '.join(sorted(_PLACES))}.")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return __all__

"""The lake as it is now, opened once: a process that answers many questions opens the tables again only when one has changed."""

from __future__ import annotations

from threading import Lock

from recpipe.config.settings import Settings
from recpipe.contract import DAYS
from recpipe.lake.lake import Lake
from recpipe.lake.reader import Reader

READ = (DAYS.name, "recommendations", "episodes", "events", "items", "users", "outcomes", "replays", "quarantine")
"""Tables that the functions of this room read; the register first, so that it is never ahead of the data."""

_State = dict[str, tuple[str, int]]
"""Id and version of each table: one that was made anew under the same name has another id."""

_lock = Lock()
_open: dict[Lake, tuple[_State, Reader]] = {}


def open_reader(settings: Settings) -> Reader:
    """Return a reader of the newest versions of the tables; the same one until a table has a newer version.

    What is listed once (the files of a table) is then there for the next question, which takes a fraction of the time.
    """
    lake = Lake.from_settings(settings)
    state = _state(lake)
    with _lock:
        known = _open.get(lake)
        if known is None or known[0] != state:
            versions = {name: version for name, (_, version) in state.items()}
            known = _open[lake] = (state, lake.reader(versions))
    known[1].inputs.clear()  # nobody asks this reader what it read, and it lives for long
    return known[1]


def _state(lake: Lake) -> _State:
    found = {name: lake.delta(name) for name in READ}
    return {name: (str(delta.metadata().id), delta.version()) for name, delta in found.items() if delta is not None}

"""Following a backfill outlasts a restart of Airflow's database, and gives up with a sentence where it stays away."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine

from recpipe.airflow.backfill import followed_runs
from recpipe.errors import RecpipeError


def ask(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT 7")).scalar_one())


def test_a_database_that_comes_back_is_waited_for(tmp_path: Path) -> None:
    folder, said, tries = tmp_path / "away", StringIO(), []
    engine = create_engine(f"sqlite:///{folder / 'airflow.db'}")

    def asked() -> int:
        tries.append(1)
        if len(tries) == 3:
            folder.mkdir()
        return ask(engine)

    assert followed_runs._patiently(Console(file=said), asked) == 7
    assert len(tries) == 3
    assert said.getvalue() == "Waiting: Airflow's database does not answer.\n"


def test_a_database_that_stays_away_ends_it_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed_runs, "DATABASE_SECONDS", 0.0)
    engine = create_engine(f"sqlite:///{tmp_path / 'nowhere' / 'airflow.db'}")
    with pytest.raises(RecpipeError, match="give the command again"):
        followed_runs._patiently(Console(file=StringIO()), lambda: ask(engine))

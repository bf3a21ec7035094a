"""Homes with an MLflow store that was migrated once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from recpipe.config.settings import Settings, load_settings


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an MLflow store without runs."""
    from recpipe.registry.store import client

    home = tmp_path_factory.mktemp("migrated")
    client(load_settings(home=home)).search_experiments()
    return home / "mlflow" / "mlflow.db"


@pytest.fixture
def settings(migrated: Path, tmp_path: Path) -> Settings:
    """Settings of a home of its own."""
    (tmp_path / "home" / "mlflow").mkdir(parents=True)
    shutil.copy(migrated, tmp_path / "home" / "mlflow" / "mlflow.db")
    return load_settings(home=tmp_path / "home")

"""Homes with an MLflow store."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow_store import write_store

from recpipe.config.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a home of its own."""
    return write_store(load_settings(home=tmp_path / "home"))

"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recpipe.config import Settings, load_settings

for name in [name for name in os.environ if name.startswith(("RECPIPE_", "AIRFLOW", "MLFLOW_")) and name != "RECPIPE_TEST_DATA"]:
    del os.environ[name]  # a developer's own home must not leak into the tests
os.environ["RECPIPE_ENV_FILE"] = ""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a home of its own."""
    return load_settings(home=tmp_path / "home")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real logs that cannot be shipped."""
    folder = os.environ.get("RECPIPE_TEST_DATA", "")
    if not folder:
        pytest.skip("RECPIPE_TEST_DATA names no folder of further real logs")
    return Path(folder)

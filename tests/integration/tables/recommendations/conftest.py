"""Lets the tests of this room import the small shop of the episodes, and gives them a night of it."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "episodes"))
sys.path.insert(0, str(Path(__file__).parent))

from small_shop import Shop, open_shop


@pytest.fixture
def shop(tmp_path) -> Shop:
    """A lake without any day."""
    return open_shop(tmp_path / "home")

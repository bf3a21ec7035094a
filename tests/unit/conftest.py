"""What keeps the tests of this tier quick: none of them imports a library that takes seconds to import."""

from __future__ import annotations

import sys
from collections.abc import Generator

import pytest

HEAVY = frozenset({"airflow", "great_expectations", "mlflow", "transformers"})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Fail the test with which one of the heavy libraries came in, where nothing but this tier is run."""
    yield
    if all(other.get_closest_marker("unit") for other in item.session.items):
        found = sorted(HEAVY & sys.modules.keys() - item.session.stash.setdefault(SEEN, set()))
        item.session.stash[SEEN].update(found)
        assert not found, (
            f"imported by this test, or by a file that was collected: {', '.join(found)} (the test belongs to tests/integration)"
        )


SEEN = pytest.StashKey[set[str]]()

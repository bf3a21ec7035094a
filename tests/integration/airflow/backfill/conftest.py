"""Ways to call ``airflow dags backfill``: in this process, or as people do on the home that runs."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from airflow_commands import Commands

from recpipe.config.settings import Settings

DAGS = Path(__file__).parent / "dags"


@pytest.fixture(scope="session")
def tiny_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tiny DAGs publish: one place for all tests, as Airflow knows an asset by one address."""
    return tmp_path_factory.mktemp("tiny") / "lake"


@pytest.fixture(scope="session")
def tiny_dags(airflow_db: None, tiny_lake: Path) -> None:
    """Make the tiny DAGs known to the Airflow home of this test process, which has no services."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db

    DagBundlesManager().sync_bundles_to_db()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECPIPE_LAKE", str(tiny_lake))
        bag = BundleDagBag(DAGS, bundle_path=DAGS, bundle_name="dags-folder")
    assert bag.import_errors == {}
    for dag in bag.dags.values():
        if dag.is_paused_upon_creation is None:
            dag.is_paused_upon_creation = False
    sync_bag_to_db(bag, "dags-folder", None)


def arguments(dag_id: str, first: str, last: str, **flags: object) -> Namespace:
    """Return what the parser would make of a command line."""
    plain = {
        "dry_run": False, "rerun_failed_tasks": False, "reset_dagruns": False, "run_backwards": False,
        "max_active_runs": None, "conf": None, "yes": False, "local": False,
    }  # fmt: skip
    return Namespace(**{"dag_id": dag_id, "start_date": first, "end_date": last, **plain, **flags})


@pytest.fixture
def call(tiny_dags: None) -> Callable[..., int]:
    """Call the command in this process."""
    from recpipe.airflow.backfill.backfill_command import backfill

    return lambda *words, **flags: backfill(arguments(*words, **flags))


@pytest.fixture(scope="session")
def airflow(services: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """Run ``airflow`` on the home that runs."""
    from recpipe.local.home import airflow_environment

    plain = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__")}
    told = {name: value for name, value in airflow_environment(services).items() if not name.startswith("AIRFLOW__")}
    commands = Commands({**plain, **told}, tmp_path_factory.mktemp("commands"))
    yield commands
    commands.end()

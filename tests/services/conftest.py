"""Services for the tests of this folder: ``make test-services`` runs them, in the environment ``.venv-services``.

What a test may ask for:

``services``
    `stores.Stores`, once a session: PostgreSQL (databases ``airflow`` and ``mlflow``), Redis and an S3 server on 127.0.0.1, their
    ports, addresses, programs (to stop, kill and start again), ``s3_client()`` and ``s3_options`` for Delta.
``airflow_cluster``
    `cluster.Cluster`, once a session: Airflow as docker/compose.yaml has it (api-server, scheduler, dag-processor, triggerer, two
    workers for the queue ``default``, one for ``gpu``) and MLflow, on these stores, with the shipped shop's settings. ``run("airflow",
    …)`` runs a command on it, ``start`` does so without waiting, ``kill`` and ``revive`` end and restart a program, ``query`` asks Airflow's
    database, ``api`` its API, ``environment`` and ``settings`` are what tasks see. DAG files in tests/services/dags are there beside
    the real ones.

Everything is stopped at the end; if this process is killed, `recpipe.local.tether` stops it.
"""

from __future__ import annotations

import importlib.util
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

if importlib.util.find_spec("moto") is None:  # not the environment of the services
    collect_ignore_glob = ["test_*.py"]
else:
    sys.path.insert(0, str(Path(__file__).parent))

    from cluster import Cluster, start_cluster
    from stores import Stores, start_stores

    @pytest.fixture(scope="session")
    def services() -> Iterator[Stores]:
        """PostgreSQL, Redis and S3, in a folder of their own."""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the fixtures end as after Ctrl-C
        folder = Path(tempfile.mkdtemp(prefix="recpipe-services-"))
        folder.chmod(0o755)  # PostgreSQL runs as another user
        try:
            stores = start_stores(folder)
            try:
                yield stores
            finally:
                stores.stop()
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @pytest.fixture(scope="session")
    def airflow_cluster(services: Stores) -> Iterator[Cluster]:
        """Airflow and MLflow as docker/compose.yaml has them."""
        from recpipe.demo.shop import SETTINGS

        cluster = start_cluster(services, SETTINGS)
        try:
            yield cluster
        finally:
            cluster.stop()

"""The preparation of an embedded home: database, pools, DAGs. ``python -m recpipe.airflow.backfill.database_setup SLOTS``.

Three ``airflow`` commands would do the same, at three times the start-up cost.
"""

from __future__ import annotations

import sys


def prepare(gpu_slots: int) -> int:
    """Bring the database up to date, set the pool ``gpu``, and take in the DAG files.

    Returns
    -------
    int
        Number of DAG files that could not be imported; each is printed with its error.
    """
    from airflow.models.pool import Pool
    from airflow.utils import db

    db.initdb()
    Pool.create_or_update_pool("gpu", gpu_slots, "training jobs: one slot a GPU, at least one", include_deferred=False)
    return _take_in_dags()


def _take_in_dags() -> int:
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db

    manager = DagBundlesManager()
    manager.sync_bundles_to_db()
    broken = 0
    for bundle in manager.get_all_dag_bundles():
        bundle.initialize()
        bag = BundleDagBag(bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
        sync_bag_to_db(bag, bundle.name, bundle_version=None)
        for file, error in bag.import_errors.items():
            broken += 1
            print(f"{file}: {str(error).strip().splitlines()[-1]}", file=sys.stderr)
    return broken


if __name__ == "__main__":
    sys.exit(1 if prepare(int(sys.argv[1])) else 0)

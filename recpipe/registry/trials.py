"""The log of a search for settings in MLflow: one run for the search, and in it one for each trial."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from recpipe.config.settings import Settings
from recpipe.registry.store import client, experiment_id

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from recpipe.training.tuning import Hook, Progress

RUN_FILE: Final = "mlflow_run.txt"
"""Holds the id of the search's run, in the folder of the search: a search that goes on goes on in the same run."""
STATUS: Final = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
"""How MLflow calls the end of a trial; the tag ``state`` tells a pruned trial from a killed one."""
PARENT: Final = "mlflow.parentRunId"


@contextmanager
def logged_trials(settings: Settings, folder: Path) -> Iterator[Hook]:
    """Open the run of a search, and give the function that logs its trials (for `recpipe.training.tuning.search`).

    Parameters
    ----------
    settings
        They name the MLflow store.
    folder
        Of the search; its best settings and table are logged at the end.

    Yields
    ------
    Hook
        Logs the settings of a trial as params, each look as the metric ``val_ndcg`` at its step, and how it ended.
    """
    opened: list[tuple[MlflowClient, str, str]] = []
    runs: dict[int, str] = {}

    def run_of_search() -> tuple[MlflowClient, str, str]:
        if not opened:  # not before there is something to log: a search that is refused leaves the run as it was
            store = client(settings)
            experiment = experiment_id(store, settings.places)
            opened.append((store, experiment, _open(store, experiment, folder)))
        return opened[0]

    def log(progress: Progress) -> None:
        store, experiment, parent = run_of_search()
        if progress.number not in runs:
            runs[progress.number] = _begin(store, experiment, parent, progress)
        _log(store, runs[progress.number], progress)

    try:
        yield log
        store, _, parent = run_of_search()
        for name in ("best.json", "trials.csv"):
            store.log_artifact(parent, str(folder / name), "search")
        store.set_terminated(parent, "FINISHED")
    except BaseException:  # an interrupt, too: a run left open would look as if the search went on
        for store, _, parent in opened:
            store.set_terminated(parent, "FAILED")
        raise


def _open(store: MlflowClient, experiment: str, folder: Path) -> str:
    """Return the run of the search; one that another store holds is not found, and made anew."""
    from mlflow.exceptions import MlflowException

    file = folder / RUN_FILE
    if file.is_file():
        try:
            found = str(store.get_run(file.read_text().strip()).info.run_id)
            store.update_run(found, status="RUNNING")
            return found
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
    made = str(store.create_run(experiment, run_name=f"search {folder.resolve().name}").info.run_id)
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(made + "\n")
    return made


def _begin(store: MlflowClient, experiment: str, parent: str, progress: Progress) -> str:
    """Return the run of a trial: the one it was killed in, or a new one with its settings."""
    from mlflow.entities import Param

    number = str(progress.number)
    found = store.search_runs([experiment], f"tags.`{PARENT}` = '{parent}' and tags.trial = '{number}'")
    if found:
        return str(found[0].info.run_id)
    tags = {PARENT: parent, "trial": number, "state": progress.state}
    run_id = str(store.create_run(experiment, tags=tags, run_name=f"trial {number} {progress.config.learner}").info.run_id)
    store.log_batch(run_id, params=[Param(name, str(value)) for name, value in asdict(progress.config).items()])
    return run_id


def _log(store: MlflowClient, run_id: str, progress: Progress) -> None:
    """Log a look, or the end."""
    if progress.state == "running":
        if progress.step is not None and progress.ndcg is not None:
            store.log_metric(run_id, "val_ndcg", progress.ndcg, step=progress.step)
        return
    if progress.ndcg is not None:
        store.log_metric(run_id, "best_val_ndcg", progress.ndcg, step=progress.step or 0)
    if progress.note:
        store.set_tag(run_id, "note", progress.note)
    store.set_tag(run_id, "state", progress.state)
    store.set_terminated(run_id, STATUS[progress.state])

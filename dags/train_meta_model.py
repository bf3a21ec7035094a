"""### train_meta_model: a new model version, learned from the weeks up to Sunday

**Owner** recommendations. **Runs** weekly, after Sunday's midnight, for the week that ended.
**Reads** the tables up to the last day of the week, with the fine-tuned encoder that was promoted before it, if there is one. **Writes** a run and a version in MLflow; moves the aliases `candidate` and,
if the gate opens, `champion`. The parameter `from` (or RECPIPE_TRAIN_FROM) names a model to go on from; another shop's is taken as it
is while this shop has seen too little to learn from. Where `champion` is a closed form, the run goes on from the newest version of
its own learner, or starts afresh; the log of `train` and summary.json say which. RECPIPE_LEARNER names what is trained (docs/learners.md).

**What a late run means.** Nights go on with the version they have; a model some weeks old is fine. Nothing else waits for it.

**Triage**

- `wait_for_days` failed: days of the week are not published; look at `ingest_clickstream`.
- `export` failed: the encoder of the settings cannot be loaded, the disk is full, or `from` names nothing to start from; its message says which.
- `train` failed: the error shows the last lines of the job. Clear the task: the job goes on from its last checkpoint. Out of
  memory on the GPU: set RECPIPE_TRAIN_OPTIONS to a smaller `--batch-users`, see `recpipe train --help`. It ran where
  RECPIPE_JOB_PLACE says: a process of the worker; a container (`docker ps --all --filter label=recpipe.task=train`; a retry goes on
  with one that still runs); or a pod (`kubectl get pods -l app=recpipe,task_id=train`; while it runs the task is deferred). A pod that
  waits for a GPU says so in the task's log; it may wait as long as the task has time.
- `train` waits: the pool `gpu` has no free slot; see who holds it on the page of the pools.
- `register` failed: MLflow does not answer; clear it, the same folder is registered once.
- `propose`, `approve` (with RECPIPE_APPROVAL_HOURS alone): somebody has to answer on the page "Required Actions"; the text there compares candidate and
  champion. Without an answer in time, or rejected, `promote` is skipped and the champion stays.
- `promote` succeeded and moved nothing: that is no failure. Its log says why the gate stayed shut.
- A bad champion: `recpipe withdraw VERSION --reason TEXT`; the next night takes the newest version that is still promoted. A
  published day keeps its version: run it anew with `recpipe recommend --day DAY --model-version VERSION`.

Step by step: docs/operations.md (a wrong model).

**Whom to call.** The owner, in working hours; nothing here is urgent.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from airflow.sdk import Asset, dag, task

from recpipe.airflow.approval_tasks import ask_before
from recpipe.airflow.defaults import (
    WEEKLY,
    day_param,
    default_args,
    from_of_run,
    from_param,
    run_day,
    run_folder,
    run_limit,
    schedule,
    table,
)
from recpipe.airflow.jobs.job_operator import job
from recpipe.airflow.links import link, model_links, trained_links
from recpipe.airflow.sensors import DaySensor
from recpipe.config.settings import load_settings

SETTINGS = load_settings()
MODEL = Asset(name="recpipe.model", uri=f"recpipe://models/{SETTINGS.promotion.registered_model}")


@dag(
    **schedule(SETTINGS, WEEKLY, days=7),
    doc_md=__doc__,
    description="A new model version from the weeks up to Sunday",
    tags=["recpipe", "weekly", "train", "tier-2"],
    max_active_runs=1,
    # a person's hours come on top: the run's own limit would end the question before
    **run_limit(SETTINGS.promotion.approval_hours),
    params={"day": day_param(), "from": from_param()},
    default_args=default_args(SETTINGS, minutes=120),
)
def train_meta_model() -> None:
    wait_for_days = DaySensor(task_id="wait_for_days", needs={"events": (max(7, SETTINGS.promotion.gate_days) - 1, 0)})

    @task(inlets=[table(SETTINGS, name) for name in ("events", "items", "users")], multiple_outputs=True)
    def export() -> dict[str, str]:
        """Write the training input as a folder, and name the folder of the model and what training goes on from."""
        from recpipe.dataset.export import export_training
        from recpipe.promotion.start_from import begin, name_start, wanted_learner
        from recpipe.registry.encoders import of_week

        with run_day() as (settings, day):
            settings = of_week(settings, day)
            start = name_start(settings.promotion, from_of_run(settings.training))
            shop = "--other-shop" if start and start.other_shop else "--same-shop"
            folders = {"episodes": export_training(settings, day), "model": run_folder(settings, "training", day)}
            # a folder, so that the job asks no registry, wherever it runs
            begun = begin(settings, start.text if start else "", wanted_learner(settings.training.run_options), before=day)
            return {**folders, "start": str(begun.folder.resolve()) if begun.folder else "", "shop": shop, "note": begun.said}

    @task(outlets=[MODEL])
    def register(folder: str) -> str:
        """Log and register the model, and before it the best closed form if nothing serves yet; returns its version."""
        from recpipe.promotion import register as register_

        with run_day() as (settings, day):
            return register_.register(settings, folder, day)

    @task(outlets=[MODEL], trigger_rule="none_failed_min_one_success")
    def promote(version: str) -> dict[str, Any]:
        """Let the candidate pass the gate, or not; returns what was decided and why."""
        from recpipe.promotion import gate

        with run_day() as (settings, day):
            return asdict(gate.promote(settings, version, day))

    exported = export()
    train = job(
        SETTINGS,
        task_id="train",
        command=[
            *("recpipe", "train", "--episodes", exported["episodes"], "--out", exported["model"]),
            *("--from", exported["start"], exported["shop"], "--start-note", exported["note"], *SETTINGS.training.run_options),
        ],
        makes=f"{exported['model']}/summary.json",
        pool="gpu",
        queue=SETTINGS.training.train_queue,
    )
    wait_for_days >> exported
    link(train, *trained_links(lambda instance: instance.xcom_pull(task_ids="export", key="model")))
    registered = link(register(exported["model"]), *model_links(lambda version: version))
    train >> registered
    promoted = link(promote(registered), *model_links(lambda decision: decision["version"]))
    if SETTINGS.promotion.approval_hours:
        ask_before(SETTINGS, promoted, registered)


train_meta_model()

"""### finetune_encoder: the text encoder, taught on the shop's own episodes

**Owner** recommendations. **Runs** monthly, after the last day's midnight, for the month that ended; by hand for any day.
**Reads** the tables up to the last day of the month. **Writes** a run and a version of the registered encoder in MLflow; moves its
aliases `candidate` and, if the gate opens, `champion`; fills the cache of vectors. The course begins with the plain encoder
(RECPIPE_ENCODER); RECPIPE_FINETUNE_OPTIONS are further options of `recpipe finetune-encoder`, such as `--method full`.

**What a late run means.** The recommenders go on with the encoder they have. A promoted one is taken by `train_meta_model` for the weeks
after it; a night always reads with the encoders that its model was trained with, so no published day changes.

**Triage**

- `wait_for_days` failed: days of the month are not published; look at `ingest_clickstream`.
- `export` failed: the encoder of the settings cannot be loaded, the disk is full, or MLflow does not answer; its message says which.
- `finetune` failed: the error shows the last lines of the job. Clear the task: the job goes on from its last checkpoint. Out of
  memory on the GPU: a smaller `--batch-users` in RECPIPE_FINETUNE_OPTIONS. Too little history for the windows: `--window-days`, `--windows`.
- `finetune` waits: the pool `gpu` has no free slot; see who holds it on the page of the pools.
- `register` failed: MLflow does not answer; clear it, the same encoder is registered once.
- `propose`, `approve` (with RECPIPE_APPROVAL_HOURS alone): somebody has to answer on the page "Required Actions".
- `promote` succeeded and moved nothing: that is no failure. Its log says why the gate stayed shut.
- `make_small`, `judge_small` (with RECPIPE_SMALL_ENCODER alone) failed: the promoted encoder serves as it is; the error says why.
- `served`, `encode` failed: the nights encode what is missing themselves, only slower. Clear it.
- A bad encoder: `recpipe withdraw-encoder VERSION --reason TEXT`, then train the recommender of the week anew. The version of the
  recommender that was trained with it is withdrawn by itself: `recpipe withdraw`.

Step by step: docs/operations.md (a wrong model).

**Whom to call.** The owner, in working hours; nothing here is urgent.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, dag, task

from recpipe.airflow.approval_tasks import ask_before
from recpipe.airflow.defaults import MONTHLY, day_param, default_args, run_day, run_folder, run_limit, schedule, table
from recpipe.airflow.jobs.job_operator import job
from recpipe.airflow.sensors import DaySensor
from recpipe.config.settings import load_settings

SETTINGS = load_settings()
ENCODER = Asset(name="recpipe.encoder", uri=f"recpipe://models/{SETTINGS.promotion.registered_encoder}")


def made_small(exported: Any, encoder: Any) -> Any:
    """Make the small form of the encoder that serves, hold it against that one, and return the folder of the one that serves then."""
    out = exported["small"]
    made = {
        "distil": ["distill-encoder", "--episodes", exported["episodes"], "--layers", "2"],
        "int8": ["export-encoder", "--format", "int8"],
    }

    @task(outlets=[ENCODER])
    def judge_small(parent: str, folder: str, texts: str) -> str:
        """Register the small form, promote it if it is nearly as good and twice as fast; returns the folder that serves."""
        from recpipe.promotion.encoder_export import folder_to_encode
        from recpipe.promotion.encoder_small import promote_small, read_texts_file, register_small

        with run_day() as (settings, day):
            number = register_small(settings, folder, parent, settings.training.small_encoder)
            promote_small(settings, number, parent, read_texts_file(texts), day)
            return folder_to_encode(settings, day)

    small = job(
        SETTINGS,
        task_id="make_small",
        command=["recpipe", *made[SETTINGS.training.small_encoder], "--encoder", encoder, "--out", out],
        makes=f"{out}/config.json",
        pool="gpu",
        queue=SETTINGS.training.train_queue,
    )
    judged = judge_small(encoder, out, exported["texts"])
    small >> judged
    return judged


@dag(
    **schedule(SETTINGS, MONTHLY, days=28),
    doc_md=__doc__,
    description="The text encoder taught on the shop's episodes of the months past",
    tags=["recpipe", "monthly", "train", "tier-2"],
    max_active_runs=1,
    **run_limit(SETTINGS.promotion.approval_hours),
    params={"day": day_param()},
    default_args=default_args(SETTINGS, minutes=120),
)
def finetune_encoder() -> None:
    wait_for_days = DaySensor(task_id="wait_for_days", needs={"events": (max(7, SETTINGS.promotion.gate_days) - 1, 0)})

    @task(inlets=[table(SETTINGS, name) for name in ("events", "items", "users")], multiple_outputs=True)
    def export() -> dict[str, str]:
        """Write the training input with its texts, name the encoder that the course begins with, and open the run of its curves."""
        from recpipe.promotion.encoder_export import export_finetuning

        with run_day() as (settings, day):
            out = run_folder(settings, "training", day)
            return {**export_finetuning(settings, day), "out": out, "small": f"{out}-small"}

    @task(outlets=[ENCODER])
    def register(folder: str, run: str) -> str:
        """Register the encoder with its before and after, and before the first the plain one; returns its version."""
        from recpipe.promotion.encoder_register import register_tuned

        with run_day() as (settings, day):
            return register_tuned(settings, folder, day, run)

    @task(outlets=[ENCODER], trigger_rule="none_failed_min_one_success")
    def promote(version: str) -> dict[str, Any]:
        """Let the encoder pass the gate, or not; returns what was decided and why."""
        from recpipe.promotion.encoder_gate import promote_encoder

        with run_day() as (settings, day):
            return asdict(promote_encoder(settings, version, day))

    @task
    def served(decision: dict[str, Any]) -> str:
        """Return the folder of the encoder that the next nights may read with."""
        from recpipe.promotion.encoder_export import folder_to_encode

        with run_day() as (settings, day):
            return folder_to_encode(settings, day)

    exported = export()
    finetune = job(
        SETTINGS,
        task_id="finetune",
        command=[
            *("recpipe", "finetune-encoder", "--episodes", exported["episodes"], "--encoder", exported["encoder"]),
            *("--out", exported["out"], "--live-run", exported["run"], *SETTINGS.training.finetune_options),
        ],
        makes=f"{exported['out']}/summary.json",
        execution_timeout=timedelta(hours=8),  # a full course on processors alone takes hours
        pool="gpu",
        queue=SETTINGS.training.train_queue,
    )
    wait_for_days >> exported
    registered = register(exported["out"], exported["run"])
    finetune >> registered
    promoted = promote(registered)
    if SETTINGS.promotion.approval_hours:
        ask_before(SETTINGS, promoted, registered, of_encoder=True)
    encoder = served(promoted)
    if SETTINGS.training.small_encoder:
        encoder = made_small(exported, encoder)
    job(
        SETTINGS,
        task_id="encode",
        command=["recpipe", "encode-texts", "--texts", exported["texts"], "--encoder", encoder],
        pool="gpu",
        queue=SETTINGS.training.train_queue,
    )


finetune_encoder()

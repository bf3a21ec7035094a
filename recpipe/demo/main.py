"""The main job on the shipped shop: history, training, ten nights and their outcomes, with a clock beside each step."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from rich.console import Console

from recpipe.config.settings import Settings, load_settings
from recpipe.demo.shop import DATA, SETTINGS
from recpipe.errors import RecpipeError

HOME = Path(".recpipe")
HISTORY = (date(2009, 11, 30), date(2011, 8, 31))
TRAINING_WEEK = (date(2011, 8, 22), date(2011, 8, 28))
INGESTED = (date(2011, 9, 1), date(2011, 9, 10))
RECOMMENDED = (date(2011, 9, 1), date(2011, 9, 3))
EVALUATED = (date(2011, 9, 8), date(2011, 9, 10))
TAUGHT_MONTH = (date(2011, 7, 1), date(2011, 7, 31))
"""The month of the text encoder: it ends before the weeks by which the training judges."""
Backfill = tuple[str, tuple[date, date]]
"""A DAG, and the first and last day of its backfill."""
TASKS = ("classify_items", "complete_items", "profile_users", "audience_campaigns")
"""DAGs of the other tables for which this shop has what they need: no carts, searches or reviews stand in its log."""

LOCAL = {
    "RECPIPE_DAGS_PAUSED": "false",
    "RECPIPE_CLOCK_DAY": str(RECOMMENDED[1]),
    "RECPIPE_REPLAY_DAYS": "182",
    "RECPIPE_FINETUNE_OPTIONS": json.dumps(["--steps", "60", "--windows", "4"]),
    "RECPIPE_REPLAY_OPTIONS": json.dumps(["--settings", str(DATA / "replay.json")]),
    "RECPIPE_TRAIN_SLOTS": "2",
}
"""Settings of the demo beside those of its shop: its days have passed, so nothing starts by itself. Its clock stands at the last
night; the week after was delivered to judge by. Half a year of newcomers is replayed, for this shop's come back seldom, by a model
of a short training, which runs beside the week's: two at a time, a core each."""


@dataclass
class Clock:
    """What each step took."""

    console: Console
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Say that a step begins, and note how long it took."""
        self.console.rule(f"[bold]{title}", align="left")
        start = time.monotonic()
        yield
        self.seconds[title] = time.monotonic() - start

    def breakdown(self) -> None:
        """Print what each step took."""
        self.console.rule("[bold]Where the time went", align="left")
        for title, seconds in self.seconds.items():
            self.console.print(f"  {seconds:6.0f} s  {title}", highlight=False)
        self.console.print(f"  {sum(self.seconds.values()):6.0f} s  in all", highlight=False)


def run() -> None:
    """Run the demo; a second run is quick and ends in the same rows."""
    console = Console()
    clock = Clock(console)
    settings = prepare(HOME)
    if (installed := Path(sys.prefix, ".install-seconds")).exists():
        clock.seconds["Installing (make, once)"] = float(installed.read_text())
        installed.unlink()
    with clock.step("Landing the shop, day by day"):
        command("land", "--from", str(HISTORY[0]), "--to", str(INGESTED[1]))
    services = subprocess.Popen(
        [recpipe(), "up"], stdout=(settings.places.home / "up.log").open("w"), stderr=subprocess.STDOUT
    )  # Airflow's start is waiting for the most part: it comes up while the history goes in
    with clock.step(f"Taking in the history, {HISTORY[0]} to {HISTORY[1]}"):
        command("history", "--from", str(HISTORY[0]), "--to", str(HISTORY[1]), "--missing-only")
    with clock.step("Starting Airflow and MLflow (begun beside the history)"):
        if services.wait() != 0:
            raise RecpipeError("Airflow did not start:\n" + (settings.places.home / "up.log").read_text()[-3000:])
        console.print((settings.places.home / "up.log").read_text().strip(), highlight=False)
    with clock.step(
        "Teaching the text encoder on July (finetune_encoder), training on the week that ends 2011-08-28 (train_meta_model), and beside "
        "them replaying half a year of newcomers (replay_newcomers)"
    ):
        backfill_together(
            [("finetune_encoder", TAUGHT_MONTH), ("train_meta_model", TRAINING_WEEK)], [("replay_newcomers", TRAINING_WEEK)]
        )
    with clock.step("Ingesting 1 to 10 September: ingest_clickstream"):
        backfill("ingest_clickstream", INGESTED)
    with clock.step("Recommending 1 to 3 September: recommend_nightly"):
        backfill("recommend_nightly", RECOMMENDED)
    with clock.step("Classes, complements, profiles and an audience of 3 September: " + ", ".join(TASKS)):
        last = (RECOMMENDED[1], RECOMMENDED[1])
        backfill_together([(TASKS[0], last)], [(dag, last) for dag in TASKS[1:]])
    with clock.step("Evaluating 8 to 10 September: evaluate_recommendations"):
        # one after the other: a day's outcomes pool the newcomers of the days before it
        backfill("evaluate_recommendations", EVALUATED, "--max-active-runs", "1")
    with clock.step("Results"):
        from recpipe.demo.results import show_results

        show_results(settings, console, TRAINING_WEEK[1], RECOMMENDED[1], EVALUATED)
    clock.breakdown()


def prepare(home: Path) -> Settings:
    """Lay out the embedded home and its settings file, and return the settings."""
    home.mkdir(exist_ok=True)
    lines = [f"{name}='{value}'" for name, value in {**SETTINGS, **LOCAL}.items()]
    (home / "recpipe.env").write_text("\n".join(["# the settings of the demo's shop", *lines]) + "\n")
    return load_settings(home=home.resolve())


def recpipe() -> str:
    """Return the path of the ``recpipe`` command beside this Python."""
    return str(Path(sys.executable).with_name("recpipe"))


def command(*words: str) -> None:
    """Run a ``recpipe`` command in the foreground; its output is the progress."""
    if subprocess.run([recpipe(), *words]).returncode != 0:
        raise RecpipeError(
            f"The demo stopped at: recpipe {' '.join(words)}. Its output above says why; run make demo again after mending it."
        )


def backfill(dag: str, days: tuple[date, date], *options: str) -> None:
    """Run ``airflow dags backfill`` for some days, and again what failed before; finished days are left alone."""
    words = backfill_words(dag, days, *options)
    print("$ " + " ".join(words), flush=True)
    require(dag, subprocess.run(words_here(words), env=environment()).returncode)


def backfill_together(first: Sequence[Backfill], others: Sequence[Backfill]) -> None:
    """Run backfills one after the other, and others beside them: the first are seen at work, what the others say follows."""
    beside = [backfill_words(*one) for one in others]
    print("\n".join("$ " + " ".join(line) + " &" for line in beside), flush=True)
    running = [
        subprocess.Popen(words_here(line), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in beside
    ]
    try:
        for dag, days in first:
            backfill(dag, days)
    finally:
        said = [process.communicate()[0] for process in running]
        print("".join(said), end="", flush=True)
    for (dag, _), process in zip(others, running, strict=True):
        require(dag, process.returncode)


def backfill_words(dag: str, days: tuple[date, date], *options: str) -> list[str]:
    """Return the command line that a person would type."""
    return ["airflow", "dags", "backfill", "-s", str(days[0]), "-e", str(days[1]), "--rerun-failed-tasks", *options, "-y", dag]


def words_here(words: list[str]) -> list[str]:
    """Return a command line with the program that stands beside this Python."""
    return [str(Path(sys.executable).with_name(words[0])), *words[1:]]


def environment() -> dict[str, str]:
    """Return the environment in which Airflow's commands see the demo's home."""
    from recpipe.local.home import airflow_environment

    return {**os.environ, **airflow_environment(load_settings())}


def require(dag: str, code: int) -> None:
    """Stop the demo where a backfill did not succeed."""
    if code != 0:
        raise RecpipeError(
            f"The backfill of {dag} did not succeed; its output above names the days. `recpipe up` and the Airflow page show their logs."
        )


def reset(home: Path = HOME) -> None:
    """Forget everything that the demo made."""
    shutil.rmtree(home, ignore_errors=True)

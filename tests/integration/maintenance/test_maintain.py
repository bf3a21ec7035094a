"""The weekly upkeep removes what nobody used and what is over, and nothing else."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest

from recpipe.config.settings import Settings, load_settings
from recpipe.contract import ITEMS
from recpipe.lake.lake import Lake
from recpipe.maintenance.maintain import maintain, prune_models, prune_scratch, tidy_tables
from recpipe.maintenance.steps import Report, Step, size
from recpipe.text.cache import VectorCache

FIRST = date(2011, 9, 1)
OLD = 10 * 86_400


def publish(settings: Settings, n: int, model_version: str | None = None) -> None:
    day = FIRST + timedelta(days=n)
    rows = pa.Table.from_pylist([{"day": day, "item_id": "a", "title": "cup", "available": True}], schema=ITEMS.schema)
    Lake.from_settings(settings).publish("items", [day], rows, model_version=model_version)


# --- models


@pytest.fixture
def registry(settings: Settings):
    """Return a function that registers a version, old or new, with a run and files of its own."""
    from recpipe.registry.store import client, experiment_id

    store = client(settings)
    experiment = experiment_id(store, settings.places)
    store.create_registered_model(settings.promotion.registered_model)

    def register(old: bool = True, **tags: str) -> str:
        run = store.create_run(experiment)
        store.log_text(run.info.run_id, "weights", "model.txt")
        known = {"content": "0", "trained_until": "2011-09-01", "fitted_until": "2011-09-01", **tags}
        made = store.create_model_version(settings.promotion.registered_model, run.info.artifact_uri, run.info.run_id, tags=known)
        if old:
            database = sqlite3.connect(settings.places.home / "mlflow" / "mlflow.db")
            with database:
                database.execute(
                    "UPDATE model_versions SET creation_time = creation_time - ? WHERE version = ?",
                    (91 * 86_400_000, int(made.version)),
                )
            database.close()
        return str(made.version)

    return store, register


def versions(store, settings: Settings) -> set[str]:
    return {str(found.version) for found in store.search_model_versions(f"name='{settings.promotion.registered_model}'")}


def test_only_old_versions_that_nobody_used_go(settings: Settings, registry) -> None:
    store, register = registry
    unused = register()
    run = store.get_model_version(settings.promotion.registered_model, unused).run_id
    promoted, withdrawn = register(promoted_on="2011-09-04"), register(withdrawn_from="2011-09-04")
    candidate, made_a_night, superseded, new = register(), register(), register(), register(old=False)
    store.set_registered_model_alias(settings.promotion.registered_model, "candidate", candidate)
    publish(settings, 0, made_a_night + "+knowledge-0a1b2c3d")
    publish(settings, 1, superseded)
    publish(settings, 1, made_a_night)

    said = prune_models(settings, dry_run=True)
    assert [(step.name, step.bytes) for step in said.steps] == [(f"recpipe version {unused}", len("weights"))]
    assert len(versions(store, settings)) == 7
    assert prune_models(settings).steps == said.steps
    assert versions(store, settings) == {promoted, withdrawn, candidate, made_a_night, superseded, new}
    assert len(list((settings.places.home / "mlflow" / "artifacts").rglob("model.txt"))) == 6
    with sqlite3.connect(settings.places.home / "mlflow" / "mlflow.db") as database:
        assert database.execute("SELECT count(*) FROM runs WHERE run_uuid = ?", (run,)).fetchone() == (0,)
    assert prune_models(settings) == Report(())


def test_a_version_that_is_promoted_meanwhile_stays_and_is_not_counted(
    settings: Settings, registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recpipe.maintenance import model_versions as room

    store, register = registry
    unused, real = register(), room._places

    def promoted_meanwhile(asked, version):
        store.set_model_version_tag(version.name, version.version, "promoted_on", "2011-09-04")
        return real(asked, version)

    monkeypatch.setattr(room, "_places", promoted_meanwhile)
    assert prune_models(settings) == Report(())
    assert versions(store, settings) == {unused}


def test_a_sweep_that_was_killed_is_finished(settings: Settings, registry, monkeypatch: pytest.MonkeyPatch) -> None:
    from recpipe.maintenance import model_versions as room

    store, register = registry
    register()
    for stop in ("_delete_files", "_collect"):
        with monkeypatch.context() as patch:
            patch.setattr(room, stop, lambda *_: os.kill(os.getpid(), 0) or (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                prune_models(settings)
        assert len(versions(store, settings)) == 1
    assert [step.count for step in prune_models(settings).steps] == [1]
    assert versions(store, settings) == set()


# --- scratch


def folder(settings: Settings, path: str, old: bool = True) -> Path:
    place = settings.places.work / path
    place.mkdir(parents=True)
    (place / "file").write_bytes(b"12345678")
    if old:
        then = time.time() - OLD
        for found in (place / "file", place):
            os.utime(found, (then, then))
    return place


def test_scratch_of_runs_that_are_over_goes(settings: Settings) -> None:
    over = [
        folder(settings, path)
        for path in ("nights/2011-09-01/run_1", "ingest/2011-09-01/run_1", "training/2011-09-04/run_1", "train/2011-09-04",
                     "models/4", "models/4-closed_form", "knowledge/0a1b", "adopted/0a1b-2011-09-01", "ingest/2011-09-02/local-999999-ab")
    ]  # fmt: skip
    stay = [
        folder(settings, path)
        for path in ("encoders/multilingual", "benchmark/beauty", f"ingest/2011-09-02/local-{os.getpid()}-ab")
    ]
    stay += [folder(settings, "nights/2011-09-01/run_2", old=False), folder(settings, "models/5")]
    publish(settings, 0, "5")
    said = prune_scratch(settings, dry_run=True)
    assert {step.name for step in said.steps} == {str(place.relative_to(settings.places.work)) for place in over}
    assert {step.bytes for step in said.steps} == {8}
    assert all(place.exists() for place in [*over, *stay])
    assert prune_scratch(settings).steps == said.steps
    assert [place for place in over if place.exists()] == []
    assert all(place.exists() for place in stay)
    assert not (settings.places.work / "ingest" / "2011-09-01").exists()
    assert prune_scratch(settings) == Report(())


def test_a_folder_that_a_process_works_in_stays(settings: Settings) -> None:
    named, opened = folder(settings, "training/2011-09-04/named"), folder(settings, "nights/2011-09-04/opened")
    program = "import sys, time; file = open(sys.argv[2]); print('ready', flush=True); time.sleep(60)"
    words = [sys.executable, "-c", program, str(named.resolve()), os.path.relpath(opened / "file")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert prune_scratch(settings) == Report(())
        process.kill()
    assert prune_scratch(settings).steps[0].count == 1
    assert not named.exists()
    assert not opened.exists()


def test_what_a_killed_sweep_left_is_removed(settings: Settings) -> None:
    folder(settings, ".gone-0a1b", old=False)
    assert [step.name for step in prune_scratch(settings).steps] == [".gone-0a1b"]
    assert list(settings.places.work.iterdir()) == []


@contextmanager
def without_rights() -> Iterator[None]:
    """Be a user whom the rights of files bind; root is bound by none."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_scratch_that_cannot_be_removed_is_told_and_not_counted() -> None:
    with TemporaryDirectory() as home:
        settings = load_settings(home=home)
        stuck, free = folder(settings, "nights/2011-09-01/run_1/inner"), folder(settings, "nights/2011-09-02/run_1")
        os.utime(stuck.parent, (time.time() - OLD,) * 2)
        for path in (Path(home), *Path(home).rglob("*")):
            path.chmod(0o777)
        stuck.chmod(0o555)
        with without_rights():
            report = prune_scratch(settings)
        left = next(settings.places.work.glob(".gone-*"))
        assert [(step.name, step.count, step.bytes) for step in report.steps] == [
            ("nights/2011-09-01/run_1", 0, 0),
            ("nights/2011-09-02/run_1", 1, 8),
        ]
        assert report.failed == (f"{left} could not be removed whole: see who owns it, and run it again.",)
        assert report.summary() == "Done: 1 folders of scratch removed; 8 B freed; 1 steps failed."
        assert not free.exists()
        (left / "inner").chmod(0o777)


def test_caches_of_vectors_are_emptied_only_where_a_size_is_set(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path)
    cache = VectorCache(settings.places.work / "encoder" / "ab.sqlite", 384)
    cache.add([bytes([n % 256, n // 256]) for n in range(1000)], np.ones((1000, 384), np.float32))
    assert prune_scratch(settings) == Report(())
    (step,) = prune_scratch(load_settings(home=tmp_path, keep_vectors_mb=1)).steps
    assert (step.what, step.count) == ("vectors", 1)
    assert cache.get([b"\0\0"]) == {}
    cache.add([b"\0\0"], np.ones((1, 384), np.float32))
    assert cache.file.stat().st_size < 100_000


# --- the whole


def test_a_new_home_has_nothing_to_sweep(settings: Settings) -> None:
    publish(settings, 0)
    publish(settings, 0)
    report = tidy_tables(settings)
    assert {step.what: step.count for step in report.steps if step.count} == {"compact": 2}
    assert prune_scratch(settings) == Report(())


def test_a_table_that_cannot_be_swept_is_told_and_the_others_are_done(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(settings, 0)
    publish(settings, 0)
    (Path(Lake.from_settings(settings).uri("items")) / "_delta_log" / f"{1:020d}.json").write_text("torn")
    report = maintain(settings)
    assert report.failed
    assert {step.name for step in report.steps if step.count} == {"days"}
    assert "failed" in report.summary()


def test_the_report_is_for_people() -> None:
    report = Report((Step("vacuum", "events", 1200, 130_000_000), Step("compact", "days", 2, 999), Step("log", "items", 0, 0)))
    assert report.lines() == [
        "vacuum   events: 1,200 files of old versions removed, 130 MB",
        "compact  days: 2 small files joined, 999 B",
        "Done: 2 small files joined, 1,200 files of old versions removed; 130 MB freed.",
    ]
    assert [size(count) for count in (0, 1500, 999_999, 2 * 10**12)] == ["0 B", "1.5 kB", "1000 kB", "2.0 TB"]


def test_the_command_says_what_it_would_do(settings: Settings) -> None:
    from typer.testing import CliRunner

    from recpipe.cli.command import app

    publish(settings, 0)
    publish(settings, 1)
    done = CliRunner().invoke(app, ["maintain", "--dry-run"], env={"RECPIPE_HOME": str(settings.places.home)})
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1].startswith("Would be done: 2 small files joined;")
    assert len(Lake.from_settings(settings).delta("days").file_uris()) == 2

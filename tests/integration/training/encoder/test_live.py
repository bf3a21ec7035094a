"""Promises of curves while a run learns: lines that grow, an event file that reads back, an MLflow run."""

import json
import struct
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from recpipe.config.settings import load_settings
from recpipe.training.encoder.finetune import finetune
from recpipe.training.encoder.finetune_config import Config
from recpipe.training.encoder.live.encoder_curves import Curves
from recpipe.training.encoder.live.event_file import EventFile, crc32c, record
from recpipe.training.encoder.live.live_run import LiveRun

QUICK = Config(steps=20, temperature=0.1, batch_users=8, windows=3, rank=2)


def table_free_crc32c(data: bytes) -> int:
    """CRC-32C bit by bit, from its definition: the rest of a division by the polynomial 0x1EDC6F41."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= int(f"{byte:08b}"[::-1], 2) << 24
        for _ in range(8):
            value = (value << 1 ^ (0x1EDC6F41 if value >> 31 else 0)) & 0xFFFFFFFF
    return int(f"{value ^ 0xFFFFFFFF:032b}"[::-1], 2)


def unmasked(value: int) -> int:
    turned = (value - 0xA282EAD8) & 0xFFFFFFFF
    return (turned >> 17 | turned << 15) & 0xFFFFFFFF


def fields(data: bytes) -> list[tuple[int, object]]:
    """Read a protocol buffer: (field, value) pairs."""

    def varint(at):
        value = shift = 0
        while True:
            value |= (data[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if data[at - 1] < 0x80:
                return value, at

    at, found = 0, []
    while at < len(data):
        key, at = varint(at)
        if key & 7 == 0:
            value, at = varint(at)
        elif key & 7 == 2:
            length, at = varint(at)
            value, at = data[at : at + length], at + length
        else:
            size, form = (8, "<d") if key & 7 == 1 else (4, "<f")
            (value,), at = struct.unpack(form, data[at : at + size]), at + size
        found.append((key >> 3, value))
    return found


def read_events(file: Path) -> list[tuple[int, dict[str, float]]]:
    """Read an event file with all of its sums checked: (step, scalars) of each record after the first."""
    data, at, found = file.read_bytes(), 0, []
    while at < len(data):
        length, sum_of_length = struct.unpack("<QI", data[at : at + 12])
        body = data[at + 12 : at + 12 + length]
        (sum_of_body,) = struct.unpack("<I", data[at + 12 + length : at + 16 + length])
        assert unmasked(sum_of_length) == table_free_crc32c(data[at : at + 8])
        assert unmasked(sum_of_body) == table_free_crc32c(body)
        found.append(dict(fields(body)))
        at += 16 + length
    assert found[0][3] == b"brain.Event:2"
    assert all(abs(one[1] - time.time()) < 3600 for one in found)
    scalars = [[dict(fields(value)) for _, value in fields(one[5])] for one in found[1:]]
    return [(one[2], {v[1].decode(): v[2] for v in values}) for one, values in zip(found[1:], scalars, strict=True)]


def test_the_sum_is_that_of_the_standard():
    assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4
    assert crc32c(bytes(range(256))) == table_free_crc32c(bytes(range(256)))
    assert len(record(b"abc")) == 8 + 4 + 3 + 4


def test_an_event_file_reads_back(tmp_path):
    file = EventFile(tmp_path)
    file.add(7, {"loss": 0.5, "encoder/ndcg": 0.25})
    assert read_events(next(tmp_path.iterdir())) == [(7, {"encoder/ndcg": 0.25, "loss": 0.5})]  # at once
    file.add(3_000_000, {"loss": -1.5})
    file.close()
    assert read_events(next(tmp_path.iterdir()))[1] == (3_000_000, {"loss": -1.5})
    EventFile(tmp_path).close()
    assert len(list(tmp_path.iterdir())) == 2  # a try of its own never tears another's file


def test_curves_grow_while_a_run_learns(tiny_encoder, shop, tmp_path, monkeypatch):
    from recpipe.training.encoder.updates import encoder_loop

    seen, add = [], encoder_loop.add_gradients

    def watched(lesson, step):
        lines, events = tmp_path / "metrics.jsonl", tmp_path / "events"
        seen.append((len(lines.read_text().splitlines()) if lines.exists() else 0, len(read_events(next(events.iterdir())))))
        return add(lesson, step)

    monkeypatch.setattr(encoder_loop, "add_gradients", watched)
    finetune(shop, str(tiny_encoder), tmp_path, QUICK)
    assert seen == [(0, 0)] * 10 + [(1, 1)] * 10
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    events = read_events(next((tmp_path / "events").iterdir()))
    assert [step for step, _ in events] == [row["step"] for row in rows] == [10, 20]
    assert [scalars["loss"] for _, scalars in events] == pytest.approx([row["loss"] for row in rows])
    assert all(scalars["tokens_per_second"] > 0 for _, scalars in events)
    assert set(rows[0]) == {"step", "loss"}  # paces differ from run to run


def open_run(home: Path) -> tuple[object, str]:
    from recpipe.registry.store import client, experiment_id

    settings = load_settings(home=home)
    store = client(settings)
    return store, store.create_run(experiment_id(store, settings.places)).info.run_id


def test_points_reach_the_mlflow_run_while_it_learns(tiny_encoder, shop, tmp_path, monkeypatch):
    from recpipe.training.encoder.updates import encoder_loop

    monkeypatch.setenv("RECPIPE_HOME", str(tmp_path / "home"))
    store, run = open_run(tmp_path / "home")
    seen, add = [], encoder_loop.add_gradients

    def watched(lesson, step):
        until = time.monotonic() + 60
        while step == 15 and not store.get_metric_history(run, "loss") and time.monotonic() < until:
            time.sleep(0.2)
        seen.append(len(store.get_metric_history(run, "loss")))
        return add(lesson, step)

    monkeypatch.setattr(encoder_loop, "add_gradients", watched)
    finetune(shop, str(tiny_encoder), tmp_path / "out", replace(QUICK, patience=9, window_days=20), live_run=run)
    assert seen[15] == 1  # in the middle of the run
    rows = [json.loads(line) for line in (tmp_path / "out/metrics.jsonl").read_text().splitlines()]
    for name in ("loss", "look_ndcg"):
        points = sorted((point.step, point.value) for point in store.get_metric_history(run, name))
        assert points == [(row["step"], row[name]) for row in rows if name in row]
        assert points


def test_a_server_that_does_not_answer_is_told_once_and_stops_nothing(tiny_encoder, shop, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("RECPIPE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RECPIPE_MLFLOW_URI", "http://127.0.0.1:9")
    finetune(shop, str(tiny_encoder), tmp_path / "live", QUICK, live_run="0" * 32)
    said = capfd.readouterr().out
    assert said.count("learning goes on without it") == 1
    finetune(shop, str(tiny_encoder), tmp_path / "plain", QUICK)
    assert (tmp_path / "live/model.safetensors").read_bytes() == (tmp_path / "plain/model.safetensors").read_bytes()


class Store:
    """A server that is away for its first answers."""

    def __init__(self, away: int) -> None:
        self.away, self.points = away, []

    def log_batch(self, run, metrics):
        self.away -= 1
        if self.away >= 0:
            raise ConnectionError("no answer\nat all")
        self.points += [(point.key, point.value, point.step) for point in metrics]


def test_points_wait_for_a_server_that_comes_back(monkeypatch):
    from recpipe.training.encoder.live import live_run

    monkeypatch.setattr(live_run, "AGAIN_SECONDS", 0.05)
    store, said = Store(away=2), []
    live = LiveRun("r", said.append, lambda: store)
    for step in range(3):
        live.add(step, {"loss": step / 2})
    until = time.monotonic() + 20
    while len(store.points) < 3 and time.monotonic() < until:
        time.sleep(0.02)
    live.add(3, {"loss": 9.0})
    live.close()
    assert store.points == [("loss", 0.0, 0), ("loss", 0.5, 1), ("loss", 1.0, 2), ("loss", 9.0, 3)]
    assert said == ["MLflow does not take the curve of run r (ConnectionError: no answer): learning goes on without it"]


def test_a_server_that_hangs_does_not_hold_the_end_of_a_run():
    let_go, said = threading.Event(), []

    class Hangs:
        def log_batch(self, run, metrics):
            let_go.wait(60)

    live = LiveRun("r", said.append, Hangs)
    live.add(0, {"loss": 1.0})
    began = time.monotonic()
    live.close(seconds=1.0)
    assert time.monotonic() - began < 10
    assert said == ["MLflow took too long: some of the last points are not in its run r"]
    let_go.set()


def test_an_earlier_trys_points_are_in_the_new_event_file(tmp_path):
    rows = [{"step": 10, "loss": 0.5}]
    curves = Curves(tmp_path, rows, "", print)
    curves.add({"step": 20, "loss": 0.25})
    curves.close()
    assert [step for step, _ in read_events(next((tmp_path / "events").iterdir()))] == [10, 20]
    assert [row["step"] for row in rows] == [10, 20]

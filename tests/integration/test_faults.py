"""What the disk, the operating system and libraries raise ends in a sentence that names what it was about, and what to do."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake.exceptions import DeltaError

from recpipe import cli
from recpipe.config.settings import load_settings
from recpipe.errors import BadDelivery, MissingModel, RecpipeError, Trouble, no_space
from recpipe.faults import explained, lacks_rights, sentence_of, told
from recpipe.models.io import read_config
from recpipe.registry.model_folder import read_json
from recpipe.text.cache import VectorCache


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(place)], check=False, capture_output=True)
    if made.returncode:
        pytest.skip("this account may not mount a file system")
    yield place
    subprocess.run(["mount", "-o", "remount,rw", str(place)], check=False, capture_output=True)
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path) -> None:
    with suppress(OSError), (disk / "fill").open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass


def forbid(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


def delta(disk: Path) -> None:
    from deltalake import write_deltalake

    write_deltalake(str(disk / "table"), pa.table({"x": np.random.default_rng(0).random(200_000)}))


def sqlite(disk: Path) -> None:
    with closing(sqlite3.connect(disk / "a.db")) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS t (b BLOB)")
        connection.execute("INSERT INTO t VALUES (zeroblob(1000000))")


def write_ahead(disk: Path) -> None:
    VectorCache(disk / "cache" / "v.sqlite", 50_000).add([bytes([n]) for n in range(9)], np.ones((9, 50_000), np.float32))


def mlflow(disk: Path) -> None:
    from recpipe.registry.store import client

    client(load_settings(home=disk / "home")).search_experiments()


def parquet(disk: Path) -> None:
    pq.write_table(pa.table({"x": np.random.default_rng(0).random(200_000)}), disk / "a.parquet")


def text(disk: Path) -> None:
    (disk / "a.txt").write_text("x" * 1_000_000)


WRITERS = [delta, sqlite, write_ahead, mlflow, parquet, text]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("spoil", [fill, forbid])
def test_a_full_disk_and_a_lost_right_are_recognised_whoever_writes(
    small_disk: Path, write: Callable[[Path], None], spoil: Callable[[Path], None]
) -> None:
    spoil(small_disk)
    with pytest.raises(Exception) as caught:  # of whichever library it is
        write(small_disk)
    error = caught.value
    assert (no_space(error), lacks_rights(error)) == (spoil is fill, spoil is forbid), repr(error)
    said = str(error) if isinstance(error, Trouble) else sentence_of(error)
    assert "no space left" in said if spoil is fill else "right" in said


def test_the_vectors_of_a_full_disk_are_named_with_their_file(small_disk: Path) -> None:
    fill(small_disk)
    with pytest.raises(Trouble, match=r"v\.sqlite.*no space left.*Make room"):
        write_ahead(small_disk)


# --- what is damaged


def test_a_damaged_cache_of_vectors_is_named(tmp_path: Path) -> None:
    file = tmp_path / "v.sqlite"
    file.write_bytes(b"no database at all, and long enough to be taken for one" * 100)
    with pytest.raises(Trouble, match=r"v\.sqlite cannot be read .*not a database.*Remove .*v\.sqlite"):
        VectorCache(file, 4).get([b"a"])


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b'{"parameters": 3}', b"null"])
def test_a_damaged_config_of_a_model_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(RecpipeError, match=r"config\.json .*[Tt]rain"):
        read_config(tmp_path)
    if content != b'{"parameters": 3}':
        with pytest.raises(MissingModel, match=r"config\.json .*train again"):
            read_json(tmp_path / "config.json")


# --- at the edge


def damaged_json() -> None:
    json.loads("{")


def damaged_parquet() -> None:
    Path("a.parquet").write_bytes(b"PAR1 but no more")
    pq.read_table("a.parquet")


def away() -> None:
    raise ConnectionRefusedError(111, "Connection refused")


def missing() -> None:
    Path("nowhere").read_text()


@pytest.mark.parametrize(("fails", "word"), [(damaged_json, "JSONDecodeError"), (damaged_parquet, "ArrowInvalid"), (away, "Connection refused"), (missing, "nowhere")])  # fmt: skip
def test_a_fault_of_a_library_is_a_sentence_and_its_place_is_logged(
    fails: Callable[[], None], word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "app", fails)
    with pytest.raises(SystemExit, match="1"):
        cli.main()
    said = capsys.readouterr().err.splitlines()
    assert len([line for line in said if line.startswith("recpipe: ")]) == 1
    assert word in said[-1]
    assert "then run the same again" in said[-1]
    assert f"in {fails.__name__}" in caplog.text


def test_with_a_key_no_word_of_a_library_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def quotes() -> None:
        pa.array(["anna@shop.example"]).cast(pa.int64())

    monkeypatch.setenv("RECPIPE_USER_KEY", "5f" * 32)
    monkeypatch.setattr(cli, "app", quotes)
    with pytest.raises(SystemExit, match="1"):
        cli.main()
    assert "anna" not in capsys.readouterr().err


@pytest.mark.parametrize("mistake", [KeyError("a"), TypeError("b"), AssertionError("c"), ValueError("d")])
def test_a_mistake_in_the_code_keeps_its_traceback(mistake: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise mistake

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(type(mistake)):
        cli.main()
    with pytest.raises(type(mistake)), told("x", "y"):
        raise mistake


def test_trouble_ends_with_1_and_a_refusal_with_2(tmp_path: Path) -> None:
    env = {key: value for key, value in os.environ.items() if not key.startswith("RECPIPE")} | {"RECPIPE_ENV_FILE": ""}
    words = [sys.executable, "-m", "recpipe.cli", "export-encoder", "--out", "/proc/nowhere/x"]
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("recpipe: It could not go on (FileNotFoundError")


@pytest.mark.parametrize("keep_back", [False, True])
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.EIO, "Input/output error"), Trouble),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), Trouble),
        (DeltaError("Generic S3 error: error sending request"), Trouble),
        (OSError("Couldn't deserialize thrift"), BadDelivery),  # as Arrow says of a damaged file
        (pa.ArrowInvalid("Could not convert"), BadDelivery),
    ],
)
def test_what_fails_beside_a_delivery_is_no_fault_of_it(error: Exception, kind: type[RecpipeError], keep_back: bool) -> None:
    with (
        pytest.raises(RecpipeError, match="The day cannot be taken in") as caught,
        explained("The day cannot be taken in", "Again.", BadDelivery, keep_back=keep_back),
    ):
        raise error
    assert type(caught.value) is kind

"""Of two writers of a day one goes first; a dead one holds nobody up."""

import subprocess
import sys
import threading
import time
from datetime import date, timedelta

import pytest

from recpipe.errors import Trouble
from recpipe.lake.day_claim import claimed

DAY, NEXT = date(2011, 9, 1), date(2011, 9, 2)
AT_ONCE = timedelta(0)


@pytest.fixture(params=["disk", "store"])
def root(request, tmp_path):
    """A lake on a disk, and one that is named as object stores are."""
    return str(tmp_path) if request.param == "disk" else f"file://{tmp_path}"


def test_a_day_that_is_held_is_refused(root):
    with claimed(root, {}, "one", [DAY]):
        second = claimed(root, {}, "two", [NEXT, DAY], AT_ONCE)
        with pytest.raises(Trouble, match="Day 2011-09-01 is being published by another run"), second:
            pass
        with claimed(root, {}, "two", [NEXT], AT_ONCE):
            pass
    with claimed(root, {}, "two", [NEXT, DAY], AT_ONCE):
        pass


def test_a_claim_ends_with_an_error_of_its_holder(root):
    with pytest.raises(ValueError), claimed(root, {}, "one", [DAY]):
        raise ValueError
    with claimed(root, {}, "two", [DAY], AT_ONCE):
        pass


def test_writers_go_one_after_another(root):
    inside, most = [], []

    def write(run: str) -> None:
        with claimed(root, {}, run, [DAY, NEXT]):
            inside.append(run)
            most.append(len(inside))
            time.sleep(0.05)
            inside.remove(run)

    writers = [threading.Thread(target=write, args=(f"run-{n}",)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert most == [1, 1, 1, 1]


def test_a_claim_in_a_store_is_renewed_while_its_holder_lives(tmp_path, monkeypatch):
    root = f"file://{tmp_path}"
    monkeypatch.setattr("recpipe.lake.day_claim.LEASE", timedelta(seconds=2))
    monkeypatch.setattr("recpipe.lake.day_claim.RENEW", timedelta(seconds=0.3))
    second = claimed(root, {}, "two", [DAY], AT_ONCE)
    with claimed(root, {}, "one", [DAY]):
        time.sleep(3)
        with pytest.raises(Trouble, match="is being published by another run"), second:
            pass


def test_a_claim_that_was_lost_is_said(tmp_path, monkeypatch):
    root = f"file://{tmp_path}"
    monkeypatch.setattr("recpipe.lake.day_claim.LEASE", timedelta(0))  # it lapses at once, as that of a process that slept
    first, second = claimed(root, {}, "one", [DAY]), claimed(root, {}, "two", [DAY], AT_ONCE)
    with pytest.raises(Trouble, match="lapsed while they were written"), first, second:
        pass


def test_where_files_cannot_be_locked_the_table_of_claims_is_asked(tmp_path, monkeypatch):
    def no_locks(*given):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("recpipe.lake.day_claim.fcntl.flock", no_locks)
    second = claimed(str(tmp_path), {}, "two", [DAY], AT_ONCE)
    with claimed(str(tmp_path), {}, "one", [DAY]), pytest.raises(Trouble, match="by another run"), second:
        pass


def test_a_holder_that_was_killed_holds_nobody_up(root):
    code = (
        "import os, signal, datetime\nfrom recpipe.lake.day_claim import claimed\n"
        f"with claimed({root!r}, {{}}, 'dead', [datetime.date(2011, 9, 1)]):\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    with claimed(root, {}, "next", [DAY], AT_ONCE):
        pass

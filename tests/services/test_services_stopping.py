"""Nothing that tests started outlives them, not even when they are killed with -9."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
from programs import Program, listens, runs, wait_until

HERE = Path(__file__).parent
START = """
import json, sys, time
sys.path[:0] = [sys.argv[1]]
from pathlib import Path
from stores import start_stores
stores = start_stores(Path(sys.argv[2]))
pids = [process.pid for program in (stores.postgres, stores.redis, stores.s3) for process in program.members()]
print(json.dumps([[stores.postgres_port, stores.redis_port, stores.s3_port], pids]), flush=True)
time.sleep(600)
"""


def test_services_end_with_a_killed_process() -> None:
    folder = Path(tempfile.mkdtemp(prefix="recpipe-services-"))
    folder.chmod(0o755)
    starter = subprocess.Popen([sys.executable, "-c", START, str(HERE), str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert starter.stdout is not None
        ports, pids = json.loads(starter.stdout.readline())
        processes = [psutil.Process(pid) for pid in pids]
        assert all(listens(port) for port in ports)
        assert len(pids) >= 6
    finally:
        starter.kill()
        starter.communicate()
    wait_until("nobody listens any more", lambda: not any(listens(port) for port in ports), seconds=60)
    wait_until("no process is left", lambda: not any(runs(process) for process in processes), seconds=60)
    shutil.rmtree(folder)


def test_a_killed_program_leaves_no_child_and_can_be_started_again(tmp_path: Path) -> None:
    child = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'], process_group=0); time.sleep(99)"
    program = Program("parent", (sys.executable, "-c", child), {}, tmp_path).start()
    wait_until("its child runs", lambda: len(program.members()) == 3, [program])
    killed = program.kill()
    assert not program.alive
    assert len(killed) == 3
    assert not [process for process in killed if runs(process)]
    assert program.start().alive
    program.stop(seconds=0)
    assert program.members() == []

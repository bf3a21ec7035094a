"""Several processes that fine-tune one encoder together; one that ends badly ends all."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from recpipe.errors import RecpipeError, Trouble
from recpipe.printable import say
from recpipe.training.encoder.finetune_config import Config

LOST = 3
"""Exit code of a process that lost the others: it is not the cause."""


def claimed(out: Path, told: Callable[[str], None]) -> AbstractContextManager[None]:
    """Hold a folder, as `recpipe.training.folder_claim.alone` does; where another launcher started this process, its first one does."""
    from recpipe.training.folder_claim import alone

    return nullcontext() if int(os.environ.get("RANK", "0")) else alone(out, told)


def fine_tuned(processes: int, episodes: Path, encoder: str, out: Path, config: Config, live_run: str = "") -> dict[str, Any]:
    """Fine-tune in this process, or with several (`together`)."""
    from recpipe.training.encoder.finetune import finetune

    config.check()
    if processes > 1:
        return together(processes, episodes, encoder, out, config, live_run)
    return finetune(episodes, encoder, out, config, live_run=live_run)


def together(processes: int, episodes: Path, encoder: str, out: Path, config: Config, live_run: str = "") -> dict[str, Any]:
    """Fine-tune with several processes of this machine, and return what ``summary.json`` says.

    They average their gradients, each from its share of the batches (`updates.gradients`), by gloo on CPUs and NCCL on GPUs: one GPU
    a process. None of them outlives this process (``torch.multiprocessing``).

    Raises
    ------
    Trouble
        If a process was killed: the others are stopped, and another try goes on from the checkpoint.
    RecpipeError
        What one of them refused.
    """
    from torch.multiprocessing import get_context

    refusals: Any = get_context("spawn").SimpleQueue()
    run_ranks(processes, _work, (refusals, episodes, encoder, out, config, live_run), refusals)
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return summary


def run_ranks(processes: int, work: Callable[..., None], arguments: Sequence[Any], refusals: Any) -> None:
    """Run a function of (rank, processes, port, *arguments) in each of several processes, until all have ended well.

    Parameters
    ----------
    refusals
        A queue: what `RecpipeError` a process ended with, as class and text.

    Raises
    ------
    Trouble
        If a process ended by a signal, or with an exit code that is none of a refusal.
    RecpipeError
        What stands in the queue.
    """
    from torch.multiprocessing.spawn import spawn

    context: Any = spawn(work, (processes, _free_port(), *arguments), nprocs=processes, join=False)  # type: ignore[no-untyped-call]
    ranks = list(context.processes)
    try:
        while not any(rank.exitcode for rank in ranks) and (alive := [rank.sentinel for rank in ranks if rank.is_alive()]):
            wait(alive)
        bad = _first_bad([rank.exitcode for rank in ranks])
    finally:
        _stop(ranks)
    if not refusals.empty():
        kind, text = refusals.get()
        raise kind(text)
    if bad is not None:
        raise Trouble(_sentence(bad, ranks[bad].exitcode, processes))


def _first_bad(codes: Sequence[int | None]) -> int | None:
    """Return the process that ended badly: one that was killed before one that only lost the others."""
    bad = [(code > 0, rank) for rank, code in enumerate(codes) if code]
    return min(bad)[1] if bad else None


def _sentence(rank: int, code: int, processes: int) -> str:
    ended = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return (
        f"Process {rank} of {processes} (from 0) {ended}, so the others were stopped. Another try goes on from the last checkpoint; "
        f"where memory is short, lower --batch-users and raise --accumulate."
    )


def _stop(ranks: Sequence[Any]) -> None:
    """Stop what still runs; a process that does not end by itself is killed."""
    for rank in ranks:
        if rank.is_alive():
            rank.terminate()
    for rank in ranks:
        rank.join(10)
        if rank.is_alive():
            rank.kill()
            rank.join()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def as_rank(rank: int, processes: int, port: int) -> None:
    """Set what torch and accelerate read to find the other processes."""
    where = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in where.items()}, MASTER_ADDR="127.0.0.1")


def _work(
    rank: int, processes: int, port: int, refusals: Any, episodes: Path, encoder: str, out: Path, config: Config, live_run: str
) -> None:
    """Fine-tune as one of several processes."""
    from recpipe.training.encoder.finetune import finetune

    as_rank(rank, processes, port)
    try:
        finetune(episodes, encoder, out, config, live_run=live_run)
    except RecpipeError as error:
        if rank == 0:  # all of them refuse the same
            refusals.put((type(error), str(error)))
        sys.exit(2)
    except RuntimeError as error:  # torch says so where a process that it waited for is gone
        say(f"process {rank}: {str(error).strip().splitlines()[0][:300]}", sys.stderr)
        sys.exit(LOST)

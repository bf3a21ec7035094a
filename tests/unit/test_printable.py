"""What others wrote can steer no terminal, log, mail or page."""

from __future__ import annotations

import ast
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recpipe import cli
from recpipe.errors import BadDelivery, RecpipeError
from recpipe.notices.notice import Notice
from recpipe.printable import NAME, SENTENCE, ReadableFormatter, cell, named, printable, readable, sentence

STEERING = [
    *map(chr, (0, 7, 8, 0x0B, 0x0D, 0x1B, 0x7F, 0x80, 0x9B, 0x9F)),
    *map(chr, range(0x202A, 0x202F)),
    *map(chr, range(0x2066, 0x206A)),
]
RAW = re.compile("[" + "".join(map(re.escape, STEERING)) + "\ud800-\udfff]")


@pytest.mark.parametrize("sign", STEERING, ids=lambda sign: f"{ord(sign):04x}")
def test_no_steering_sign_is_shown_raw(sign: str) -> None:
    for shown in (
        readable(f"a{sign}b"),
        printable(f"a{sign}b"),
        named(f"a{sign}b"),
        sentence(f"a{sign}b"),
        cell(f"a{sign}b").plain,
    ):
        assert not RAW.search(shown)
        assert shown not in ("ab", "'ab'")  # it is seen that there was something


@given(st.text() | st.text(st.sampled_from([*STEERING, "a", "\n", "\ud800"])))
def test_whatever_the_text_it_can_be_written_and_is_left_alone_where_it_is_harmless(text: str) -> None:
    readable(text).encode()
    assert not RAW.search(readable(text))
    assert "\n" not in printable(text)
    if not re.search(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", text):
        assert printable(text) == text
    assert len(named(text)) <= NAME + 2


def test_words_of_every_script_stay() -> None:
    for text in ("ИГРА — 12 €", "לב לבן", "白いハート", "Ünïcode ‘quoted’", "a\u200db \U0001f469\u200d\U0001f373"):
        assert printable(text) == text


def test_errors_and_notices_are_readable_and_cut() -> None:
    error = BadDelivery("part \x1b[2J\u202e is broken\nin two lines")
    assert str(error) == "part \\x1b[2J\\u202e is broken\nin two lines"
    assert isinstance(error, RecpipeError)
    assert len(str(BadDelivery("x" * 1_000_000))) < SENTENCE + 50
    notice = Notice("failed", "2026-03-01\r\nBcc: x", "what\x07", "todo\x1b", "http://x/\x00")
    assert (notice.day, notice.what) == ("2026-03-01 Bcc: x", "what\\x07")


def test_a_log_line_is_readable_traces_included() -> None:
    record = logging.LogRecord("a", logging.INFO, "x.py", 1, "file %s", ("a\x1b]0;t\x07.parquet",), None)
    assert ReadableFormatter("%(message)s").format(record) == "file a\\x1b]0;t\\x07.parquet"


def test_no_command_prints_past_the_one_way() -> None:
    for file in Path(cli.__file__).parent.glob("*.py"):
        called = [node.func for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
        assert not [one for one in called if isinstance(one, ast.Name) and one.id in ("print", "Text")], file


def test_a_refused_name_is_written_out_by_the_command(tmp_path: Path) -> None:
    env = {key: value for key, value in os.environ.items() if not key.startswith("RECPIPE")} | {"RECPIPE_ENV_FILE": ""}
    words = [sys.executable, "-m", "recpipe.cli", "check-knowledge", "\x1b[31mred\x1b[0m\u202e"]
    done = subprocess.run(words, cwd=tmp_path, env=env | {"PYTHONIOENCODING": "ascii"}, capture_output=True, check=False)
    assert done.returncode == 2
    assert b"\\x1b[31mred" in done.stderr
    assert b"\x1b" not in done.stderr + done.stdout

"""Closed streams, and streams that nobody reads, end a command as they should: without a traceback."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

POLYSEME = f"'{sys.executable}' -m polyseme"
BAD = ("Traceback", "Exception ignored")


def shell(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.skipif(os.name != "posix", reason="a shell of Unix")
@pytest.mark.parametrize("words", ["--help", "embed --help", "list models", "--version"])
def test_a_reader_that_leaves_is_no_failure(words: str) -> None:
    # the reader is gone before anything is written
    done = shell(f"{POLYSEME} {words} | exec 0<&-; echo ${{PIPESTATUS[0]}}")
    assert done.stdout.strip() == "0", done.stderr
    assert not any(bad in done.stderr for bad in BAD)


@pytest.mark.skipif(os.name != "posix", reason="a shell of Unix")
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("list models >&-", 0),
        ("list models 2>&-", 0),
        ("list models <&-", 0),
        ("list models <&- >&- 2>&-", 0),
        ("--help >&-", 0),
        ("inspect nowhere >&-", 2),
        ("inspect nowhere 2>&-", 2),
        ("predict nowhere - <&-", 2),
    ],
)
def test_closed_streams_end_without_a_traceback(line: str, code: int) -> None:
    done = shell(f"{POLYSEME} {line}; echo code $? >&2")
    assert f"code {code}" in done.stderr
    assert not any(bad in done.stdout + done.stderr for bad in BAD)


def test_the_results_stay_on_stdout_where_stderr_is_closed() -> None:
    assert "bert" in shell(f"{POLYSEME} list models 2>&-").stdout


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_is_said_once() -> None:
    done = shell(f"{POLYSEME} list models >/dev/full; echo code $?")
    assert "code 1" in done.stdout
    assert "the system refused" in done.stderr
    assert not any(bad in done.stderr for bad in BAD)

"""Signals at any time: nothing half is left that makes the same command be refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import forked
from adapting import start_run, write_examples
from polyseme.cli import main

from .conftest import tiny

PRELOAD = """
import os, signal, sys, threading, time
from pathlib import Path
ME = os.getpid()
def send(*numbers):
    for number in numbers:
        os.kill(ME, getattr(signal, number))
"""
# What happens in the process before it is a command: `at` names the moment.
MOMENTS = {
    "importing": """
import builtins
real = builtins.__import__
def tell(name, *rest, **named):
    if name == "torch" and not hasattr(builtins, "told"):
        builtins.told = True
        send(*NUMBERS)
    return real(name, *rest, **named)
builtins.__import__ = tell
""",
    "tokenizing": """
import polyseme.data.prepare as module
real = module.encode_batches
def tell(*rest, **named):
    send(*NUMBERS)
    yield from real(*rest, **named)
module.encode_batches = tell
""",
    "building": """
import polyseme.train.pretrain as module
real = module.build_encoder
def tell(*rest, **named):
    send(*NUMBERS)
    return real(*rest, **named)
module.build_encoder = tell
""",
    "encoding examples": """
import polyseme.train.finetune as module
real = module._build
def tell(*rest, **named):
    send(*NUMBERS)
    return real(*rest, **named)
module._build = tell
""",
}


def run(words: list[str], at: str = "", *numbers: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, which gets signals at a moment."""
    moment = f"NUMBERS = {numbers!r}\n{MOMENTS[at]}" if at else ""
    code = f"{before}{PRELOAD}{moment}"
    if at != "importing":
        return forked.run(words, code)
    code += "from polyseme.cli import main\nsys.exit(main(sys.argv[1:]))"
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)


def pretrain(corpus: Path, output: Path, *more: str) -> list[str]:
    return [
        "pretrain",
        "bert",
        str(corpus),
        "-o",
        str(output),
        "--steps",
        "1",
        "--threads",
        "1",
        *tiny(),
        *more,
    ]


@pytest.mark.parametrize("at", ["importing", "tokenizing"])
def test_save_and_go_on_is_harmless_before_training(corpus: Path, tmp_path: Path, at: str) -> None:
    result = run(pretrain(corpus, tmp_path / "run"), at, "SIGUSR1", "SIGUSR1")
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "run" / "run.json").read_bytes())["status"] == "finished"


@pytest.mark.parametrize(
    ("at", "numbers"),
    [
        ("importing", ["SIGTERM"]),
        ("tokenizing", ["SIGTERM", "SIGTERM"]),  # schedulers send it twice
        ("building", ["SIGINT"]),
    ],
)
def test_a_request_to_stop_before_training_leaves_nothing_that_is_refused(
    corpus: Path, tmp_path: Path, at: str, numbers: list[str]
) -> None:
    output = tmp_path / "run"
    result = run(pretrain(corpus, output), at, *numbers)
    assert result.returncode == 130, result.stderr
    assert "the same command" in result.stderr
    assert "Traceback" not in result.stderr
    # a store that is whole is worth keeping; half a one is gone
    assert (output / "store").is_dir() == (at == "building")
    assert output.exists() == (at == "building")
    assert main(pretrain(corpus, output)) == 0


def test_the_other_verbs_end_the_same_way(corpus: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    prepare = ["prepare", str(corpus), "-o", str(store), "--set", "text.valid_share=0.15", "--workers", "2"]
    heard = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # also where the tests run under nohup
    result = run(prepare, "tokenizing", "SIGHUP", before=heard)
    assert (result.returncode, list(tmp_path.iterdir())) == (130, []), result.stderr
    assert "the same command again" in result.stderr
    assert main(prepare) == 0

    start = start_run(tmp_path / "bert", max_position_embeddings=64)
    examples = write_examples(tmp_path / "train", "tag", 20)
    finetune = ["finetune", "tag", str(start), "--train", str(examples), "-o", str(tmp_path / "task")]
    finetune += ["--epochs", "1", "--threads", "1"]
    for more in ([], ["--seeds", "2"]):
        result = run([*finetune, *more], "encoding examples", "SIGTERM")
        assert result.returncode == 130, result.stderr
        assert "--resume" in result.stderr
    assert main([*finetune, "--resume"]) == 0


def test_nohup_stays_in_force(corpus: Path, tmp_path: Path) -> None:
    ignored = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    result = run(pretrain(corpus, tmp_path / "run"), "building", "SIGHUP", before=ignored)
    assert result.returncode == 0, result.stderr


@pytest.fixture
def begun(corpus: Path, tmp_path: Path) -> Path:
    """What kill -9 leaves before the first save."""
    output = tmp_path / "run"
    result = run(pretrain(corpus, output), "building", "SIGKILL")
    assert result.returncode == -signal.SIGKILL
    assert json.loads((output / "run.json").read_bytes())["status"] == "preparing"
    return output


def test_what_a_killed_process_left_before_its_first_save_is_gone_on_with(
    corpus: Path, begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = (begun / "store" / "store.json").stat().st_mtime_ns
    assert main(pretrain(corpus, begun)) == 0
    assert "going on with what an interrupted command prepared" in capsys.readouterr().err
    assert (begun / "store" / "store.json").stat().st_mtime_ns == store
    assert main(pretrain(corpus, begun)) == 2  # now it is a run
    assert "another run" in capsys.readouterr().err


def test_another_command_begins_anew_there_and_a_live_one_is_left_alone(
    corpus: Path, begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import fcntl

    with (begun / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for more in ([], ["--seed", "2"], ["--resume"]):
            assert main(pretrain(corpus, begun, *more)) == 2
            assert "another process is training this run" in capsys.readouterr().err
    assert main(pretrain(corpus, begun, "--seed", "2")) == 0
    assert "begun anew" in capsys.readouterr().err
    assert json.loads((begun / "run.json").read_bytes())["asked"]["seed"] == 2


def test_to_resume_where_nothing_is_begins(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("absent", "empty"):
        assert main(pretrain(corpus, tmp_path / name, "--resume")) == 0
        assert "nothing to go on with yet: begun anew" in capsys.readouterr().err
        assert main(pretrain(corpus, tmp_path / name, "--resume")) == 0
        assert "going on from step 1" in capsys.readouterr().err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear", "utf-8")
    assert main(pretrain(corpus, tmp_path / "mine", "--resume")) == 2
    assert "not a run" in capsys.readouterr().err
    assert (tmp_path / "mine" / "letter.txt").is_file()


def test_nobody_watching_ends_no_training(corpus: Path, tmp_path: Path) -> None:
    """`… 2>&1 | head -1`, a closed terminal, and a start without any of the three streams."""
    read, write = os.pipe()
    os.close(read)
    words = [sys.executable, "-m", "polyseme"]
    for number, streams in enumerate(({"stdout": write, "stderr": write}, {})):
        output = tmp_path / str(number)
        command = [*words, *pretrain(corpus, output)]
        if not streams:
            command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command]
        subprocess.run(command, check=False, stdin=subprocess.DEVNULL, **streams)  # type: ignore[call-overload]
        meta = json.loads((output / "run.json").read_bytes())
        assert meta["status"] == "finished", streams
        assert (output / "README.md").is_file()
    os.close(write)


def test_workers_leave_signals_to_the_process_that_they_work_for() -> None:
    """Slurm sends to every process of a job."""
    from polyseme.data.workers import _signals_held

    with _signals_held():
        worker = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
        )
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        worker.send_signal(number)
    time.sleep(0.2)
    assert worker.poll() is None
    assert worker.stdin
    worker.stdin.close()
    assert worker.wait(30) == 0
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])

"""Several ranks as a person starts them: `torchrun --nproc_per_node 2 $(which polyseme) pretrain …`."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from polyseme.cli import main

from .conftest import tiny

LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
OF_TORCHRUN = re.compile(r"^[WE]\d{4} |^\*{5}|^Setting OMP|^$")


@pytest.fixture(scope="module")
def store(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus, prepared: what is looked at here comes after that."""
    folder = tmp_path_factory.mktemp("stores") / "store"
    settings = ["--set", "text.valid_share=0.15", "--vocab-size", "700"]
    assert main(["prepare", str(corpus), "-o", str(folder), *settings]) == 0
    return folder


def launched(*words: object, ranks: int = 2, restarts: int = 0, patience: int = 20) -> subprocess.Popen[str]:
    """Start polyseme under torchrun, from its script as it is installed."""
    script = Path(sys.executable).with_name("polyseme")
    start = [str(script)] if script.exists() else ["-m", "polyseme"]
    return subprocess.Popen(
        [*LAUNCH, str(ranks), "--max-restarts", str(restarts), *start, *map(str, words)],
        env=os.environ | {"POLYSEME_RANK_TIMEOUT": str(patience)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def pretrain(corpus: Path, run: Path, *more: object, steps: int = 4) -> list[object]:
    options = tiny(hidden_size=16, intermediate_size=16, num_hidden_layers=1)
    return ["pretrain", "bert", corpus, "-o", run, "--steps", steps, "--threads", 1, *options, *more]


def ours(errors: str) -> list[str]:
    """The lines that polyseme wrote, without what torchrun says of a process that failed."""
    head = errors.partition("Traceback (most recent call last)")[0]
    return [line for line in head.split("\n") if not OF_TORCHRUN.match(line)]


def pid_of(launcher: subprocess.Popen[str], rank: int) -> int:
    for entry in Path("/proc").iterdir():
        try:
            status = (entry / "status").read_text("utf-8")
            environment = (entry / "environ").read_bytes().split(b"\0")
        except (OSError, ValueError):
            continue
        if f"PPid:\t{launcher.pid}\n" in status and b"RANK=%d" % rank in environment:
            return int(entry.name)
    raise AssertionError("no such rank")


def losses(run: Path) -> dict[int, float]:
    """The loss of each update, from the file that the run writes."""
    lines = map(json.loads, (run / "metrics.jsonl").read_text("utf-8").splitlines())
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


@pytest.mark.slow
def test_two_ranks_of_which_one_is_killed_and_three_that_go_on_do_what_one_does(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One display and one document; where the system tells which process is a rank, rank 0 is killed once."""
    run, interrupted, alone = tmp_path / "run", tmp_path / "interrupted", tmp_path / "alone"
    kills = Path("/proc/self/environ").exists()
    often = ["--set", "train.save_minutes=1e-6"]
    process = launched(*pretrain(store, run, "--json", *often, steps=10), restarts=1, patience=8)
    deadline = time.monotonic() + 200
    while kills and not list((run / "resume").glob("step-*")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    if kills:
        os.kill(pid_of(process, 0), signal.SIGKILL)
        shutil.copytree(run, interrupted)
    output, errors = process.communicate(timeout=250)
    assert process.returncode == 0, errors
    assert ("going on from step" in errors) == kills
    assert json.loads(output)["steps"] == 10  # one document: one rank wrote it
    lines = [line for line in errors.split("\n") if not OF_TORCHRUN.match(line)]
    assert sum("training …" in line for line in lines) == 1 + kills  # one of the two ranks, started again
    assert sum(line.startswith("wrote:") for line in lines) == 1
    meta = json.loads((run / "run.json").read_bytes())
    assert (meta["status"], meta["results"]["steps"]) == ("finished", 10)
    assert (meta["ranks"], "ranks" in meta["asked"]) == (2, False)
    assert (run / "README.md").is_file()

    # updates are those of one process, and so are those of three that go on from what was left
    assert main([*map(str, pretrain(store, alone, *often, steps=10))]) == 0
    assert losses(run) == pytest.approx(losses(alone), rel=2e-5)
    if kills:
        process = launched(
            *pretrain(store, interrupted, *often, "--resume", "--parallel", "fsdp", steps=10), ranks=3
        )
        _, errors = process.communicate(timeout=250)
        assert process.returncode == 0, errors
        assert "trained by 2 processes so far, by 3 from here on" in errors
        assert losses(interrupted) == pytest.approx(losses(alone), rel=2e-5)
        kinds = {path.suffix for path in interrupted.rglob("*") if path.is_file() and path.name != ".lock"}
        assert kinds <= {".json", ".jsonl", ".safetensors", ".md"}, "nothing is pickled"

    # a run of two ranks goes on with one
    state = sorted((run / "resume").glob("step-*"))[-1]
    assert json.loads((state / "state.json").read_bytes())["counters"]["row"] == 10 * 8
    capsys.readouterr()
    again = main([*map(str, pretrain(store, run, *often, "--resume", steps=10))])
    said = capsys.readouterr().err
    assert again == 0, said
    assert "going on from step 10" in said
    assert "trained by 2 processes so far, by 1 from here on" in said


def test_an_error_is_shown_once(tmp_path: Path) -> None:
    """Rank 0 meets it while the other waits for the text: no traceback of a broken connection."""
    text = "".join(f"line number {n} of a file that was cut off\n" for n in range(2000))
    (tmp_path / "cut.txt.gz").write_bytes(gzip.compress(text.encode())[:-100])
    process = launched(*pretrain(tmp_path / "cut.txt.gz", tmp_path / "run"))
    _, errors = process.communicate(timeout=200)
    lines = ours(errors)
    shown = [line for line in lines if line.startswith("error") or "gloo" in line]
    assert len(shown) == 1, errors
    assert "compressed" in shown[0]
    assert not (tmp_path / "run").exists()

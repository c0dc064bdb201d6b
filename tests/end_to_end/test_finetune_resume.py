"""A fine-tune that is killed or stopped goes on to exactly the weights of an undisturbed one."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from adapting import start_run, write_examples
from forked import Forked
from polyseme.cli import main

EPOCHS = 20
SETTINGS = ("train.precision=float32", "hidden_dropout_prob=0.1")


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return start_run(tmp_path_factory.mktemp("start") / "bert", max_position_embeddings=64)


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_examples(tmp_path_factory.mktemp("files") / "train", "tag", 60)


def words(start: Path, train: Path, run: Path, *more: str, epochs: int = EPOCHS) -> list[str]:
    settings = [part for setting in (*SETTINGS, *more) if "=" in setting for part in ("--set", setting)]
    options = [option for option in more if "=" not in option]
    return [
        *("finetune", "tag", str(start), "--train", str(train), "-o", str(run)),
        *("--epochs", str(epochs), "--batch-size", "8", "--threads", "1", *settings, *options),
    ]


def steps(run: Path) -> list[tuple[int, float]]:
    file = run / "metrics.jsonl"
    lines = file.read_bytes().split(b"\n")[:-1] if file.exists() else []
    records = [json.loads(line) for line in lines]
    return [(r["step"], r.get("loss", r.get("heldout_loss"))) for r in records]


def wait_for(run: Path, process: Forked, step: int) -> None:
    deadline = time.monotonic() + 120
    while len(steps(run)) < step or not list((run / "resume").glob("step-*")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)


def files(run: Path) -> dict[str, bytes]:
    last = max((run / "resume").glob("step-*"))
    names = ["model.safetensors", "heads/tag.safetensors", "tokenizer.json"]
    return {n: (run / n).read_bytes() for n in names} | {
        "moments": (last / "tensors.safetensors").read_bytes()
    }


@pytest.mark.slow
@pytest.mark.parametrize("way", [("tag.crf=true",), ("--feature-based", "tag.lstm=8")])
def test_killed_and_stopped_runs_end_bit_equal(
    start: Path, train: Path, tmp_path: Path, way: tuple[str, ...]
) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    frozen = "--feature-based" in way  # killed only; the others are stopped by a signal too
    way = (*way, "train.save_minutes=0.002", "train.evaluations=8")
    assert main(words(start, train, straight, *way)) == 0

    process = Forked(words(start, train, killed, *way))
    wait_for(killed, process, 30)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert json.loads((killed / "run.json").read_bytes())["status"] == "training"
    assert list((killed / "resume").glob("step-*"))

    if not frozen:
        process = Forked(words(start, train, killed, *way, "--resume"))
        wait_for(killed, process, 60)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        meta = json.loads((killed / "run.json").read_bytes())
        if process.returncode != 0:  # it may have been quicker than the signal
            assert process.returncode == 130, errors
            assert "--resume" in errors
            assert meta["status"] == "stopped"
            assert 30 <= meta["results"]["steps"] < steps(straight)[-1][0]

    assert main(words(start, train, killed, *way, "--resume")) == 0
    assert files(killed) == files(straight)
    assert steps(killed) == steps(straight)
    results = [json.loads((run / "run.json").read_bytes())["results"] for run in (killed, straight)]
    assert results[0]["dev"] == results[1]["dev"]
    assert results[0].get("mix") == results[1].get("mix")


def test_another_request_is_not_resumed(
    start: Path, train: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, file = tmp_path / "run", tmp_path / "train.conll"
    file.write_bytes(train.read_bytes())
    few = ("--set", "train.evaluations=1")
    assert main([*words(start, file, run, epochs=1), *few]) == 0
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    for change, says in (
        (["--seed", "2"], "seed"),
        (["--examples", "20"], "examples"),
        (["--learning-rate", "1"], "train.learning_rate"),
        (["--feature-based"], "train."),
        (["--set", "tag.crf=true"], "tag.crf"),
        (["--from-scratch"], "start"),
    ):
        capsys.readouterr()
        assert main([*words(start, file, run, epochs=1), *few, *change, "--resume"]) == 2, change
        assert f"another {says}" in capsys.readouterr().err.replace("recipe.", "")
    file.write_bytes(train.read_bytes() + b"\nriver\tB-N\n\n")
    assert main([*words(start, file, run, epochs=1), *few, "--resume"]) == 2
    assert "another train" in capsys.readouterr().err
    assert main([*words(start, file, run, epochs=1), *few]) == 2
    assert "another run" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before
    file.write_bytes(train.read_bytes())
    assert main([*words(start, file, run, epochs=1), *few, "--resume"]) == 0


def test_pretrained_runs_and_resume_do_not_mix(
    start: Path, train: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(start, train, start, "--resume")) == 2
    assert "not a run that finetune began" in capsys.readouterr().err

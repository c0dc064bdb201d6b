"""Killed at any moment, saves included, a run goes on to exactly the weights of an undisturbed one.

POLYSEME_KILLS sets how many kills are tried (20 for the full check; a few by default).
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

import forked
from forked import Forked

KILLS = int(os.environ.get("POLYSEME_KILLS", "3"))
STEPS = 24
SETTINGS = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 96,
    "tokenizer.vocab_size": 1024,
    "data.sequence_length": 64,
    "train.precision": "float32",
    "train.save_minutes": 1e-6,  # after every update
    "train.heldout_tokens": 2048,
    "masked_lm.final_rate": 0.3,  # a schedule that looks ahead
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentences with some structure, from a seed."""
    words = [
        f"{a}{b}"
        for a in ("ba", "ko", "mi", "tu", "re", "sal", "nor")
        for b in ("ran", "lek", "pim", "dos", "ter")
    ]
    generator = random.Random(1)
    folder = tmp_path_factory.mktemp("corpus")
    for number in range(40):
        lines = [" ".join(generator.choices(words, k=12)) + "." for _ in range(60)]
        (folder / f"{number:02d}.txt").write_text("\n".join(lines), "utf-8")
    return folder


def command(corpus: Path, run: Path, *more: str) -> list[str]:
    settings = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]
    return [
        *("pretrain", "bert", str(corpus), "-o", str(run)),
        *("--steps", str(STEPS), "--threads", "1", *settings, *more),
    ]


def files(run: Path) -> dict[str, bytes]:
    names = [
        "model.safetensors",
        "heads/masked_lm.safetensors",
        "heads/next_sentence.safetensors",
        "tokenizer.json",
    ]
    last = sorted((run / "resume").glob("step-*"))[-1]
    return {name: (run / name).read_bytes() for name in names} | {
        "moments": (last / "tensors.safetensors").read_bytes()
    }


def losses(run: Path) -> list[tuple[int, float]]:
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_bytes().split(b"\n") if line]
    return [(r["step"], r.get("loss", r.get("heldout_loss"))) for r in records]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_runs_end_bit_equal(corpus: Path, tmp_path: Path) -> None:
    straight = tmp_path / "straight"
    started = time.monotonic()
    assert forked.run(command(corpus, straight)).returncode == 0
    whole = time.monotonic() - started
    expected = files(straight)

    generator = random.Random(os.environ.get("POLYSEME_KILL_SEED", "7"))
    killed = tmp_path / "killed"
    kills = mid_save = attempts = 0
    while kills < KILLS and attempts < 4 * KILLS:
        attempts += 1
        more = ["--resume"] if (killed / "run.json").exists() else []
        if not more and killed.exists():  # killed before the run existed: nothing to go on with
            assert not [p for p in killed.iterdir() if not p.name.startswith(".")]
        process = Forked(command(corpus, killed, *more))
        try:
            _, errors = process.communicate(timeout=generator.uniform(0.2, 1.05) * whole)
            assert process.returncode == 0, errors
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
            mid_save += bool(list((killed / "resume").glob(".*.partial")) + list(killed.glob(".*.partial")))
            continue
        assert files(killed) == expected
        for path in sorted(killed.rglob("*"), reverse=True):  # finished before the kill: start anew
            path.unlink() if path.is_file() else path.rmdir()
        killed.rmdir()
    more = ["--resume"] if (killed / "run.json").exists() else []
    last = forked.run(command(corpus, killed, *more))
    assert last.returncode == 0, last.stderr
    assert kills == KILLS
    assert files(killed) == expected
    assert losses(killed) == losses(straight)
    print(f"{kills} kills, {mid_save} of them left a save unfinished; all bit-equal")


@pytest.mark.slow
def test_stopped_by_a_signal_everything_is_saved(corpus: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = Forked(command(corpus, run, "--set", "train.save_minutes=60"))
    deadline = time.monotonic() + 120
    while not (run / "metrics.jsonl").exists() or len(losses(run)) < 4:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in errors
    meta = json.loads((run / "run.json").read_bytes())
    assert meta["status"] == "stopped"
    assert meta["results"]["steps"] >= 2
    assert sorted((run / "resume").glob("step-*"))

"""A model, an objective and a task that a third party registers by entry point work as ours do, in every verb."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

PLUGINS = Path(__file__).with_name("plugins")


CHILD = """
import contextlib, io, json, sys
from polyseme.cli import main
for line in sys.stdin:
    streams = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
        code = main(json.loads(line))
    print(json.dumps([code, *(stream.getvalue() for stream in streams)]), flush=True)
"""


class Said(NamedTuple):
    """What a command printed."""

    stdout: str
    stderr: str


class Typed:
    """Commands as a user types them who has installed the package: its folder is found, as site-packages is.

    One process for all of them, as each new one would import torch again; ours must not see the package.
    """

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(path), *sys.path])},
        )

    def __call__(self, *words: object, code: int = 0) -> Said:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([*map(str, words)]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process ended"
        status, *said = json.loads(line)
        assert status == code, said[1]
        return Said(*said)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


@pytest.fixture(scope="module")
def typed() -> Iterator[Typed]:
    typed = Typed(PLUGINS)
    yield typed
    typed.close()


@pytest.fixture(scope="module")
def mixer(typed: Typed, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("third") / "mixer"
    sizes = ("--set", "tokenizer.vocab_size=700", "--set", "data.sequence_length=48")
    typed("pretrain", "mixer", corpus, "-o", run, "--steps", 6, *sizes, "--set", "cloze.every=5")
    return run


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("labelled") / "mood.tsv"
    lines = [
        f"{text} {n}\t{label}"
        for n in range(12)
        for text, label in (("good fine", "up"), ("bad sad", "down"))
    ]
    file.write_text("text\tlabel\n" + "\n".join(lines) + "\n", "utf-8")
    return file


@pytest.fixture(scope="module")
def mood(typed: Typed, mixer: Path, labelled: Path) -> Path:
    run = mixer.with_name("mood")
    typed("finetune", "mood", mixer, "--train", labelled, "--dev", labelled, "-o", run, "--epochs", 1)
    return run


def test_they_are_listed(typed: Typed) -> None:
    assert "Mixer: every token" in typed("list", "models").stdout
    assert "cloze" in typed("list", "objectives").stdout
    assert "mood" in typed("list", "tasks").stdout


def test_a_masked_model_of_theirs_fills_and_scores(typed: Typed, mixer: Path, tmp_path: Path) -> None:
    (mask,) = json.loads(typed("fill", mixer, "The [MASK] statement.", "--top", 3, "--json").stdout)
    assert len(mask["candidates"]) == 3
    (tmp_path / "lines.txt").write_text("The statement.\nA class is an object.\n", "utf-8")
    assert "pseudo-log-likelihood" in typed("score", mixer, tmp_path / "lines.txt").stderr
    assert "fill" in typed("inspect", mixer).stdout + (mixer / "README.md").read_text("utf-8")


def test_their_head_cannot_compare_a_context(typed: Typed, mixer: Path) -> None:
    said = typed("neighbours", mixer, "class", "--context", "A class is an object.", code=2).stderr
    assert "no vectors to compare a context with" in said


def test_what_their_objective_hides_is_shown(typed: Typed, mixer: Path) -> None:
    (line,) = json.loads(typed("mask", mixer, "The statement is an object of a class.", "--json").stdout)[
        "lines"
    ]
    assert (line["model"], line["stage"]) == ("mixer", "cloze")
    assert line["hidden"] == sum(len(unit["shown"]) for unit in line["units"]) > 0
    assert line["masked"].count("[MASK]") == line["hidden"]


def test_their_model_embeds(typed: Typed, mixer: Path, tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("The statement.\nA class is an object.\n", "utf-8")
    typed("embed", mixer, tmp_path / "lines.txt", "-o", tmp_path / "vectors.npy")
    assert np.load(tmp_path / "vectors.npy").shape == (2, 24)


def test_their_task_is_judged(typed: Typed, mood: Path, labelled: Path) -> None:
    found = json.loads(typed("evaluate", mood, labelled, "--json").stdout)
    assert "accuracy" in json.dumps(found)
    assert len(typed("predict", mood, labelled).stdout.splitlines()) >= 24


@pytest.mark.parametrize("format", ["huggingface", "sentence-transformers"])
def test_what_other_programs_do_not_know_is_refused_with_a_hint(
    typed: Typed, mixer: Path, format: str, tmp_path: Path
) -> None:
    said = typed("export", mixer, format, tmp_path / "out", code=2).stderr
    assert "transformers has no architecture for mixer" in said
    assert "try: " in said
    assert not (tmp_path / "out").exists()


def test_their_model_objective_and_task_go_to_onnx(
    typed: Typed, mixer: Path, mood: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    for run in (mixer, mood):
        said = typed("export", run, "onnx", tmp_path / run.name)
        assert "outputs: last_hidden_state, logits" in said.stdout + said.stderr
        assert (tmp_path / run.name / "model.onnx").is_file()


def test_their_task_on_a_model_of_ours_is_refused_too(
    typed: Typed, run: Path, labelled: Path, tmp_path: Path
) -> None:
    output = tmp_path / "mood"
    typed("finetune", "mood", run, "--train", labelled, "--dev", labelled, "-o", output, "--epochs", 1)
    said = typed("export", output, "huggingface", tmp_path / "out", code=2).stderr
    assert "transformers has no class for the task mood" in said
    assert not (tmp_path / "out").exists()

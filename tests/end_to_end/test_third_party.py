"""A model, an objective and a task that a third party registers by entry point work as ours do, in every verb."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PLUGINS = Path(__file__).with_name("plugins")


def typed(*words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """A command as a user types it who has installed the package (its folder is found, as site-packages is)."""
    path = os.pathsep.join([str(PLUGINS), *sys.path])
    done = subprocess.run(
        [sys.executable, "-m", "polyseme", *map(str, words)],
        capture_output=True,
        check=False,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture(scope="module")
def mixer(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
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
def mood(mixer: Path, labelled: Path) -> Path:
    run = mixer.with_name("mood")
    typed("finetune", "mood", mixer, "--train", labelled, "--dev", labelled, "-o", run, "--epochs", 1)
    return run


def test_they_are_listed() -> None:
    assert "Mixer: every token" in typed("list", "models").stdout
    assert "cloze" in typed("list", "objectives").stdout
    assert "mood" in typed("list", "tasks").stdout


def test_a_masked_model_of_theirs_fills_and_scores(mixer: Path, tmp_path: Path) -> None:
    (mask,) = json.loads(typed("fill", mixer, "The [MASK] statement.", "--top", 3, "--json").stdout)
    assert len(mask["candidates"]) == 3
    (tmp_path / "lines.txt").write_text("The statement.\nA class is an object.\n", "utf-8")
    assert "pseudo-log-likelihood" in typed("score", mixer, tmp_path / "lines.txt").stderr
    assert "fill" in typed("inspect", mixer).stdout + (mixer / "README.md").read_text("utf-8")


def test_their_head_cannot_compare_a_context(mixer: Path) -> None:
    said = typed("neighbours", mixer, "class", "--context", "A class is an object.", code=2).stderr
    assert "no vectors to compare a context with" in said


def test_what_their_objective_hides_is_shown(mixer: Path) -> None:
    (line,) = json.loads(typed("mask", mixer, "The statement is an object of a class.", "--json").stdout)[
        "lines"
    ]
    assert (line["model"], line["stage"]) == ("mixer", "cloze")
    assert line["hidden"] == sum(len(unit["shown"]) for unit in line["units"]) > 0
    assert line["masked"].count("[MASK]") == line["hidden"]


def test_their_model_embeds(mixer: Path, tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("The statement.\nA class is an object.\n", "utf-8")
    typed("embed", mixer, tmp_path / "lines.txt", "-o", tmp_path / "vectors.npy")
    assert np.load(tmp_path / "vectors.npy").shape == (2, 24)


def test_their_task_is_judged(mood: Path, labelled: Path) -> None:
    found = json.loads(typed("evaluate", mood, labelled, "--json").stdout)
    assert "accuracy" in json.dumps(found)
    assert len(typed("predict", mood, labelled).stdout.splitlines()) >= 24


@pytest.mark.parametrize("format", ["huggingface", "sentence-transformers"])
def test_what_other_programs_do_not_know_is_refused_with_a_hint(
    mixer: Path, format: str, tmp_path: Path
) -> None:
    said = typed("export", mixer, format, tmp_path / "out", code=2).stderr
    assert "transformers has no architecture for mixer" in said
    assert "try: " in said
    assert not (tmp_path / "out").exists()


def test_their_model_objective_and_task_go_to_onnx(mixer: Path, mood: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    for run in (mixer, mood):
        said = typed("export", run, "onnx", tmp_path / run.name)
        assert "outputs: last_hidden_state, logits" in said.stdout + said.stderr
        assert (tmp_path / run.name / "model.onnx").is_file()


def test_their_task_on_a_model_of_ours_is_refused_too(run: Path, labelled: Path, tmp_path: Path) -> None:
    typed(
        "finetune",
        "mood",
        run,
        "--train",
        labelled,
        "--dev",
        labelled,
        "-o",
        tmp_path / "mood",
        "--epochs",
        1,
    )
    said = typed("export", tmp_path / "mood", "huggingface", tmp_path / "out", code=2).stderr
    assert "transformers has no class for the task mood" in said
    assert not (tmp_path / "out").exists()

"""Zero-shot use, as a user types it: models of a small world answer what they have read about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polyseme.cli import main

from .conftest import tiny

COLD, HOT = ["ice", "snow", "winter", "frost"], ["fire", "summer", "steam", "lava"]
OTHERS = ["old", "new", "big", "near", "here", "there"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts in which some things are cold and others hot."""
    folder = tmp_path_factory.mktemp("world")
    random = np.random.default_rng(0)
    for number in range(60):
        lines = []
        for _ in range(60):
            word, how = random.choice([(w, h) for group, h in ((COLD, "cold"), (HOT, "hot")) for w in group])
            lines.append(f"the {random.choice(OTHERS)} {word} {how} .")
        (folder / f"{number:02}.txt").write_text("\n".join(lines), "utf-8")
    return folder


def trained(model: str, world: Path, folder: Path, steps: int) -> Path:
    options = tiny(**{"tokenizer.kind": "words", "tokenizer.vocab_size": 40, "train.learning_rate": 5e-3})
    words = ["pretrain", model, str(world), "-o", str(folder), "--steps", str(steps)]
    assert main([*words, "--set", "text.documents=line", *options]) == 0
    return folder


@pytest.fixture(scope="module")
def decoder(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained("gpt", world, tmp_path_factory.mktemp("runs") / "gpt", 120)


@pytest.fixture(scope="module")
def masked(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained("modernbert", world, tmp_path_factory.mktemp("runs") / "modernbert", 400)


def document(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    capsys.readouterr()
    assert main([str(word) for word in words]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("model", ["decoder", "masked"])
@pytest.mark.parametrize("normalize", ["sum", "mean", "pmi"])
def test_choices(
    model: str,
    normalize: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = request.getfixturevalue(model)
    file = tmp_path / "things.tsv"
    rows = [
        (f"the {place} {word}", kind)
        for group, kind in ((COLD, 0), (HOT, 1))
        for word in group
        for place in OTHERS
    ]
    file.write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows), "utf-8")
    template = ["--template", "{text} {label} .", "--normalize", normalize]
    found = document(capsys, "score", run, file, "--choices", "0=cold,1=hot", *template, "--json")
    assert found["n"] == len(rows)
    assert found["majority"] == 0.5
    assert found["accuracy"] == 1.0


def test_the_decoder_writes_what_it_read(
    decoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--task", "answer", "--question", "lava", "--template", "{text} {question}"]
    found = document(capsys, "generate", decoder, "the near", *words, "--max-new-tokens", 3, "--json")
    assert found["text"].startswith("hot")
    file = tmp_path / "lines.txt"
    file.write_text("the old snow cold\nthe new fire hot\nthe new fire cold\n", "utf-8")
    found = document(capsys, "score", decoder, file, "--last-word", "--json")
    assert [line["right"] for line in found["lines"]] == [True, True, False]

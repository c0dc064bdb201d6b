"""`polyseme demo`: what it shows and what it may replace."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from polyseme import cli
from polyseme.cli import demo
from polyseme.cli.fill import fill_text
from polyseme.errors import TrainingError
from polyseme.text.clean import CleaningReport
from polyseme.text.config import TextConfig
from polyseme.text.corpus import Corpus, is_heldout


class Words:
    """A tokenizer that knows whole words only."""

    unk_id = 1

    def __init__(self, *known: str) -> None:
        self.known = set(known)

    def encode(self, text: str) -> Any:
        return SimpleNamespace(ids=[7] if text.strip() in self.known else [1])


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus([demo.CORPUS], TextConfig())


def test_masked_words_come_from_heldout_sentences_alone(corpus: Corpus) -> None:
    found = demo._masked_words(Words("object", "string", "value", "return"), corpus, 1)  # type: ignore[arg-type]
    assert 1 <= len(found) <= 12
    heldout = [
        d.text for d in corpus.documents(CleaningReport()) if is_heldout(d.key, corpus.config.valid_share)
    ]
    folded = [" ".join(text.split()) for text in heldout]
    for sentence, start, end in found:
        assert sentence[start:end] in {"object", "string", "value", "return"}
        assert any(sentence in text for text in folded)
        assert 8 <= len(sentence.split()) <= 20


def test_masked_words_are_drawn_by_the_seed(corpus: Corpus) -> None:
    words = Words("object", "string", "value", "return", "with", "that", "this")
    first = demo._masked_words(words, corpus, 1)  # type: ignore[arg-type]
    assert first == demo._masked_words(words, corpus, 1)  # type: ignore[arg-type]
    assert first != demo._masked_words(words, corpus, 2)  # type: ignore[arg-type]


def test_parts_of_contractions_are_no_words() -> None:
    assert demo._WORD.findall("it doesn't open well-known files, says `name_of`") == ["open", "files", "says"]


def test_an_earlier_demo_is_replaced_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[list[str]] = []

    def pretrain(request: Any, reporter: Any) -> None:
        seen.append(sorted(path.name for path in tmp_path.glob("*")))
        request.output.mkdir(exist_ok=True)
        raise TrainingError("far enough")

    monkeypatch.setattr("polyseme.train.pretrain.pretrain", pretrain)
    output = tmp_path / "demo"
    assert cli.main(["demo", "-o", str(output)]) == 1
    assert (output / "demo.json").is_file()
    (output / "run.json").write_text("{}")
    assert cli.main(["demo", "-o", str(output)]) == 1
    assert seen == [[], []]
    assert not (output / "run.json").exists()

    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "run.json").write_text("{}")
    assert cli.main(["demo", "-o", str(mine)]) == 1
    assert (mine / "run.json").is_file()
    assert not (mine / "demo.json").exists()
    assert "far enough" in capsys.readouterr().err


def test_examples_for_people() -> None:
    text = demo.examples_text(
        [
            {
                "masked": "Return the [MASK].",
                "word": "object",
                "candidates": [
                    {"token": "value", "probability": 0.4},
                    {"token": "object", "probability": 0.25},
                ],
                "rank": 2,
            },
            {
                "masked": "A [MASK].",
                "word": "list",
                "candidates": [{"token": "x", "probability": 0.1}],
                "rank": None,
            },
        ]
    )
    assert "(1 of 2 times" in text
    assert "✓ object" in text
    assert "value 40%, object 25%" in text
    assert "✓ list" not in text


def test_candidates_for_people() -> None:
    one = {"position": 3, "candidates": [{"token": "a", "probability": 0.5, "sequence": "it a b"}]}
    assert fill_text([one]) == f" 50.0%  {'█' * 10}{' ' * 10}  it a b"
    assert fill_text([one, {**one, "position": 9}]).count("[MASK] at character") == 2

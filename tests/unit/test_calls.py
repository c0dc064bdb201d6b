"""`polyseme.pretrain` and `polyseme.finetune` with plain arguments, and who is shown their progress."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import polyseme
from polyseme import calls
from polyseme.core.reporter import NullReporter
from polyseme.errors import ConfigError, InputError


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    """What the trainers were asked for: requests and reporters."""
    seen: list[tuple[Any, Any]] = []
    monkeypatch.setattr(calls.pretraining, "pretrain", lambda *given: seen.append(given))
    monkeypatch.setattr(calls.finetuning, "finetune", lambda *given: seen.append(given))
    return seen


def test_arguments_become_a_request(asked: list[tuple[Any, Any]]) -> None:
    polyseme.pretrain("bert", "my.txt", output="runs/x", minutes=1, learning_rate=1e-3, seed=2, batch_size=8)
    polyseme.finetune("classify", Path("runs/x"), train="train.tsv", output="runs/y", epochs=2)
    (first, _), (second, _) = asked
    assert first == polyseme.PretrainRequest(
        model="bert",
        corpus=["my.txt"],
        output=Path("runs/x"),
        budget=polyseme.Budget(minutes=1),
        settings={"train.learning_rate": 1e-3, "train.batch_size": 8},
        seed=2,
    )
    assert second == polyseme.FinetuneRequest(
        task="classify", run="runs/x", train="train.tsv", output=Path("runs/y"), epochs=2
    )


def test_a_run_has_ten_minutes_where_nothing_is_said(asked: list[tuple[Any, Any]]) -> None:
    polyseme.pretrain("bert", ["a.txt", Path("b")], output=Path("x"))
    assert asked[0][0].budget == polyseme.Budget(minutes=10)
    assert asked[0][0].corpus == ["a.txt", "b"]


def test_paths_of_requests_may_be_strings() -> None:
    request = polyseme.PretrainRequest(
        model="bert",
        corpus=Path("texts"),  # type: ignore[arg-type]
        output="runs/x",  # type: ignore[arg-type]
        budget=polyseme.Budget(steps=1),
        valid="held-out.txt",
        lexicon="words.txt",
    )
    assert (request.corpus, request.output) == (["texts"], Path("runs/x"))
    assert (request.valid, request.lexicon) == (["held-out.txt"], ["words.txt"])
    adapted = polyseme.FinetuneRequest(task="tag", run="r", train="t", output="o")  # type: ignore[arg-type]
    assert adapted.output == Path("o")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 1e-3}, "did you mean learning_rate"),
        ({"num_epochs": 3}, "did you mean epochs"),
        ({"minuts": 3}, "did you mean minutes"),
        ({"minutes": 1, "steps": 2}, "exactly one budget"),
        ({"learning_rate": 1e-3, "settings": {"train.learning_rate": 2e-3}}, "given twice"),
        ({"budget": polyseme.Budget(steps=1), "minutes": 2}, "two budgets"),
    ],
)
def test_arguments_that_are_none(options: dict[str, Any], message: str, asked: list[Any]) -> None:
    with pytest.raises(ConfigError, match=message):
        polyseme.pretrain("bert", "a.txt", output="x", **options)
    assert not asked


def test_what_is_missing_is_named(asked: list[Any]) -> None:
    with pytest.raises(ConfigError, match="needs output="):
        polyseme.pretrain("bert", "a.txt")  # type: ignore[call-overload]
    with pytest.raises(ConfigError, match="no corpus"):
        polyseme.pretrain("bert", output="x")  # type: ignore[call-overload]
    with pytest.raises(ConfigError, match="needs train="):
        polyseme.finetune("tag", "runs/x", output="y")  # type: ignore[call-overload]
    with pytest.raises(InputError, match="corpus must be a string or a Path"):
        polyseme.pretrain("bert", 3, output="x")  # type: ignore[call-overload]
    request = polyseme.FinetuneRequest(task="tag", run="r", train="t", output=Path("o"))
    with pytest.raises(ConfigError, match="not both"):
        polyseme.finetune(request, epochs=3)  # type: ignore[call-overload]
    assert not asked


def test_other_names_are_suggested_in_python_too(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a text")
    with pytest.raises(ConfigError, match="did you mean gpt"):
        polyseme.pretrain("gpt2", tmp_path / "a.txt", output=tmp_path / "x", steps=1)
    with pytest.raises(ConfigError, match="did you mean tag"):
        polyseme.finetune("ner", tmp_path, train="t", output=tmp_path / "x")


class Terminal(io.StringIO):
    """A stream that somebody watches."""

    def isatty(self) -> bool:
        return True


def test_progress_is_shown_where_somebody_looks_on(
    asked: list[tuple[Any, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = NullReporter()
    request = polyseme.FinetuneRequest(task="tag", run="r", train="t", output=Path("o"))
    polyseme.finetune(request)  # nobody looks on
    monkeypatch.setattr(sys, "stderr", Terminal())
    polyseme.finetune(request)
    polyseme.finetune(request, quiet=True)
    polyseme.finetune(request, mine)
    polyseme.finetune("tag", "r", train="t", output="o", reporter=mine)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    display = SimpleNamespace(HTML=str, display=lambda _, display_id: None)
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    polyseme.finetune(request)  # a notebook
    kinds = [type(reporter).__name__ for _, reporter in asked]
    assert kinds == [
        "NullReporter",
        "TerminalReporter",
        "NullReporter",
        "NullReporter",
        "NullReporter",
        "PlainReporter",
    ]
    assert asked[3][1] is asked[4][1] is mine


def test_names_of_arguments_may_be_written_and_none_says_nothing(asked: list[tuple[Any, Any]]) -> None:
    polyseme.pretrain(
        model="bert", corpus="my.txt", output="x", minutes=None, steps=1, learning_rate=None, quiet=True
    )
    polyseme.finetune(task="classify", run="runs/x", train="train.tsv", output="y", quiet=True)
    (first, _), (second, _) = asked
    assert (first.model, first.corpus, first.budget) == ("bert", ["my.txt"], polyseme.Budget(steps=1))
    assert first.settings == {}
    assert (second.task, second.run) == ("classify", Path("runs/x"))

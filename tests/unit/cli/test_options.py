"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path

import pytest

from polyseme import cli
from polyseme.cli.options import positive, read_budget, read_settings
from polyseme.errors import ConfigError
from polyseme.train.request import Budget


def test_settings_are_typed_and_the_last_one_counts() -> None:
    assert read_settings(["hidden_size=256", "train.optimizer=muon", "hidden_size = 128", "x=a=b"]) == {
        "hidden_size": 128,
        "train.optimizer": "muon",
        "x": "a=b",
    }


@pytest.mark.parametrize("pair", ["hidden_size", "=256", " =256", ""])
def test_settings_need_a_key_and_an_equals_sign(pair: str) -> None:
    with pytest.raises(ConfigError, match="--set needs key=value"):
        read_settings([pair])


def test_the_default_budget_applies_only_without_another() -> None:
    assert read_budget(None, None, None, None, default_minutes=10) == Budget(minutes=10)
    assert read_budget(None, None, None, 20, default_minutes=10) == Budget(steps=20)
    assert read_budget(3, None, None, None, default_minutes=10) == Budget(minutes=3)


def test_budgets_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="exactly one budget"):
        read_budget(3, None, None, 20, default_minutes=10)


@pytest.mark.parametrize(
    "words", [["--minutes", "0"], ["--epochs=-1"], ["--tokens", "0"], ["--minutes", "nan"]]
)
def test_a_budget_must_be_above_zero(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["pretrain", "bert", "a.txt", "-o", "run", *words]) == 2
    assert "above zero" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "value"), [("5000", 5000), ("5_000", 5000), ("5e3", 5000), ("5k", 5000), ("1.5M", 1_500_000)]
)
def test_counts_are_read_as_people_write_them(
    text: str, value: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[int | None] = []

    def remember(minutes: object, epochs: object, tokens: int | None, *_: object, **__: object) -> None:
        seen.append(tokens)
        raise ConfigError("far enough")

    monkeypatch.setattr("polyseme.cli.pretrain.read_budget", remember)
    assert cli.main(["pretrain", "bert", "a.txt", "-o", "run", "--tokens", text]) == 2
    assert "far enough" in capsys.readouterr().err
    assert seen == [value]


def test_a_count_that_is_none_says_how_to_write_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["pretrain", "bert", "a.txt", "-o", "run", "--steps", "many"]) == 2
    assert "5e6 or 5M" in capsys.readouterr().err


@pytest.mark.parametrize("value", [None, 1, 1e-9, 0, -1, float("nan"), float("inf")])
def test_positive_lets_absent_options_and_numbers_above_zero_pass(value: float | None) -> None:
    error = None
    try:
        positive("--top", value)
    except ConfigError as caught:
        error = str(caught)
    if value in (None, 1, 1e-9):
        assert error is None
    else:
        assert error is not None
        assert "--top must be above zero" in error


@pytest.mark.parametrize(
    ("words", "what", "fix"),
    [
        (
            ["--words", "1M", "--milestones", "500k,2M"],
            "beyond the budget",
            "--words 2M, or --milestones 500k",
        ),
        (["--words", "1M", "--minutes", "2"], "exactly one budget", None),
        (["--milestones", "soon"], "a milestone is a number of words", "--milestones 1M,2M"),
        (["--extend-vocabulary", "100"], "a vocabulary that is there already", "--init RUN"),
    ],
)
def test_budgets_and_milestones_that_cannot_be(
    words: list[str], what: str, fix: str | None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["pretrain", "bert", "python-docs", "-o", str(tmp_path / "run"), *words]) == 2
    said = capsys.readouterr().err
    assert what in said
    assert fix is None or fix in said
    assert not (tmp_path / "run").exists()


def test_shares_that_do_not_sum_are_refused_with_what_to_type(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("text")
    sources = [f"{tmp_path / 'a.txt'}=0.5", "python-docs=0.6"]
    assert cli.main(["pretrain", "bert", *sources, "-o", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert "0.5 + 0.6 = 1.1" in said
    assert "python-docs=0.5455" in said
    assert not (tmp_path / "run").exists()

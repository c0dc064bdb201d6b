"""The exception tree: what an error says, and which exit code it means."""

from __future__ import annotations

import inspect

import pytest

from polyseme import errors
from polyseme.errors import ConfigError, Interrupted, PolysemeError, UsageError


def test_message_names_everything_that_is_known() -> None:
    error = ConfigError(
        "bad size", got=7, expected="a multiple of 8", where="hidden_size", fix="--set hidden_size=8"
    )
    assert str(error).split("\n") == [
        "bad size",
        "  got:      7",
        "  expected: a multiple of 8",
        "  where:    hidden_size",
        "  try:      --set hidden_size=8",
    ]


def test_message_leaves_out_what_is_not_known() -> None:
    assert str(PolysemeError("it failed")) == "it failed"


def test_a_got_of_zero_is_shown() -> None:
    assert "got:      0" in str(PolysemeError("too small", got=0))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ConfigError", 2),
        ("CorpusError", 2),
        ("RunError", 2),
        ("InputError", 2),
        ("CheckpointError", 1),
        ("StorageError", 1),
        ("TrainingError", 1),
        ("Interrupted", 130),
    ],
)
def test_exit_codes(name: str, code: int) -> None:
    assert getattr(errors, name).exit_code == code


def test_misuse_is_told_from_failure_by_class() -> None:
    assert issubclass(ConfigError, UsageError)
    assert not issubclass(Interrupted, UsageError)


def test_the_tree_in_the_docstring_is_complete() -> None:
    classes = {name for name, value in vars(errors).items() if inspect.isclass(value)}
    assert classes == set(errors.__all__)
    assert errors.__doc__ is not None
    for name in classes:
        assert name in errors.__doc__

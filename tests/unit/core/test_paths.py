"""Paths as people write them."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from polyseme.core.paths import names_of, path_of
from polyseme.core.shell import typed
from polyseme.data.store import PreparedCorpus
from polyseme.errors import InputError, PolysemeError
from polyseme.formats.registry import import_model


def test_one_name_may_stand_by_itself(tmp_path: Path) -> None:
    assert names_of("python-docs") == ["python-docs"]
    assert names_of(tmp_path) == [str(tmp_path)]
    assert names_of(("a/*.txt", tmp_path)) == ["a/*.txt", str(tmp_path)]
    assert names_of([]) == []


def test_a_pattern_and_a_slash_at_the_end_stay_as_they_are() -> None:
    assert names_of("texts/./**/*.txt/") == ["texts/./**/*.txt/"]


def test_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert path_of("~/runs/x") == tmp_path / "runs" / "x"
    assert names_of("~/texts") == [str(tmp_path / "texts")]
    (tmp_path / "~").mkdir()
    assert path_of("~") == Path("~")  # a folder that is really called so


@pytest.mark.parametrize("value", [3, None, b"bytes", ["a", None]])
def test_what_is_no_path_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="the corpus must be a string or a Path"):
        names_of(value, "the corpus")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["runs/bert", "my runs/bert", "it's", "-x", "$HOME", "文本"])
def test_what_an_error_names_can_be_typed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (word,) = shlex.split(typed(name))
    assert Path(word) == Path(name)
    assert not word.startswith("-")
    (tmp_path / name).mkdir(parents=True)
    (tmp_path / name / "run.json").touch()
    for refused in (
        lambda: PreparedCorpus.open(tmp_path / name),
        lambda: import_model(tmp_path / name, "new"),
    ):
        with pytest.raises(PolysemeError) as error:
            refused()
        assert error.value.fix is not None
        assert str(tmp_path / name) in shlex.split(error.value.fix)

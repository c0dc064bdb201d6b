"""The shell of the command line: help, errors, exit codes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import polyseme
from polyseme import cli
from polyseme.cli import list as list_verb
from polyseme.errors import ConfigError, Interrupted, PolysemeError, StorageError
from polyseme.report.figures import width


def _run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "polyseme", *words],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200", **environment},
        check=False,
    )


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """Let `polyseme list` raise what the test puts here."""
    errors: list[BaseException] = []

    def entries_of(kind: str) -> list[tuple[str, str]]:
        raise errors[0]

    monkeypatch.setattr(list_verb, "entries_of", entries_of)
    monkeypatch.delenv("POLYSEME_DEBUG", raising=False)
    return errors


def _imported(*words: str) -> set[str]:
    code = (
        "import sys; from polyseme.cli import main\n"
        f"code = main({list(words)!r})\n"
        "print('modules', *sys.modules); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split("modules ")[-1].split())


def test_the_end_of_a_command_looks_for_no_garbage() -> None:
    code = (
        "import atexit, gc, sys; from polyseme.cli import main; sys.argv = ['polyseme', '--version']; main();"
        " before = gc.get_freeze_count(); atexit._run_exitfuncs(); print(before, gc.get_freeze_count() > 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 True"


def test_help_imports_nothing_heavy() -> None:
    assert not {"torch", "numpy", "pydantic", "vl_convert", "tokenizers"} & _imported("--help")


@pytest.mark.parametrize("kind", ["models", "objectives", "tasks", "recipes", "corpora", "formats"])
def test_list_imports_no_torch(kind: str) -> None:
    assert not {"torch", "vl_convert", "tokenizers"} & _imported("list", kind)


def test_help_names_every_verb() -> None:
    done = _run("--help")
    assert done.returncode == 0
    for verb, _, text in cli.VERBS:
        assert verb in done.stdout
        assert text in done.stdout


@pytest.mark.parametrize("verb", [verb for verb, _, _ in cli.VERBS])
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([verb, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"polyseme {verb}" in out
    assert "--debug" not in out.partition("`polyseme VERB")[0]


def test_every_verb_has_its_own_file() -> None:
    folder = Path(cli.__file__).parent
    for verb, _, _ in cli.VERBS:
        assert (folder / f"{verb}.py").is_file()


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == polyseme.__version__


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lst", "models"], "try:      polyseme list models"),
        (["list", "modles"], 'Did you mean "models"'),
        (["list", "models", "--jsn"], "--jsn"),
        (["list"], "KIND"),
        (["pretrain", "bert", "a.txt"], "--output"),
    ],
)
def test_misuse_exits_with_2_and_has_a_command_to_type(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert said in err
    assert "  try:      polyseme " in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("wrong", fix="do this"), 2),
        (StorageError("full"), 1),
        (Interrupted("saved"), 130),
        (KeyboardInterrupt(), 130),
        (PermissionError(13, "Permission denied", "/x"), 1),
    ],
)
def test_errors_are_explained_without_a_traceback(
    error: BaseException, code: int, failing: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    failing.append(error)
    assert cli.main(["list", "models"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert err.strip()
    if isinstance(error, ConfigError):
        assert err == "error: wrong\n  try:      do this\n"


def test_bugs_keep_their_traceback(failing: list[BaseException]) -> None:
    failing.append(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        cli.main(["list", "models"])


def test_debug_shows_the_traceback(failing: list[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    failing.append(ConfigError("wrong"))
    with pytest.raises(PolysemeError):
        cli.main(["list", "models", "--debug"])
    monkeypatch.setenv("POLYSEME_DEBUG", "1")
    with pytest.raises(PolysemeError):
        cli.main(["list", "models"])
    monkeypatch.setenv("POLYSEME_DEBUG", "0")
    assert cli.main(["list", "models"]) == 2


def test_a_reader_that_leaves_is_no_error() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [sys.executable, "-m", "polyseme", "list", "models", "--json"],
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write_end)
    assert done.stderr == ""
    assert done.returncode == 0


def test_results_and_hints_go_to_different_streams() -> None:
    done = _run("list", "models")
    assert done.returncode == 0
    assert "modernbert" in done.stdout
    assert "next:" not in done.stdout
    assert done.stderr.startswith("next:")


def test_unencodable_output_is_escaped_instead_of_failing() -> None:
    done = _run("list", "词", PYTHONIOENCODING="ascii")
    assert done.returncode == 2
    assert "\\u8bcd" in done.stderr


@pytest.mark.parametrize(
    "words", [["embed", "run", "file", "-o", "x.npy"], ["probe", "run", "file"], ["senses", "run", "file"]]
)
@pytest.mark.parametrize("rank", [0, 1])
def test_several_ranks_do_not_do_the_same_work_in_the_same_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], rank: int
) -> None:
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert cli.main(words) == 2
    assert f"{words[0]} is done by one process" in capsys.readouterr().err
    monkeypatch.setenv("LOCAL_RANK", str(rank))  # of torchrun: one of them says it
    assert cli.main(words) == 2
    assert ("is done by one process" in capsys.readouterr().err) == (rank == 0)
    assert cli.main([words[0], "--help"]) == 0


def test_what_one_rank_alone_meets_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("MASTER_ADDR", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    words = ["pretrain", "bert", "python-docs", "-o", str(tmp_path / "run"), "--device", "cuda"]
    assert cli.main(words) == 2
    assert "no GPU that torch can use" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_verbose_says_how_long_it_took_and_with_what(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "tasks", "-v"]) == 0
    out, err = capsys.readouterr()
    assert "took:  0" in err
    assert f"polyseme {polyseme.__version__}, Python 3." in err
    assert cli.main(["list", "tasks"]) == 0
    plain = capsys.readouterr()
    assert plain.out == out
    assert "took:" not in plain.err


def test_verbose_shows_what_libraries_warn_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import warnings

    def entries_of(kind: str) -> list[tuple[str, str]]:
        warnings.warn("an old name", DeprecationWarning, stacklevel=1)
        return []

    monkeypatch.setattr(list_verb, "entries_of", entries_of)
    with warnings.catch_warnings():
        assert cli.main(["list", "models", "--verbose"]) == 0
        assert "note: an old name" in capsys.readouterr().err
    with warnings.catch_warnings(action="default"):
        assert cli.main(["list", "models"]) == 0
        assert "an old name" not in capsys.readouterr().err


def test_quiet_and_verbose_contradict_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "models", "-q", "-v"]) == 2
    assert "-q and -v" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--help"], ["pretrain", "--help"], ["list", "nothing"]])
def test_no_color_takes_colours_away(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    cli.main(words)
    assert not re.search(r"\x1b\[[\d;]*\b(3[0-7]|9[0-7]|38|48)\b", "".join(capsys.readouterr()))


@pytest.mark.parametrize(
    "words", ["--help", "pretrain --help", "senses --help", "list models", "list recipes"]
)
def test_help_and_lists_fit_narrow_terminals(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert cli.main(words.split()) == 0
    lines = capsys.readouterr().out.split("\n")
    assert [line for line in lines if width(line) > 40] == []

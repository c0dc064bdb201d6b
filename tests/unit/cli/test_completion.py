"""The tab key: the scripts that shells read, and the names that they ask for."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from polyseme import cli
from polyseme.cli import completion

WHERE = {
    "bash": ".local/share/bash-completion/completions/polyseme",
    "zsh": ".zsh/completions/_cyclopts_polyseme",
    "fish": ".config/fish/completions/polyseme.fish",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("ZSH", "ZSH_CUSTOM", "BASH_VERSION", "ZSH_VERSION", "FISH_VERSION"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize("shell", WHERE)
def test_a_script_is_written_where_the_shell_looks(
    shell: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["--install-completion", shell]) == 0
    out, err = capsys.readouterr()
    written = home / WHERE[shell]
    assert out == ""
    assert str(written) in err
    script = written.read_text("utf-8")
    for verb, _, _ in cli.VERBS:
        assert verb in script
    assert "--hide" in script
    started = home / f".{shell}rc"
    assert started.is_file() == (shell != "fish")
    assert (str(started) in err) == (shell != "fish")
    before = started.read_text("utf-8") if started.is_file() else None
    assert cli.main(["--install-completion", shell]) == 0
    assert before == (started.read_text("utf-8") if started.is_file() else None), "a line once is enough"


def test_the_shell_in_use_is_found_out(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FISH_VERSION", "3.7")
    assert cli.main(["--install-completion"]) == 0
    assert (home / WHERE["fish"]).is_file()
    monkeypatch.delenv("FISH_VERSION")
    monkeypatch.setenv("SHELL", "/bin/csh")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1))
    assert cli.main(["--install-completion"]) == 2
    assert "its name behind --install-completion: bash" in capsys.readouterr().err


def test_another_shell_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--install-completion", "tcsh"]) == 2
    assert "bash, zsh, fish" in capsys.readouterr().err
    assert not any(home.iterdir())


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """What a script is answered, without what stands beside the names."""
    assert cli.main([completion.ASKED, *words]) == 0
    out = capsys.readouterr().out.partition("\x1fbegin\n")[2]
    return [line.partition("\t")[0] for line in out.splitlines()]


def test_names_are_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "小说[1]").mkdir()
    assert "modernbert" in asked(capsys, "pretrain", "")
    assert {"小说[1]", "python-docs"} <= {*asked(capsys, "pretrain", "bert", "小说[")}
    assert asked(capsys, "finetune", "") == ["classify", "pair", "qa", "tag"]
    assert "word2vec" in asked(capsys, "export", "runs/x", "")
    assert "bert-2018" in asked(capsys, "pretrain", "bert", "--recipe", "bert")
    assert asked(capsys, "no-such-verb", "") == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_verbs_and_options(home: Path) -> None:
    assert cli.main(["-q", "--install-completion", "bash"]) == 0
    code = (
        f'. "{home / WHERE["bash"]}"\n'
        'try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _polyseme; echo "${COMPREPLY[*]}"; }\n'
        'try polyseme pre\ntry polyseme fill --t\ntry polyseme list ""\n'
    )
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    verbs, options, kinds = done.stdout.splitlines()
    assert {*verbs.split()} == {"pretrain", "prepare", "predict"}
    assert {*options.split()} == {"--top", "--threads"}
    assert "models" in kinds.split()

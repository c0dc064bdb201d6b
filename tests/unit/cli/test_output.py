"""Where words go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from polyseme.cli.output import closing, emit_json
from polyseme.core.shell import command


def test_commands_can_be_pasted() -> None:
    assert (
        command("polyseme", "fill", Path("my run"), "It is [MASK].")
        == "polyseme fill 'my run' 'It is [MASK].'"
    )
    red = "a\x1b[31m'b\\\u202e"
    assert command(red) == r"$'a\x1b[31m\'b\\\u202e'"
    bytes_ = os.fsdecode(b"caf\xe9 \xff")
    assert command(bytes_) == f"'{bytes_}'"
    assert command(f"{bytes_}\x07") == r"$'caf\xe9 \xff\x07'"
    assert command("one\ntwo 三\u3000") == "'one\ntwo 三\u3000'"


def test_the_closing_words_name_files_and_commands(capsys: pytest.CaptureFixture[str]) -> None:
    closing(wrote=[Path("run"), "loss.svg"], then=["polyseme inspect run"])
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "wrote: run\n       loss.svg\nnext:  polyseme inspect run\n"


def test_json_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    emit_json({"词": [1]})
    assert capsys.readouterr().out == '{\n  "词": [\n    1\n  ]\n}\n'

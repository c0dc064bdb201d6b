"""`polyseme list`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from polyseme import cli
from polyseme.cli import list as list_verb
from polyseme.text.builtin import BUILTINS


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "models", "--json"]) == 0
    out, err = capsys.readouterr()
    entries = json.loads(out)
    assert {"bert", "modernbert"} <= {entry["name"] for entry in entries}
    assert all(set(entry) == {"name", "summary"} for entry in entries)
    assert err == ""


def test_every_built_in_corpus_has_a_summary() -> None:
    entries = dict(list_verb.entries_of("corpora"))
    assert set(entries) == set(BUILTINS)
    assert all(entries.values())


def test_recipes_are_summed_up_by_their_head_comment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_verb, "_HOUSE", tmp_path)
    folder = tmp_path / "recipes"
    folder.mkdir()
    (folder / "small.toml").write_text('# Small and quick.\n# polyseme pretrain …\narchitecture = "bert"\n')
    (folder / "long.toml").write_text(
        "# Begins here\n# and ends here.\n#   polyseme pretrain x\n# Figures.\na = 1\n"
    )
    (folder / "bare.toml").write_text('architecture = "bert"\n')
    assert list_verb.entries_of("recipes") == [
        ("bare", ""),
        ("long", "Begins here and ends here."),
        ("small", "Small and quick."),
    ]


def test_recipes_of_the_house_are_summed_up_in_whole_sentences() -> None:
    for name, summary in list_verb.entries_of("recipes"):
        assert summary.endswith("."), name
        assert "polyseme pretrain" not in summary, name


def test_an_empty_kind_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(list_verb, "_HOUSE", tmp_path)
    assert cli.main(["list", "recipes"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "no recipes" in err


def test_tasks_are_listed_without_their_helpers(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "tasks"]) == 0
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.strip().split("\n")] == ["classify", "pair", "qa", "tag"]
    assert "polyseme finetune" in err

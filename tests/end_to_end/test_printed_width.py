"""What verbs print for people fits a terminal of 80 columns, or 40; where names are long, tables fold."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from compared import TOML, make_runs, write_files
from polyseme.cli import main
from polyseme.report.figures import width

LONG = "a-run-with-a-name-that-is-longer-than-most-of-them"

VERBS = {
    "inspect": "inspect bert gpt word2vec tuned",
    "evaluate": "evaluate tuned mood.tsv --against tuned",
    "senses": f"senses bert uses.tsv --against gpt --against {LONG} --folds 3",
    "clusters": "senses bert running.txt --word river --word cat",
    "pairs": "pairs bert pairs.tsv --against gpt",
    "probe": "probe bert animals.conll --test animals.conll --task ner --epochs 1 --seeds 2",
    "attention": "attention bert text",
    "attention of a file": "attention bert mood.tsv",
    "cka": f"cka bert {LONG} mood.tsv",
    "compare": f"compare bert gpt word2vec {LONG} --tasks some.toml -o report.html",
    "table": f"compare bert gpt word2vec {LONG} --tasks some.toml -o report.md --cells report.html.cells",
    "mask": "mask bert text",
    "units": f"units bert {LONG}-bert mood.tsv --limit 20",
    "cosines": f"cosines bert cat dog river --against gpt --against {LONG}",
    "uses": "uses bert cat --limit 30",
    "neighbours": "neighbours word2vec cat",
    "fill": "fill bert text --hide cat --hide small --detail",
    "fill as one": "fill bert text --hide the --whole --detail",
    "score": "score gpt text --detail",
    "next": "generate gpt text --next 8",
    "alternatives": "generate gpt text --alternatives 20 --max-new-tokens 4",
    "tokenize": "tokenize bert text",
    "follows": "follows bert text text",
    "doctor": "doctor",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("printed")
    make_runs(folder)
    write_files(folder)
    (folder / LONG).symlink_to(folder / "onehot", target_is_directory=True)
    (folder / f"{LONG}-bert").symlink_to(folder / "bert", target_is_directory=True)
    (folder / "some.toml").write_text("seeds = [1]\n[probes.animals]" + TOML.partition("[probes.animals]")[2])
    lines = [line.split("\t")[0] for line in (folder / "uses.tsv").read_text("utf-8").split("\n")[1:]]
    (folder / "running.txt").write_text("\n".join(lines * 2), "utf-8")
    mood = str(folder / "mood.tsv")
    words = ["finetune", "classify", str(folder / "bert"), "--train", mood, "--dev", mood, "--epochs", "1"]
    assert main([*words, "--feature-based", "--seeds", "2", "-o", str(folder / "tuned")]) == 0
    return folder


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("typed", VERBS.values(), ids=VERBS)
def test_what_is_printed_fits_the_terminal(
    folder: Path,
    typed: str,
    columns: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.chdir(folder)
    words = ["the cat likes the small dog" if word == "text" else word for word in typed.split()]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert printed.strip()
    assert [line for line in printed.split("\n") if width(line) > columns] == []


QUICK = {name: typed for name, typed in VERBS.items() if name not in ("doctor", "compare", "table")}


@pytest.mark.parametrize("typed", QUICK.values(), ids=QUICK)
def test_quiet_prints_results_alone_and_verbose_what_it_took(
    folder: Path, typed: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    words = ["the cat likes the small dog" if word == "text" else word for word in typed.split()]
    assert main([*words, "-q"]) == 0
    quiet = capsys.readouterr()
    assert quiet.err in ("", "note: there is no such file: it is read as a text by itself\n")
    assert quiet.out.strip()
    with warnings.catch_warnings():
        assert main([*words, "-v"]) == 0
    assert "took:" in capsys.readouterr().err

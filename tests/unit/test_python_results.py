"""The verbs as functions: what Python gives is what the verb prints and writes, whichever the door."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import polyseme
from adapting import adapt, start_run, write_examples
from polyseme.cli import main
from polyseme.core.result import Result
from vector_runs import TEXTS, random_run

COMPARED = """
seeds = [1]

[senses]
file = "uses.tsv"
folds = 2
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs and files for every verb."""
    folder = tmp_path_factory.mktemp("results")
    for name in ("bert", "word2vec"):
        random_run(folder, name)
    (folder / "texts.txt").write_text("\n".join(text for text in TEXTS * 4 if text), "utf-8")
    uses = [f"the cat sat on mat {i}\tcat\tpet\nthe cat saw the old dog {i}\tcat\thunter" for i in range(8)]
    (folder / "uses.tsv").write_text("text\tword\tsense\n" + "\n".join(uses) + "\n", "utf-8")
    words = ["cat dog 5", "cat mat 2", "dog mat 1", "old small 4"]
    (folder / "words.txt").write_text("\n".join(words) + "\n", "utf-8")
    (folder / "questions.txt").write_text(": animals\ncat dog old small\n", "utf-8")
    sentence = "{}\tDT\ncat\tNN\nsat\tVB\n\n"
    (folder / "tags.conll").write_text("".join(sentence.format(f"the{i}") for i in range(60)), "utf-8")
    (folder / "compared.toml").write_text(COMPARED, "utf-8")
    start, train = start_run(folder / "start"), write_examples(folder / "train", "classify", 16)
    adapt("classify", start, train, folder / "adapted", epochs=1)
    return folder


Call = Callable[[Path], Result]
VERBS: dict[str, tuple[Call, list[str]]] = {
    "senses": (
        lambda f: polyseme.senses([f / "bert", f / "word2vec"], f / "uses.tsv", folds=2),
        ["senses", "bert", "uses.tsv", "--against", "word2vec", "--folds", "2"],
    ),
    "attention": (
        lambda f: polyseme.attention(f / "bert", "the cat", "a dog", top=2),
        ["attention", "bert", "the cat", "a dog", "--top", "2"],
    ),
    "cka": (
        lambda f: polyseme.cka([f / "bert", f / "word2vec"], f / "texts.txt", limit=40),
        ["cka", "bert", "word2vec", "texts.txt", "--limit", "40"],
    ),
    "probe": (
        lambda f: polyseme.probe(f / "bert", f / "tags.conll", task="pos", seeds=1, epochs=1, controls=False),
        ["probe", "bert", "tags.conll", "--task", "pos", "--seeds", "1", "--epochs", "1", "--no-controls"],
    ),
    "similarity": (
        lambda f: polyseme.similarity(f / "word2vec", f / "words.txt"),
        ["similarity", "word2vec", "words.txt"],
    ),
    "analogy": (
        lambda f: polyseme.analogy(f / "word2vec", f / "questions.txt"),
        ["analogy", "word2vec", "questions.txt"],
    ),
    "cosines": (
        lambda f: polyseme.cosines(
            [f / "bert", f / "word2vec"], ["the *cat* sat", "an old *cat*"], layer="all"
        ),
        ["cosines", "bert", "the *cat* sat", "an old *cat*", "--against", "word2vec", "--layer", "all"],
    ),
    "uses": (
        lambda f: polyseme.uses(f / "bert", "cat", texts=f / "texts.txt", limit=3),
        ["uses", "bert", "cat", "--texts", "texts.txt", "--limit", "3"],
    ),
    "mask": (
        lambda f: polyseme.mask("ernie", "今天天气很好。", seed=3),
        ["mask", "ernie", "今天天气很好。", "--seed", "3"],
    ),
    "inspect": (
        lambda f: polyseme.inspect(f / "adapted"),
        ["inspect", "adapted"],
    ),
    "evaluate": (
        lambda f: polyseme.evaluate(f / "adapted", f / "train.tsv"),
        ["evaluate", "adapted", "train.tsv"],
    ),
}


@pytest.fixture
def place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, so that both doors name the same paths."""
    monkeypatch.chdir(folder)
    return Path()


@pytest.mark.parametrize("verb", VERBS)
def test_both_doors_give_the_same(verb: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call, typed = VERBS[verb]
    result = call(place)
    assert main(typed) == 0
    printed = capsys.readouterr().out
    if verb != "probe":  # which says what it cost
        assert printed == f"{result}\n"
    assert main([*typed, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    document = json.loads(json.dumps(result.document()))
    if verb == "evaluate":
        document = document["figures"]
    assert without_times(printed) == without_times(document)


@pytest.mark.parametrize("verb", VERBS)
def test_a_result_shows_itself(verb: str, place: Path) -> None:
    result = VERBS[verb][0](place)
    lines = repr(result).split("\n")
    assert lines[0].startswith(f"{type(result).__name__}: ")
    assert max(map(len, lines)) <= 80
    assert len(lines) > 1
    rows = result.rows()
    assert all(row.keys() == rows[0].keys() for row in rows)
    assert "&lt;/html&gt;" in result._repr_html_()


@pytest.mark.parametrize("verb", ["senses", "attention", "cka", "cosines", "uses", "probe"])
def test_save_writes_what_the_verb_writes(verb: str, place: Path, tmp_path: Path) -> None:
    call, typed = VERBS[verb]
    assert main([*typed, "-o", str(tmp_path / "verb")]) == 0
    wrote = call(place).save(tmp_path / "python")
    names = sorted(path.name for path in (tmp_path / "verb").iterdir())
    assert (
        sorted(path.name for path in wrote)
        == names
        == sorted(p.name for p in (tmp_path / "python").iterdir())
    )


def test_compare_gives_the_runs_beside_each_other(place: Path, tmp_path: Path) -> None:
    result = polyseme.compare(["bert", "word2vec"], "compared.toml", cells=tmp_path / "cells")
    assert [row["run"] for row in result.rows()] == ["bert", "word2vec"]
    assert "bert" in repr(result)
    assert result.save(tmp_path / "report.html")[0].stat().st_size > 10_000
    again = polyseme.compare(["bert", "word2vec"], "compared.toml", cells=tmp_path / "cells", only_write=True)
    assert again.missing == 0


def test_a_run_shows_itself(place: Path) -> None:
    run = polyseme.RunDirectory.open("bert")
    assert repr(run) == "RunDirectory('bert': bert, finished)"
    assert "bert" in run._repr_html_()
    assert polyseme.senses(run, "uses.tsv", folds=2).runs[0]["name"] == "bert"


def test_an_encoding_shows_its_tokens(place: Path) -> None:
    encoded = polyseme.load("bert").encode("the cat")
    assert [row["token"] for row in encoded.rows()] == list(encoded.tokens)
    assert "cat" in encoded._repr_html_()


def without_times(document: Any) -> Any:
    """The same without what differs from one call to the next: seconds, and peaks of memory."""
    if isinstance(document, dict):
        kept = {k: v for k, v in document.items() if "seconds" not in k and k != "peak_memory_bytes"}
        return {key: without_times(value) for key, value in kept.items()}
    return [without_times(one) for one in document] if isinstance(document, list) else document

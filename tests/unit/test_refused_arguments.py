"""What the public functions refuse of a caller in Python is refused with an error of ours that says what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import polyseme
from polyseme.errors import ConfigError, InputError, RunError
from polyseme.text.labelled.senses import read_uses
from vector_runs import random_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refused")
    for name in ("bert", "word2vec"):
        random_run(folder, name)
    uses = [f"the cat sat on mat {i}\tcat\tpet\nthe cat saw the old dog {i}\tcat\thunter" for i in range(4)]
    (folder / "uses.tsv").write_text("text\tword\tsense\n" + "\n".join(uses) + "\n", "utf-8")
    (folder / "texts.txt").write_text("the cat sat\nthe old dog\n", "utf-8")
    (folder / "pairs.jsonl").write_text('{"sentence_good": "the cat", "sentence_bad": "cat the"}\n', "utf-8")
    (folder / "compared.toml").write_text(
        '[senses]\nfile = "uses.tsv"\nlanguage = "zh"\nfolds = 2\n', "utf-8"
    )
    return folder


@pytest.fixture
def place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    return folder


REFUSED: dict[str, tuple[Callable[[Any], object], type[Exception], str]] = {
    "attention limit": (lambda b: polyseme.attention(b, file="texts.txt", limit=-1), ConfigError, "limit"),
    "attention length": (lambda b: polyseme.attention(b, "a", max_length=None), ConfigError, "max_length"),  # type: ignore[arg-type]
    "attention below": (lambda b: polyseme.attention(b, "a", max_length=-1), ConfigError, "max_length"),
    "attention draws": (lambda b: polyseme.attention(b, "a", resamples=0), ConfigError, "resamples"),
    "attention second": (
        lambda b: polyseme.attention(b, text_b="a", file="texts.txt"),
        InputError,
        "text must be",
    ),
    "attention pairs": (lambda b: polyseme.attention(b, "a", pairs=True), ConfigError, "pairs are read"),
    "attention number": (lambda b: polyseme.attention(b, 5), InputError, "text must be"),  # type: ignore[arg-type]
    "attention three": (lambda b: polyseme.attention(b, ("a", "b", "c")), InputError, "text must be"),  # type: ignore[arg-type]
    "attention item": (lambda b: polyseme.attention(b, file=["a", None]), InputError, "item 1 of file"),  # type: ignore[list-item]
    "attention file": (lambda b: polyseme.attention(b, file=5), InputError, "file must be"),  # type: ignore[arg-type]
    "attention share": (lambda b: polyseme.attention(b, "a", above="x"), ConfigError, "no such share"),  # type: ignore[arg-type]
    "attention layer": (lambda b: polyseme.attention(b, "a", layer=1.5), ConfigError, "no such layer"),  # type: ignore[arg-type]
    "senses limit": (lambda b: polyseme.senses(b, "uses.tsv", limit=0), ConfigError, "limit"),
    "senses folds": (lambda b: polyseme.senses(b, "uses.tsv", folds=2.5), ConfigError, "folds"),  # type: ignore[arg-type]
    "senses draws": (lambda b: polyseme.senses(b, "uses.tsv", resamples=0), ConfigError, "resamples"),
    "senses runs": (lambda b: polyseme.senses(None, "uses.tsv"), InputError, "not a loaded run"),  # type: ignore[arg-type]
    "senses word": (lambda b: polyseme.senses(b, "uses.tsv", word=None), InputError, "word must be"),  # type: ignore[arg-type]
    "senses uses": (lambda b: polyseme.senses(b, 5), InputError, "uses must be"),  # type: ignore[arg-type]
    "senses nothing": (polyseme.senses, ConfigError, "no word whose uses"),
    "senses store": (lambda b: polyseme.senses(b, word="cat"), RunError, "not there any more"),
    "uses word": (lambda b: polyseme.uses(b, " "), InputError, "no word to look for"),
    "uses none": (lambda b: polyseme.uses(b, "zebra", lines=["the cat"]), InputError, "no use of 'zebra'"),
    "uses nowhere": (lambda b: polyseme.uses(None, "cat"), InputError, "no text to look in"),
    "uses store": (lambda b: polyseme.uses(b, "cat"), RunError, "not there any more"),
    "uses limit": (lambda b: polyseme.uses(b, "cat", lines=["a cat"], limit=0), ConfigError, "limit"),
    "uses both": (
        lambda b: polyseme.uses(b, "cat", lines=["a"], texts="texts.txt"),
        ConfigError,
        "texts and",
    ),
    "cosines one": (lambda b: polyseme.cosines(b, ["cat"]), InputError, "at least"),
    "cosines many": (lambda b: polyseme.cosines(b, ["cat"] * 201), InputError, "too many"),
    "cosines item": (lambda b: polyseme.cosines(b, ["cat", 5]), InputError, "item 1"),  # type: ignore[list-item]
    "cosines mixed": (lambda b: polyseme.cosines(b, ["a *cat*", "dog"]), InputError, "no word is marked"),
    "cosines marks": (lambda b: polyseme.cosines(b, ["a *cat*", "*a* *dog*"]), InputError, "2 in"),
    "cosines lost": (lambda b: polyseme.cosines(b, ["cat", "dog"], word="cat"), InputError, "does not hold"),
    "cosines layer": (lambda b: polyseme.cosines(b, ["cat", "dog"], layer=1), ConfigError, "no layers"),
    "cosines limit": (lambda b: polyseme.cosines(b, ["cat", "dog"], limit=3), ConfigError, "own uses"),
    "cosines none": (polyseme.cosines, InputError, "at least"),
    "cosines runs": (lambda b: polyseme.cosines([], ["cat", "dog"]), InputError, "no run"),
    "senses texts": (lambda b: polyseme.senses(b, ["a bank"]), InputError, "not a use"),  # type: ignore[list-item]
    "cka runs": (lambda b: polyseme.cka(None, "texts.txt"), InputError, "not a loaded run"),  # type: ignore[arg-type]
    "cka texts": (lambda b: polyseme.cka(b, None), InputError, "texts must be"),  # type: ignore[arg-type]
    "cka item": (lambda b: polyseme.cka(b, ["a", None]), InputError, "a text must be"),  # type: ignore[list-item]
    "columns": (lambda b: polyseme.senses(b, "uses.tsv", columns="good=1"), ConfigError, "columns must be"),  # type: ignore[arg-type]
    "pairs draws": (lambda b: polyseme.pairs(b, "pairs.jsonl", resamples=0), ConfigError, "resamples"),
    "probe nothing": (lambda b: polyseme.probe(b, {}), InputError, "no task"),
    "compare processes": (
        lambda b: polyseme.compare(b, "compared.toml", processes=0),
        ConfigError,
        "processes",
    ),
    "compare threads": (lambda b: polyseme.compare(b, "compared.toml", threads=0), ConfigError, "threads"),
    "compare runs": (lambda b: polyseme.compare(None, "compared.toml"), InputError, "a run must be"),  # type: ignore[arg-type]
    "mask text": (lambda b: polyseme.mask("ernie", None), InputError, "text must be"),  # type: ignore[arg-type]
    "mask model": (lambda b: polyseme.mask(None, "a"), InputError, "the model must be"),  # type: ignore[arg-type]
    "evaluate file": (lambda b: polyseme.evaluate(b, None), InputError, "the file must be"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, place: Path) -> None:
    call, error, match = REFUSED[case]
    with pytest.raises(error, match=match):
        call(polyseme.load("bert"))


@pytest.mark.parametrize("open_run", [str, polyseme.RunDirectory.open, polyseme.load])
def test_a_run_is_taken_in_all_its_forms(open_run: Callable[[str], Any], place: Path) -> None:
    run = open_run("bert")
    assert polyseme.inspect(run).rows()[0]["run"] == "bert"
    assert polyseme.inspect([run, run]).rows()[1]["run"] == "bert"
    with pytest.raises(ConfigError, match="bert masks nothing"):  # a run, but of no objective
        polyseme.mask(run, "the cat sat")
    compared = polyseme.compare([run], "compared.toml", only_write=True)
    assert list(compared.comparison.runs) == ["bert"]


def test_home_is_known(place: Path) -> None:
    with pytest.raises(ConfigError, match="bert masks nothing"):
        polyseme.mask("~/bert", "the cat sat")


def test_lone_surrogates_are_masked_as_any_sign(place: Path) -> None:
    assert polyseme.mask("ernie", "Harry \ud800 Potter").text == "Harry \ufffd Potter"


def test_uses_may_be_any_iterable(place: Path) -> None:
    uses = read_uses(Path("uses.tsv"))
    of_iterator = polyseme.senses("bert", iter(uses), folds=2)
    assert of_iterator.words == polyseme.senses("bert", uses, folds=2).words


def test_a_comparison_without_a_single_study(place: Path) -> None:
    """No run reads the language of [senses], and nothing is done."""
    result = polyseme.compare(["bert"], "compared.toml", only_write=True)
    assert result.document() is result.document()  # made once
    assert result.document()["studies"][0]["standings"] == {}
    assert result.rows() == []


def test_attention_over_texts_says_how_many(place: Path) -> None:
    result = polyseme.attention("bert", file=["the cat", "a dog"])
    assert "tokens of 2 texts" in result.headline()
    assert result.document() is result.document()


def test_an_unknown_precision_where_there_is_nothing_to_pack(place: Path) -> None:
    with pytest.raises(ConfigError, match="no such precision"):
        polyseme.load("word2vec").embed("a", precision="x")  # type: ignore[arg-type]

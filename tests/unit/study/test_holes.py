"""Words of the same hole beside those of other holes."""

from __future__ import annotations

import json
import shlex
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyseme
from english import english_in
from polyseme.cli import main
from polyseme.errors import ConfigError, InputError
from polyseme.report.holes import holes_page
from polyseme.study.holes import _is_word
from polyseme.study.word_vectors import word_vector
from trained import make_run
from vector_runs import random_run

TEXTS = ["the [MASK] sat on the mat", "the [MASK] mat is [MASK]"]
WORDS = [["cat", "dog"], ["old", "small", "zebra"], ["cat", "mat"]]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("holes"))


def test_the_figures_are_the_means_of_cosines(tmp_path: Path) -> None:
    loaded = random_run(tmp_path, "word2vec")
    result = polyseme.holes(loaded, TEXTS, WORDS)
    (run,) = result.runs
    known = [[word for word in words if word != "zebra"] for words in WORDS]
    vectors = {word: word_vector(loaded, word) for words in known for word in words}

    def cosine(a: str, b: str) -> float:
        return float(vectors[a] @ vectors[b])  # type: ignore[operator]

    inside = [np.mean([cosine(a, b) for a, b in combinations(words, 2)]) for words in known]
    across = [cosine(a, b) for one, other in combinations(known, 2) for a, b in product(one, other) if a != b]
    assert run["holes"] == pytest.approx(inside, abs=1e-5)
    assert run["within"]["value"] == pytest.approx(np.mean(inside), abs=1e-5)
    assert run["across"]["value"] == pytest.approx(np.mean(across), abs=1e-5)
    assert run["difference"]["value"] == pytest.approx(np.mean(inside) - np.mean(across), abs=1e-5)
    assert [hole["position"] for hole in result.holes] == [4, 4, 18]
    assert result.notes == [
        "word2vec: without a vector and left out: zebra",
        "word2vec: 3 holes are too few for intervals",
    ]


def test_intervals_are_of_five_holes_at_least(tmp_path: Path) -> None:
    loaded = random_run(tmp_path, "word2vec")
    words = [["cat", "dog"], ["old", "small"], ["sat", "mat"], ["on", "and"], ["the", "a"]]
    texts = [f"a [MASK] {n}" for n in range(5)]
    (run,) = polyseme.holes(loaded, texts, words).runs
    difference = run["difference"]
    assert difference["low"] < difference["value"] < difference["high"]
    assert 0 < difference["p"] <= 1
    two = polyseme.holes(loaded, texts[:2], words[:2])
    assert [two.runs[0][of]["low"] for of in ("within", "across", "difference")] == [None] * 3
    assert two.runs[0]["difference"]["p"] is None
    assert two.rows()[0]["p"] is None
    one_word = polyseme.holes(
        loaded, texts, [["cat", "dog"], *[["zebra", "cat"]] * 4]
    )  # the others know but "cat"
    assert one_word.runs[0]["difference"]["p"] is None
    nothing_across = polyseme.holes(loaded, texts[:2], [["cat", "zebra", "dog"], ["zebra", "quagga"]])
    for result in (two, one_word, nothing_across):
        page = holes_page(json.loads(json.dumps(result.document())))
        assert "—" in page.text(80)
        assert "within" in result.headline()


def test_a_character_that_is_a_piece_of_a_word_is_no_word_of_a_hole(bert: Path) -> None:
    loaded = polyseme.load(bert)
    assert not _is_word(loaded, "天", ("今", "很好"))
    assert _is_word(loaded, "水", ("河里的", "很深"))
    assert [_is_word(loaded, token, ("a ", " day")) for token in (" good", ".", "##s")] == [
        True,
        False,
        False,
    ]


def test_the_next_line_keeps_what_was_asked(
    bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polyseme.report.results.write", lambda *_: ([], []))
    given = ["--top", "2", "--against", str(bert), "--seed", "3"]
    assert main(["holes", str(bert), *TEXTS, *given]) == 0
    (line,) = [line for line in capsys.readouterr().err.split("\n") if line.startswith("next:")]
    assert shlex.split(line)[2:] == [
        *["holes", str(bert), *TEXTS, "--top", "2", "--against", str(bert), "--seed", "3", "-o", "holes"]
    ]
    assert main(["holes", str(bert), *TEXTS, *given, "-o", str(tmp_path / "out")]) == 0
    (line,) = [line for line in capsys.readouterr().err.split("\n") if line.startswith("next:")]
    assert "RUN" not in line
    assert main(shlex.split(line)[2:]) == 0


def test_a_run_that_fills_names_whole_words_itself(bert: Path) -> None:
    result = polyseme.holes(bert, TEXTS, top=3, against=bert)
    assert [len(hole["candidates"]) for hole in result.holes] == [3, 3, 3]
    assert all(word.isalpha() for hole in result.holes for word in hole["candidates"])
    assert len(result.runs) == 2
    assert result.runs[0]["within"] == result.runs[1]["within"]
    assert result.notes[0].startswith("the candidates are the run's own")


def test_sentences_of_a_file_and_words_of_the_command_line(
    bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "holes.txt").write_text("\n".join([*TEXTS, ""]), "utf-8")
    words = [part for line in ("cat,dog", "old,small", "cat,river") for part in ("--candidates", line)]
    assert main(["holes", str(bert), str(tmp_path / "holes.txt"), *words, "--json"]) == 0
    from_file = json.loads(capsys.readouterr().out)
    assert main(["holes", str(bert), *TEXTS, *words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == from_file


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("words", [WORDS, None])
def test_the_page_in_both_languages(bert: Path, lang: str, words: Any) -> None:
    document = json.loads(json.dumps(polyseme.holes(bert, TEXTS, words, top=2).document()))
    page = holes_page(document, lang)
    assert (english_in(page, document) == []) == (lang == "zh")
    assert [figure.name for figure in page.figures] == ["holes", "holes_1"]
    cells = page.figures[1].chart.spec["layer"][0]["data"]["values"]
    assert len(cells) == len({(cell["a"], cell["b"]) for cell in cells})


@pytest.mark.parametrize(
    ("texts", "words", "options", "error", "says"),
    [
        (["the [MASK] sat"], None, {}, InputError, "too few holes"),
        (["the [MASK] sat", "no hole"], [["cat", "dog"]], {}, InputError, "no \\[MASK\\]"),
        (TEXTS, [["cat", "dog"]], {}, InputError, "do not go together"),
        (TEXTS, "cat", {}, InputError, "do not go together"),
        (TEXTS, [["cat"], *WORDS[1:]], {}, InputError, "two words at least"),
        (TEXTS, [["qq", "zz"]] * 3, {}, InputError, "knows no two words"),
        (TEXTS, None, {"top": 1}, ConfigError, "top must be two"),
        (TEXTS, [[f"w{i}" for i in range(400)]] * 3, {}, InputError, "too many words"),
        (TEXTS, None, {"resamples": 0}, ConfigError, "resamples"),
    ],
)
def test_what_cannot_be_compared(
    tmp_path: Path, bert: Path, texts: Any, words: Any, options: Any, error: type[Exception], says: str
) -> None:
    run = random_run(tmp_path, "word2vec") if words and words[0] == ["qq", "zz"] else bert
    with pytest.raises(error, match=says):
        polyseme.holes(run, texts, words, **options)


def test_a_run_that_fills_nothing_needs_candidates(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not trained to fill masks"):
        polyseme.holes(random_run(tmp_path, "word2vec"), TEXTS)

"""The tree of words is that of their classes' paths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import polyseme
from english import english_in
from polyseme.cli import main
from polyseme.errors import ConfigError, InputError
from polyseme.report.tree import tree_page
from polyseme.study.tree import branches
from trained import make_run
from vector_runs import random_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    return make_run(folder, "word-classes", steps=1, num_classes=6)


def test_paths_are_those_that_the_run_writes(run: Path) -> None:
    written = {}
    for line in (run / "paths").read_text("utf-8").split("\n"):
        if line:
            path, word, *_ = line.split("\t")
            written[word] = path
    result = polyseme.tree(run, ["river", "cat", "dog", "zebra", "good"])
    assert {word["word"]: word["path"] for word in result.words} == {
        word: written[word] for word in ("river", "cat", "dog", "good")
    }
    assert [word["path"] for word in result.words] == sorted(word["path"] for word in result.words)
    assert result.notes == ["without a class and left out: zebra"]
    for word in result.words:
        assert all(written[other] == word["path"] for other in word["beside"])


def test_special_tokens_are_no_words_of_a_class(run: Path) -> None:
    loaded = polyseme.load(run)
    encoder: Any = loaded.encoder
    cat, dog = (loaded.tokenizer.id(word) for word in ("cat", "dog"))
    encoder.classes[[loaded.tokenizer.unk_id, dog]] = encoder.classes[cat].clone()
    encoder.counts[loaded.tokenizer.unk_id] = 10**6
    (beside,) = [
        word["beside"] for word in polyseme.tree(loaded, ["cat", "river"]).words if word["word"] == "cat"
    ]
    assert "[UNK]" not in beside
    assert 0 < len(beside) <= 5


@pytest.mark.parametrize(
    "paths",
    [["0", "1"], ["00", "01", "1"], ["0001", "0010", "0011", "10", "110"], ["01", "0010"][::-1], ["0"]],
)
def test_branches_lead_from_the_root_to_every_leaf(paths: list[str]) -> None:
    lines, root = branches(paths)
    along = [line for line in lines if line["at"] == line["until"] and line["from"] != line["to"]]
    ends = {(line["to"], line["at"]) for line in along}
    assert {(len(path), row) for row, path in enumerate(paths)} <= ends
    across = [line for line in lines if line["from"] == line["to"] and line["at"] != line["until"]]
    assert len(across) == len(paths) - 1
    for a, path in enumerate(paths):  # two leaves part where their paths do
        for b in range(a + 1, len(paths)):
            depth = next(n for n, (x, y) in enumerate(zip(path, paths[b], strict=False)) if x != y)
            assert any(one["from"] == depth and one["at"] < b and one["until"] > a for one in across)
    assert 0 <= root <= len(paths) - 1


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_in_both_languages(run: Path, lang: str, tmp_path: Path) -> None:
    document = json.loads(json.dumps(polyseme.tree(run, ["river", "cat", "dog", "good", "x"]).document()))
    page = tree_page(document, lang)
    assert (english_in(page, document) == []) == (lang == "zh")
    (figure,) = page.figures
    leaves = figure.chart.spec["layer"][1]["data"]["values"]
    assert len(leaves) == len({word["path"] for word in document["words"]})


def test_the_verb_and_what_it_refuses(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "tree"
    assert main(["tree", str(run), "cat", "dog", "day", "-o", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == {"tree.html", "tree.json", "tree.svg", "tree.png"}
    assert "cat" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="no tree"):
        polyseme.tree(random_run(tmp_path, "word2vec"), ["cat", "dog"])
    with pytest.raises(InputError, match="at least"):
        polyseme.tree(run, ["cat", "zebra"])

"""`polyseme neighbours`: counts of words in the training text, and marks of rare ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from english import english_in
from polyseme.cli import main
from polyseme.infer.model import load
from polyseme.infer.neighbours import RARE, neighbours, word_counts
from polyseme.report.neighbours import neighbours_page

OFTEN, SELDOM = ["cat", "dog", "mat"], ["zebra", "koala"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("neighbours")
    lines = [f"the {OFTEN[i % 3]} sat on the {OFTEN[(i + 1) % 3]} ." for i in range(240)]
    for i in range(0, 240, 40):
        lines[i] = f"the {SELDOM[i % 80 > 0]} sat on the mat ."
    lines = [f"{i} {line}" for i, line in enumerate(lines)]
    held = [f"{i} the mat of the dog and the cat ." for i in range(60)]
    for name, part in (("text.txt", lines), ("valid.txt", held)):
        (folder / name).write_text("\n".join(part) + "\n", "utf-8")
    words = ["pretrain", "word2vec", str(folder / "text.txt"), "-o", str(folder / "run"), "--epochs", "1"]
    words += ["--valid", str(folder / "valid.txt")]
    settings = ["tokenizer.min_count=1", "hidden_size=8"]
    assert main([*words, *(part for one in settings for part in ("--set", one)), "--threads", "1"]) == 0
    return folder / "run"


def test_counts_are_those_of_the_training_text(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = load(run)
    counts = word_counts(loaded)
    assert counts is not None
    assert int(counts.sum()) == loaded.run.meta["corpus"]["splits"]["train"]["tokens"]
    assert main(["neighbours", str(run), "cat", "--top", "300", "--json"]) == 0
    found = {one["word"]: one["count"] for one in json.loads(capsys.readouterr().out)}
    assert all(found[word] == counts[loaded.tokenizer.encode(word).ids[0]] for word in ("dog", "mat"))
    rare = [word for word, count in found.items() if count < RARE]
    assert rare
    assert main(["neighbours", str(run), "cat", "--top", "300"]) == 0
    shown = capsys.readouterr()
    split = [line.split() for line in shown.out.split("\n")]
    lines = {words[1]: " ".join(words) for words in split if len(words) > 1 and words[1] in found}
    assert len(lines) == len(found)
    assert all(line.endswith(" rare") == (found[word] < RARE) for word, line in lines.items())
    assert f"fewer than {RARE} times in the training text" in shown.err
    assert main(["neighbours", str(run), rare[0]]) == 0
    assert f"note: {rare[0]} occurs {found[rare[0]]} times" in capsys.readouterr().err


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_marks_rare_words(run: Path, lang: str, tmp_path: Path) -> None:
    nearest = neighbours(load(run), "cat", top=300)
    page = neighbours_page(nearest.document(), lang)
    assert (english_in(page, nearest) == []) == (lang == "zh")
    (figure,) = page.figures
    seen = {bar["word"]: bar["seen"] for bar in figure.chart.spec["layer"][0]["data"]["values"]}
    kinds = {row["count"] < RARE: seen[row["word"]] for row in nearest}
    assert len(set(kinds.values())) == 2
    assert all(seen[row["word"]] == kinds[row["count"] < RARE] for row in nearest)
    assert [row["rare"] for row in nearest.rows()] == [row["count"] < RARE for row in nearest]
    assert repr(nearest).startswith("Neighbours: cat, run\n")
    assert nearest == list(nearest)
    wrote = nearest.save(tmp_path, lang)
    assert {path.name for path in wrote} == {f"neighbours.{end}" for end in ("html", "json", "svg", "png")}


def test_without_its_store_a_run_says_no_counts(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("store"))
    assert word_counts(load(tmp_path / "run")) is None
    assert main(["neighbours", str(tmp_path / "run"), "cat", "--json"]) == 0
    assert all(list(one) == ["word", "similarity"] for one in json.loads(capsys.readouterr().out))


def test_a_store_that_was_given_is_asked(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "pretrain",
        "word2vec",
        str(run / "store"),
        "-o",
        str(tmp_path / "run"),
        "--epochs",
        "1",
        "--threads",
        "1",
    ]
    assert main([*words, "--set", "hidden_size=8"]) == 0
    assert not (tmp_path / "run" / "store").exists()
    capsys.readouterr()
    assert main(["neighbours", str(tmp_path / "run"), "cat", "--json"]) == 0
    assert all(one["count"] > 0 for one in json.loads(capsys.readouterr().out))

"""`generate --task`, `score --choices` and `score --last-word`: options, results, misuse."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from decoding import make_loaded
from polyseme.cli import main
from polyseme.cli.score import read_choices
from polyseme.errors import ConfigError
from polyseme.infer import model as load_module
from polyseme.infer.zero_shot import reply
from polyseme.tasks.metrics.intervals import wilson

TEMPLATE = "{text} on {label} mat."


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Any:
    loaded = make_loaded("gpt", "byte-bpe")
    monkeypatch.setattr(load_module, "load", lambda folder: loaded)
    return loaded


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def test_only_the_answer_is_printed(loaded: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "run", "the cat", "--task", "answer", "--question", "one?"]) == 0
    (found,) = reply(loaded, "answer", ["the cat"], question="one?")
    assert capsys.readouterr().out == found.text + "\n"
    words = ["generate", "run", "the", "--task", "translate", "--from", "en", "--to", "fr"]
    words += ["--example", "one = two", "--example", "a=b", "--max-new-tokens", "4"]
    assert main([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["prompt"] == "en = fr\none = two\na = b\nthe ="
    assert len(document["tokens"]) <= 4
    summary = ["generate", "run", "the cat", "--task", "summary", "--seed", "3", "--max-new-tokens", "9"]
    assert main([*summary, "--results", "2", "--template", "{text}\\nso:"]) == 0
    (found,) = reply(
        loaded, "summary", ["the cat"], seed=3, max_new_tokens=9, results=2, template="{text}\nso:"
    )
    assert capsys.readouterr().out == f"{found.text}\n\n{found.others[0].text}\n"


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--question", "a"], "--question belongs to a task"),
        (["--from", "a"], "--from belongs to a task"),
        (["--example", "a = b"], "--example belongs to a task"),
        (["--task", "translate", "--example", "a b"], "a sentence and its translation"),
        (["--task", "answer"], "needs a question"),
        (["--task", "poem"], "poem"),
        (["--task", "summary", "--template", "{txt}"], "unknown place {txt}"),
    ],
)
def test_misuse_of_generate(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "run", "a", *words]) == 2
    assert message in capsys.readouterr().err


def choose(file: Path | str, *words: str) -> int:
    return main(["score", "run", str(file), "--template", TEMPLATE, *words])


def test_choices_of_a_labelled_table(loaded: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "a.tsv", "text\tlabel", "the cat\t0", "a good day\t1", "\t1", "one two\t1")
    assert choose(file, "--choices", "0=a,1=the") == 0
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    expected = loaded.choose(["the cat", "a good day", "one two"], ["a", "the"], TEMPLATE)
    for line, row in zip(lines, expected.tolist(), strict=True):
        assert list(line) == ["id", "text", "choice", "probabilities", "label"]
        assert list(line["probabilities"].values()) == pytest.approx(row, abs=1e-6)
        assert line["choice"] == "01"[row.index(max(row))]
    right = sum(line["choice"] == line["label"] for line in lines)
    low, high = wilson(right, 3)
    accuracy = f"accuracy {right / 3:.3f} ({low:.3f} … {high:.3f})"
    assert f"{right} of 3 right: {accuracy}; always '1' would be 0.667" in err
    assert "1 texts are empty" in err
    assert choose(file, "--choices", "0=a,1=the", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["lines"] == lines
    assert (document["low"], document["high"]) == pytest.approx((low, high))
    assert (document["accuracy"], document["n"]) == (right / 3, 3)
    assert document["choices"] == {"0": "a", "1": "the"}
    bare = write(tmp_path / "bare.tsv", "0\tthe cat", "1\ta good day")
    for named in (["--columns", "text=2,label=1"], ["--columns", "text=2", "--columns", "label=1"]):
        assert choose(bare, "--choices", "0=a,1=the", *named) == 0
        assert json.loads(capsys.readouterr().out.splitlines()[1])["label"] == "1"
    assert choose(bare, "--choices", "0=a,1=the") == 2
    assert "--columns" in capsys.readouterr().err


@pytest.mark.usefixtures("loaded")
def test_choices_of_texts_without_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in (
        write(tmp_path / "a.txt", "the cat", "", "a good day"),
        write(tmp_path / "a.jsonl", '{"text": "the cat"}', '{"text": "a good day"}'),
        write(tmp_path / "b.tsv", "text\tother", "the cat\t1", "a good day\t2"),
    ):
        assert choose(file, "--choices", "a,the", "--json") == 0
        document = json.loads(capsys.readouterr().out)
        assert [line["text"] for line in document["lines"]] == ["the cat", "a good day"]
        assert "accuracy" not in document
        assert "label" not in document["lines"][0]
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text("the cat\na good day\n"))
    writer.start()
    assert choose(pipe, "--choices", "a", "--choices", "the") == 0
    writer.join()
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.usefixtures("loaded")
def test_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "p.tsv", "premise\thypothesis\tlabel", "the cat\ta mat\tyes", "one\ttwo\tno")
    words = ["--choices", "yes=a,no=the", "--normalize", "pmi", "--neutral", "one", "--json"]
    assert main(["score", "run", str(file), "--template", "{text}? {label}, {text_b}", *words]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["n"] == 2
    assert document["lines"][1]["text_b"] == "two"


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--choices", "a"], "two choices at least"),
        (["--choices", "0=a,0=the"], "a label is there twice"),
        (["--choices", "1=a,2=the"], "a label of the file is none of the choices"),
        (["--choices", "a,the", "--template", "{txt} {label}"], "unknown place {txt}"),
        (["--choices", "a,the", "--neutral", "x"], "--neutral belongs to --normalize pmi"),
        (["--choices", "a,the", "--end"], "--end does not go with --choices"),
        (["--choices", "a,the", "--context", "x"], "--context does not go with --choices"),
        (["--choices", "a,the", "--columns", "text"], "--columns needs ours=theirs"),
        ([], "--template belongs to --choices"),
    ],
)
def test_misuse_of_score(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "a.tsv", "text\tlabel", "the cat\t0")
    given = [] if "--template" in words else ["--template", TEMPLATE]
    assert main(["score", "run", str(file), *given, *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("loaded")
def test_a_template_must_be_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "run", str(tmp_path), "--choices", "a,b"]) == 2
    assert "--choices needs a template" in capsys.readouterr().err


@pytest.mark.usefixtures("loaded")
def test_last_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "a.txt", "the cat sat", "", "one")
    assert main(["score", "run", str(file), "--last-word", "--json"]) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["n"] == 1
    assert len(document["lines"]) == 3
    assert document["lines"][0]["word"] == "sat"
    assert "of 1 last words found" in err
    assert (document["low"], document["high"]) == pytest.approx(wilson(document["accuracy"], 1))
    assert f"({document['low']:.3f} … {document['high']:.3f})" in err


def test_choices_as_typed() -> None:
    assert read_choices(["bad, good"]) == {"bad": "bad", "good": "good"}
    assert read_choices(["0=bad,1=good=fine"]) == {"0": "bad", "1": "good=fine"}
    assert read_choices(["yes, please", "no"]) == {"yes, please": "yes, please", "no": "no"}
    with pytest.raises(ConfigError, match="twice"):
        read_choices(["a,b,a"])

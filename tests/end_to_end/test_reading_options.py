"""--separator and --encoding reach the reader from every verb, stay with a run, and one line says what was read."""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path

import pytest

from adapting import start_run
from polyseme.cli import VERBS, main

TABLES = (
    *(
        "finetune",
        "predict",
        "evaluate",
        "compare",
        "pairs",
        "senses",
        "similarity",
        "analogy",
        "score",
    ),
    "attention",
)
LINES = ("embed", "cka", "probe", "pretrain", "prepare", "distil", "holes", "units", "uses")


@pytest.mark.parametrize("verb", [verb for verb, _, _ in VERBS])
def test_every_verb_that_reads_such_files_has_the_options(verb: str) -> None:
    names = inspect.signature(importlib.import_module(f"polyseme.cli.{verb}").run).parameters
    assert ("encoding" in names) == (verb in (*TABLES, *LINES, "import"))
    assert ("separator" in names) == (verb in TABLES)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return start_run(tmp_path_factory.mktemp("start") / "bert", max_position_embeddings=64)


def test_what_was_said_reaches_the_reader_and_stays_with_the_run(
    start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, run = tmp_path / "день.csv", tmp_path / "run"
    rows = [f"добрый день {n}^{('да', 'нет')[n % 2]}" for n in range(24)]
    file.write_bytes("\n".join(["Текст^Метка", *rows, "строка без метки"]).encode("cp1251"))
    how = ["--separator", "^", "--encoding", "cp1251"]
    names = ["--columns", "text=Текст,label=Метка"]
    train = ["finetune", "classify", str(start), "--train", str(file), "-o", str(run), "--epochs", "1"]
    assert main([*train, *how, *names]) == 0
    line = f"read {file}: '^' between fields, cp1251; 2 classes: да, нет; 24 rows read, 1 left out"
    assert line in capsys.readouterr().err
    adapted = json.loads((run / "run.json").read_text("utf-8"))["adapted"]
    assert (adapted["separator"], adapted["encoding"]) == ("^", "cp1251")
    assert adapted["read"] == {"train": line}

    assert main([*train, *how, *names, "--resume"]) == 0
    assert main([*train, "--separator", "^", "--encoding", "windows-1251", *names, "--resume"]) == 2
    assert "another encoding" in capsys.readouterr().err

    assert main(["evaluate", str(run), str(file), *how, "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["accuracy"]["n"] == 24
    assert line in told.err
    assert main(["predict", str(run), str(file), *how]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out.split("\n")[0])["text"] == "добрый день 0"
    assert f"read {file}: '^' between fields, cp1251; 25 rows read, 0 left out" in told.err


def test_what_was_said_at_training_holds_for_the_next_commands(
    start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, run = tmp_path / "h.csv", tmp_path / "run"
    rows = [f"добрый день {n}^{('да', 'нет')[n % 2]}" for n in range(24)]
    file.write_bytes("\n".join(["text^label", *rows]).encode("cp1251"))
    train = ["finetune", "classify", str(start), "--train", str(file), "-o", str(run), "--epochs", "1"]
    assert main([*train, "--separator", "^", "--encoding", "cp1251"]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run), str(file)]) == 0
    err = capsys.readouterr().err
    assert "'^' between fields, cp1251; 2 classes: да, нет; 24 rows read, 0 left out" in err
    assert main(["evaluate", str(run), str(file), "--separator", "^", "--columns", "text=text"]) == 0
    assert f"{file} --columns text=text --separator '^' -o evaluation" in capsys.readouterr().err
    assert main(["predict", str(run), str(file)]) == 0
    assert json.loads(capsys.readouterr().out.split("\n")[0])["text"] == "добрый день 0"
    other = tmp_path / "other.tsv"
    other.write_text("text\tlabel\nобед\tда\nужин\tнет\n", "utf-8")
    assert main(["evaluate", str(run), str(other)]) == 0
    assert "tabs between fields; 2 classes: да, нет" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["attention", "RUN", "a fine day", "--separator", ";"], "--separator"),
        (["attention", "RUN", "a fine day", "--encoding", "gb18030"], "--encoding"),
        (["attention", "RUN", "--file", "a.txt", "--separator", ";"], "--separator"),
        (["attention", "RUN", "--file", "a.jsonl", "--pairs", "--separator", ";"], "--separator"),
        (["predict", "RUN", "a.jsonl", "--separator", ";"], "--separator"),
        (["predict", "RUN", "a.parquet", "--separator", ";"], "--separator"),
        (["predict", "RUN", "a fine day", "--encoding", "gb18030"], "--encoding"),
        (["evaluate", "RUN", "a.json", "--separator", ";"], "--separator"),
        (["evaluate", "RUN", "a.jsonl.gz", "--separator", "tab"], "--separator"),
        (
            ["finetune", "classify", "RUN", "--train", "a.jsonl", "-o", "out", "--separator", ";"],
            "--separator",
        ),
        (["pairs", "RUN", "a.jsonl", "--separator", ";"], "--separator"),
        (["senses", "RUN", "a.jsonl", "--separator", ";"], "--separator"),
        (["score", "RUN", "a.txt", "--separator", ";"], "--separator"),
        (
            [
                "score",
                "RUN",
                "a.jsonl",
                "--choices",
                "a,b",
                "--template",
                "{text}{label}",
                "--separator",
                ";",
            ],
            "--separator",
        ),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(
    start: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    option: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("a fine day\nanother\n", "utf-8")
    for name in ("a.jsonl", "a.json"):
        (tmp_path / name).write_text('{"text": "a", "text_b": "b", "label": "a"}\n', "utf-8")
    assert main([str(start) if word == "RUN" else word for word in words]) == 2
    assert f"try:      leave {option} out" in capsys.readouterr().err


def test_a_file_that_is_missing_is_told_as_such(
    start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = ["--train", str(tmp_path / "my file of texts"), "--separator", ";", "-o", str(tmp_path / "run")]
    assert main(["finetune", "classify", str(start), *train]) == 2
    assert "error: no such file" in capsys.readouterr().err


def test_tables_beside_json_have_their_separator(
    start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.csv").write_text("text^label\n" + "a day^yes\na night^no\n" * 8, "utf-8")
    (tmp_path / "b.jsonl").write_text('{"text": "a day", "label": "yes"}\n' * 2, "utf-8")
    files = ["--train", str(tmp_path / "a.csv"), "--dev", str(tmp_path / "b.jsonl"), "--separator", "^"]
    assert (
        main(["finetune", "classify", str(start), *files, "-o", str(tmp_path / "run"), "--epochs", "1"]) == 0
    )
    assert main(["attention", str(start), "--file", str(tmp_path / "b.jsonl"), "--encoding", "utf-8"]) == 0
    assert "--encoding utf-8" in capsys.readouterr().err


def test_the_hints_for_files_that_are_not_told_work(
    start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes("\n".join(["text^label", *["хороший день^да", "плохой суп^нет"] * 8]).encode("cp1251"))
    train = [
        "finetune",
        "classify",
        str(start),
        "--train",
        str(file),
        "-o",
        str(tmp_path / "run"),
        "--epochs",
        "1",
    ]
    options: list[str] = []
    for expected in (["--encoding", "cp1251"], ["--separator", "'^'"]):
        assert main([*train, *options]) == 2
        hint = capsys.readouterr().err.split("try:")[1].split()
        assert hint == expected
        options += [hint[0], hint[1].strip("'")]
    assert main([*train, *options]) == 0


def test_lists_of_words_are_read_by_the_options(tmp_path: Path) -> None:
    from polyseme.study.word_vectors import read_pairs, read_questions

    file = tmp_path / "pairs.txt"
    file.write_bytes("кот^собака^7.5\nдень^ночь^8\nхлеб^суп^3\n".encode("cp1251"))
    assert read_pairs(file, "cp1251", "^")[0] == ("кот", "собака", 7.5)
    file.write_text("word1;word2;score\ncat;dog;7.5\nday;night;8\nbread;soup;3\n", "utf-8")
    assert [pair.score for pair in read_pairs(file)] == [7.5, 8.0, 3.0]
    file.write_bytes("кот|коты|день|дни\n".encode("koi8-r"))
    assert read_questions(file, "koi8-r", "|") == {"all": [("кот", "коты", "день", "дни")]}

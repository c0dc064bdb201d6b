"""Every mistake of a fine-tune gets our own error and leaves nothing behind."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from adapting import start_run, write_examples
from polyseme.cli import main

SQUAD = {"data": [{"title": "t", "paragraphs": [{"context": "the cat", "qas": []}]}]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good files, bad files, and a run."""
    folder = tmp_path_factory.mktemp("bad")
    start_run(folder / "START")
    for task in ("classify", "pair", "tag", "qa"):
        write_examples(folder / task, task, 24)
    texts = {
        "empty.tsv": "",
        "header.tsv": "text\tlabel\n",
        "names.tsv": "sentence\tgold\na cat\tgood\na dog\tbad\n",
        "one.tsv": "text\tlabel\na cat\tgood\na dog\tgood\n",
        "words.tsv": "text\tlabel\na cat\tgood\na dog\tbad\n",
        "own.tsv": "text\tlabel\n" + "".join(f"a cat {n}\tlabel {n}\n" for n in range(90)),
        "lists.jsonl": '{"text": "a cat", "label": []}\n{"text": "a dog", "label": []}\n',
        "mixed.jsonl": "".join(
            f'{{"text": "cat {n}", "label": {label}}}\n'
            for n in range(20)
            for label in ('["a", "b"]', '"b"', '"c"')
        ),
        "numbers.tsv": "text\tlabel\na cat\t0\na dog\t1\n",
        "others.conll": "the\tX\ncat\tY\n\n" * 12,
        "own.conll": "".join(f"the\tA{n}\ncat\tB{n}\n\n" for n in range(12)),
        "markup.txt": '<ENAMEX TYPE="PERSON">Ada</ENAMEX> smiles.\n',
        "broken.jsonl": '{"text": "a cat", "label": \n{"text\n',
        "objects.jsonl": '{"text": "a cat", "label": {"a": 1}}\n{"text": "a dog", "label": {"b": 1}}\n',
        "plain.conll": "the\ncat\n\nthe\ndog\n",
        "o.conll": "the\tO\ncat\tO\n\n" * 12,
        "broken.json": '{"data": [',
        "none.json": json.dumps(SQUAD),
        "lost.jsonl": '{"question": "q?", "context": "the cat", "answers": ["dog"]}\n',
        "impossible.jsonl": '{"question": "q?", "context": "the cat", "answers": []}\n' * 12,
    }
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
    (folder / "picture.tsv").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20)
    (folder / "short.tsv.gz").write_bytes(gzip.compress((folder / "words.tsv").read_bytes())[:30])
    return folder


def refused(capsys: pytest.CaptureFixture[str], words: list[str], folder: Path, output: Path) -> str:
    capsys.readouterr()
    names = {"OUT": str(output), "START": str(folder / "START")}
    paths = [names.get(w, str(folder / w) if (folder / w).exists() else w) for w in words]
    code = main(["finetune", *paths])
    said = capsys.readouterr().err
    assert code in (1, 2), said
    assert "error: " in said
    assert "Traceback" not in said
    assert not output.exists()
    return said


BAD = [
    ("classify missing.tsv", "no such file"),
    ("classify empty.tsv", "empty"),
    ("classify header.tsv", "label"),
    ("classify names.tsv", "--columns"),
    ("classify one.tsv", "at least two labels"),
    ("classify own.tsv", "label of its own"),
    ("classify lists.jsonl", "no text has a label"),
    ("classify mixed.jsonl --set classify.kind=single", "several labels"),
    ("classify words.tsv --set classify.kind=number", "not a number"),
    ("classify broken.jsonl", ""),
    ("classify objects.jsonl", ""),
    ("classify picture.tsv", "not a text file"),
    ("classify short.tsv.gz", ""),
    ("classify .", ""),
    ("classify classify.tsv --columns text=nothing", "nothing"),
    ("classify classify.tsv --columns words=text", "words"),
    ("classify classify.tsv --dev empty.tsv", "empty"),
    ("classify classify.tsv --dev missing.tsv", "no such file"),
    ("classify classify.tsv --dev lists.jsonl", "several labels"),
    ("classify classify.tsv --dev numbers.tsv", "none of the labels"),
    ("tag tag.conll --dev others.conll", "none of the labels"),
    ("clasify classify.tsv", "classify"),
    ("masked_lm classify.tsv", "unknown task"),
    ("classify classify.tsv --set classify.pol=cls", "classify.pool"),
    ("classify classify.tsv --set tag.crf=true", "unknown key"),
    ("classify classify.tsv --set objectives=masked_lm", "leave it out"),
    ("classify classify.tsv --set hidden_size=99", "the run fixes"),
    ("classify classify.tsv --set text.language=zh", "the run fixes"),
    ("classify classify.tsv --set classify.max_length=0", "max_length"),
    ("classify classify.tsv --set train.layer_decay=2", "layer_decay"),
    ("classify classify.tsv --set classify.weights=[1,2,3]", "3 weights"),
    ("classify classify.tsv --epochs 0", "above zero"),
    ("classify classify.tsv --epochs nan", "above zero"),
    ("classify classify.tsv --seeds 0", "above zero"),
    ("classify classify.tsv --learning-rate -1", "above zero"),
    ("classify classify.tsv --max-length 1", "max_length"),
    ("classify classify.tsv --batch-size 5 --set train.micro_batch_size=2", "multiple"),
    ("pair classify.tsv", "text_b"),
    ("tag own.conll", "more examples of each label, or --dev FILE"),
    ("tag markup.txt", "tags are markup inside the text"),
    ("tag plain.conll", ""),
    ("tag o.conll", "at least two tags"),
    ("tag tag.conll --set tag.column=7", "column"),
    ('tag tag.conll --set tag.labels=["O","O"]', "labels must differ"),
    ("qa broken.json", ""),
    ("qa none.json", ""),
    ("qa lost.jsonl", ""),
    ("qa impossible.jsonl", "no question has an answer"),
    ("qa classify.tsv", "question"),
]


@pytest.mark.parametrize(("request_words", "says"), BAD)
def test_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], request_words: str, says: str
) -> None:
    task, train, *more = request_words.split()
    words = [task, "START", "--train", train, "-o", "OUT", *more]
    said = refused(capsys, words, folder, tmp_path / "run")
    assert says in said


@pytest.mark.parametrize("start", ["nowhere", "classify.tsv", "."])
def test_what_is_no_run(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], start: str) -> None:
    words = ["classify", start, "--train", "classify.tsv", "-o", "OUT"]
    assert "not a run" in refused(capsys, words, folder, tmp_path / "run")


def test_outputs_that_exist(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["finetune", "classify", str(folder / "START"), "--train", str(folder / "classify.tsv"), "-o"]
    before = {p: p.read_bytes() for p in (folder / "START").rglob("*") if p.is_file()}
    file = tmp_path / "file"
    file.write_text("mine")
    for output in (folder / "START", folder, file):
        for more in ([], ["--seeds", "2"]):
            assert main([*words, str(output), *more]) == 2, (output, more)
            assert "Traceback" not in capsys.readouterr().err
    assert {p: p.read_bytes() for p in (folder / "START").rglob("*") if p.is_file()} == before
    assert file.read_text() == "mine"

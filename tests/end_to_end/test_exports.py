"""Exports of annotation tools train, and the figures are those of their labels: of names, entity F1."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapting import start_run
from polyseme.cli import main

TEXTS = [f"the {'cat' if n % 2 else 'small dog'} sees the river" for n in range(12)]
SPANS = [(4, 7, "N") if n % 2 else (4, 13, "N") for n in range(12)]
WORDS = [
    "".join(f"{w} _ _ {'B-N' if w in ('cat', 'dog') else 'O'}\n" for w in text.split()) for text in TEXTS
]
QUESTION = {
    "id": "1",
    "question": "what?",
    "answers": [{"text": "river", "answer_start": TEXTS[0].index("river")}],
}
FILES: dict[str, tuple[str, str, str]] = {
    "multiconer.conll": (
        "tag",
        "\n".join(f"# id 00{n}\tdomain=en\n{words}" for n, words in enumerate(WORDS)),
        "BIO tags of 1 kind",
    ),
    "msra.tsv": (
        "tag",
        "text_a\tlabel\n" + "the\x02cat\x02sees\tO\x02B-N\x02O\nold\x02dog\tO\x02B-N\n" * 6,
        "BIO tags of 1 kind",
    ),
    "prodigy.jsonl": (
        "tag",
        "".join(
            json.dumps(
                {
                    "text": text,
                    "tokens": [{"text": "the", "start": 0, "end": 3, "id": 0}],
                    "spans": [{"start": start, "end": end, "label": kind}],
                    "answer": "reject" if n == 3 else "accept",
                }
            )
            + "\n"
            for n, (text, (start, end, kind)) in enumerate(zip(TEXTS, SPANS, strict=True))
        ),
        "Prodigy export; BIO tags of 1 kind",
    ),
    "spacy.json": (
        "tag",
        json.dumps([[text, {"entities": [span]}] for text, span in zip(TEXTS, SPANS, strict=True)]),
        "spaCy export; BIO tags of 1 kind",
    ),
    "squad.json": (
        "qa",
        json.dumps([{"context": f"{TEXTS[0]} {n}", "qas": [QUESTION | {"id": str(n)}]} for n in range(6)]),
        "SQuAD's JSON",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_an_export_trains(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task, text, read = FILES[name]
    train = tmp_path / name
    train.write_text(text, "utf-8")
    words = ["finetune", task, str(start_run(tmp_path / "START")), "--train", str(train), "--dev", str(train)]
    assert main([*words, "-o", str(tmp_path / "OUT"), "--epochs", "1", "--json"]) == 0
    told = capsys.readouterr()
    assert "f1" in json.loads(told.out)["dev"]
    assert f"read {train}: " in told.err
    assert read in told.err
    if "prodigy" in name:
        assert "texts were rejected by their annotator: left out" in told.err
        assert "11 rows read, 1 left out" in told.err


def test_a_folder_of_brat_trains_and_predicts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "brat"
    folder.mkdir()
    for n, (text, (start, end, kind)) in enumerate(zip(TEXTS, SPANS, strict=True)):
        (folder / f"d{n}.txt").write_text(text + "\n", "utf-8")
        (folder / f"d{n}.ann").write_text(f"T1\t{kind} {start} {end}\t{text[start:end]}\n", "utf-8")
    out = tmp_path / "OUT"
    words = ["finetune", "tag", str(start_run(tmp_path / "START")), "--train", str(folder), "-o", str(out)]
    assert main([*words, "--epochs", "1"]) == 0
    assert main(["evaluate", str(out), str(folder)]) == 0
    capsys.readouterr()
    assert main(["predict", str(out), str(folder)]) == 0
    assert capsys.readouterr().out.count("\n") == 12

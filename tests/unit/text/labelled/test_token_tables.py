"""Tables of tagged sentences: a row a token, a row a sentence, ERNIE's mark between tokens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from polyseme.errors import ConfigError
from polyseme.text.labelled.records import Problems
from polyseme.text.labelled.sequences import read_tags

WORDS, TAGS = ["Otto", "left", ",", "Hilltown"], ("B-PER", "O", "O", "B-LOC")
ROWS = list(zip(WORDS, TAGS, strict=True))
CELLS = [f'"{word}"' if word == "," else word for word in WORDS]
BY_TOKEN = "".join(f"{{}}{cell},{tag}\n" for cell, tag in zip(CELLS, TAGS, strict=True))
SPANS = json.dumps([{"start": 0, "end": 4, "labels": ["PER"]}, {"start": 12, "end": 20, "labels": ["LOC"]}])


def numbered(number: str, rest: str = "") -> str:
    return BY_TOKEN.replace("{}", f"{number},", 1).replace("{}", f"{rest},")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("kaggle.csv", "Sentence #,Word,Tag\n" + numbered("Sentence: 1") + numbered("Sentence: 2")),
        ("simpletransformers.csv", "sentence_id,words,labels\n" + numbered("0", "0") + numbered("1", "1")),
        ("semicolons.csv", ("sentence_id,words,labels\n" + numbered("0", "0") + numbered("1", "1")).replace(",O", ";O")
            .replace(",B", ";B").replace("0,", "0;").replace("1,", "1;").replace("id,", "id;").replace("s,l", "s;l")),
        ("blank.tsv", "Word\tTag\n" + "\n".join(["".join(f"{w}\t{t}\n" for w, t in ROWS)] * 2)),
        ("ernie.tsv", "text_a\tlabel\n" + ("\x02".join(WORDS) + "\t" + "\x02".join(TAGS) + "\n") * 2),
        ("paddlenlp.txt", ("\x02".join(WORDS) + "\t" + "\x02".join(TAGS) + "\n") * 2),
        ("spaces.tsv", "text_a\tlabel\n" + (" ".join(WORDS) + "\t" + " ".join(TAGS) + "\n") * 2),
        ("lists.csv", "Sentence #,Sentence,Tag\n" + ('1,"{}","{}"\n'.format(" ".join(WORDS), list(TAGS))) * 2),
        ("spans.csv", "text,id,label\n" + ('"Otto left , Hilltown",1,"{}"\n'.format(SPANS.replace('"', '""'))) * 2),
    ],
)  # fmt: skip
def test_sentences_of_tables(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    problems = Problems()
    records = list(read_tags(path, problems=problems))
    assert [(record.words, record.tags) for record in records] == [(WORDS, TAGS)] * 2
    assert not problems.counts
    assert problems.files[str(path)].form.startswith("a table of tokens and tags")
    assert [record.words for record in read_tags(path, labelled=False)] == [WORDS] * 2


@pytest.mark.parametrize(
    ("header", "fix"),
    [
        ("nr,wort,klasse\n", "--columns token=wort,tag=klasse,sentence=nr"),
        ("", "--columns token=2,tag=3,sentence=1"),
    ],
)
def test_other_names_are_proposed(tmp_path: Path, header: str, fix: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(header + numbered("0", "0") + numbered("1", "1"), "utf-8")
    with pytest.raises(ConfigError) as caught:
        list(read_tags(path))
    assert caught.value.fix == fix
    named = dict(one.split("=") for one in fix.removeprefix("--columns ").split(","))
    records = list(read_tags(path, columns=named))
    assert [(record.words, record.tags) for record in records] == [(WORDS, TAGS)] * 2

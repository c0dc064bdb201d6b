"""Every form of tagged file gives tokens at their places in a text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from polyseme.errors import ConfigError, CorpusError
from polyseme.text.labelled.records import Problems, TagRecord
from polyseme.text.labelled.sequences import read_tags
from polyseme.text.labelled.spans import space_between, tagged_tokens, tokens_of
from polyseme.text.labelled.tagging import scheme_of, spans
from stand_in import ROWS, SHARED_DATA


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def entities(record: TagRecord) -> list[tuple[str, str]]:
    found = spans(record.tags or ())
    return [(kind, record.text[record.tokens[a][0] : record.tokens[b - 1][1]]) for kind, a, b in found]


def test_conll_columns(tmp_path: Path) -> None:
    text = "-DOCSTART- -X- O\n\nAda NNP B-PER\n's POS O\r\n# SYM O\nday NN O\n\n\nBob NNP B-PER\n"
    path = write(tmp_path, "a.txt", text)
    assert list(read_tags(path)) == [
        TagRecord(
            "3", "Ada 's # day", ((0, 3), (4, 6), (7, 8), (9, 12)), ("B-PER", "O", "O", "O"), f"{path}:3"
        ),
        TagRecord("9", "Bob", ((0, 3),), ("B-PER",), f"{path}:9"),
    ]
    first = next(read_tags(path, column="2"))
    assert first.tags == ("NNP", "POS", "SYM", "NN")
    turned = write(tmp_path, "b.conll", "O\tNew York\nB\tAda\n")
    assert next(read_tags(turned, columns={"token": "2", "tag": "1"})).words == ["New York", "Ada"]


def test_chinese_characters_are_joined_without_spaces(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", "我 O\n在 O\n北 B-LOC\n京 I-LOC\n， O\n用 O\nGPT O\n4 O\n")
    (record,) = read_tags(path)
    assert record.text == "我在北京，用 GPT 4"
    assert entities(record) == [("LOC", "北京")]


@pytest.mark.parametrize(
    ("a", "b", "gap"),
    [
        ("北", "京", ""), ("，", "a", ""), ("a", "。", ""), ("我", "a", " "), ("3", "年", " "), ("it", ".", " "),
        ("“", "我", ""), ("我", "”", ""), ("“", "It", " "), ("学교", "나", " "), ("カ", "メ", ""),
    ],
)  # fmt: skip
def test_space_between(a: str, b: str, gap: str) -> None:
    assert space_between(a, b) == gap


@pytest.mark.parametrize("last", [True, 5, 2.5, "x", None])
def test_a_key_of_lists_may_hold_anything_in_one_record(tmp_path: Path, last: object) -> None:
    rows = [
        {"ctx": "Ann went", "qas": [{"q": 1}]},
        {"ctx": "Bob", "qas": [{"q": 1}]},
        {"ctx": "Eve", "qas": last},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    with pytest.raises(ConfigError, match="no text with spans"):
        list(read_tags(tmp_path / "a.jsonl"))


def test_bad_lines_take_their_sentence_with_them(tmp_path: Path) -> None:
    good = "a O\nb B-X\n\n" * 6
    path = write(
        tmp_path, "a.txt", good + "c O\nd\n\ne B-\n\nf -X\n\ng x O\n\n" + " O\nh O\n\n\u3000 O\ni O\n\n"
    )
    problems = Problems()
    records = list(read_tags(path, problems=problems))
    assert [record.text for record in records] == ["a b"] * 6 + ["h", "i"]
    assert problems.counts == {"bad_tag": 2, "blank_token": 2, "too_few_fields": 1, "too_many_fields": 1}


def test_brackets_of_the_penn_treebank_are_tags(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", "( -LRB-\nx -\n")
    assert next(read_tags(path)).tags == ("-LRB-", "-")


CONLLU = """\
# sent_id = s1
# text = I can't go to  Paris.
1\tI\tI\tPRON\tPRP\tCase=Nom\t4\tnsubj\t_\t_
2-3\tcan't\t_\t_\t_\t_\t_\t_\t_\t_
2\tca\tcan\tAUX\tMD\t_\t4\taux\t_\t_
3\tn't\tnot\tPART\tRB\t_\t4\tadvmod\t_\t_
3.1\tnothing\t_\t_\t_\t_\t_\t_\t_\t_
4\tgo\tgo\tVERB\tVB\t_\t0\troot\t_\t_
5\tto\tto\tADP\tIN\t_\t6\tcase\t_\t_
6\tParis\tParis\tPROPN\tNNP\t_\t4\tobl\t_\tSpaceAfter=No|NER=B-LOC
7\t.\t.\tPUNCT\t.\t_\t4\tpunct\t_\t_

1-2\tdu\t_\t_\t_\t_\t_\t_\t_\t_
1\tde\tde\tADP\t_\t_\t3\tcase\t_\t_
2\tle\tle\tDET\t_\t_\t3\tdet\t_\t_
3\tlac\tlac\tNOUN\t_\t_\t0\troot\t_\tSpaceAfter=No
4\t!\t!\tPUNCT\t_\t_\t3\tpunct\t_\t_
"""


def test_conllu(tmp_path: Path) -> None:
    path = write(tmp_path, "a.conllu", CONLLU)
    problems = Problems()
    one, two = read_tags(path, problems=problems)
    assert (one.id, one.text, one.where) == ("s1", "I can't go to  Paris.", f"{path}:3")
    assert one.words == ["I", "ca", "n't", "go", "to", "Paris", "."]
    assert one.tags == ("PRON", "AUX", "PART", "VERB", "ADP", "PROPN", "PUNCT")
    assert (two.id, two.text) == ("13", "du lac!")
    assert (two.words, two.tags) == (["du", "lac", "!"], ("ADP", "NOUN", "PUNCT"))
    assert problems.counts == {"no_surface": 1}
    assert next(read_tags(path, column="deprel")).tags[:2] == ("nsubj", "aux")  # type: ignore[index]
    assert next(read_tags(path, column="feats")).tags[:2] == ("Case=Nom", "_")  # type: ignore[index]
    assert next(read_tags(path, column="ner")).tags == ("O", "O", "O", "O", "O", "B-LOC", "O")
    assert next(read_tags(path, column="8")).tags[0] == "nsubj"  # type: ignore[index]
    assert next(read_tags(path, labelled=False)).tags is None
    with pytest.raises(ConfigError) as caught:
        list(read_tags(path, column="entity"))
    assert "no word has entity in MISC" in str(caught.value)
    assert "ner" in str(caught.value)


def test_conllu_dirt_is_counted(tmp_path: Path) -> None:
    def word(n: int, form: str, tag: str = "X", more: str = "") -> str:
        return f"{n}\t{form}\t_\t{tag}\t_\t_\t0\t_\t_\t_{more}\n"

    good = (word(1, "a") + "\n") * 7
    bad = [
        "# text = other words\n" + word(1, "x") + word(2, "y"),
        word(1, "b", "_"),
        word(1, "c", more="\tmore"),
        "1\tshort\n",
        word(1, "d").replace("1\t", "one\t", 1),
        "1-3\tabc\t_\t_\t_\t_\t_\t_\t_\t_\n" + word(1, "a"),
        "1-2\tabc\t_\t_\t_\t_\t_\t_\t_\t_\n",
    ]
    problems = Problems()
    records = list(read_tags(write(tmp_path, "a.conllu", good + "\n".join(bad)), problems=problems))
    assert [record.text for record in records] == ["a"] * 7 + ["x y"]
    assert problems.counts == {
        "bad_offsets": 3, "bad_tag": 1, "text_mismatch": 1, "too_few_fields": 1, "too_many_fields": 1,
    }  # fmt: skip


def test_spans_become_tokens_with_tags(tmp_path: Path) -> None:
    text = "Dr. Adamson、李明 work at IBM-Lab."
    given = [(4, 8, "PER"), (11, 14, "PER"), (22, 26, "ORG")]
    given += [(13, 14, "X"), (5, 7, "Y"), (30, 99, "Z"), (3, 4, "W"), (5, 5, "V")]
    marked = [{"start": start, "end": end, "label": label} for start, end, label in given]
    problems = Problems()
    path = write(tmp_path, "a.jsonl", json.dumps({"text": text, "spans": marked}))
    (record,) = read_tags(path, problems=problems)
    assert entities(record) == [("PER", "Adam"), ("PER", "、李明"), ("ORG", "IBM")]
    assert record.words[:5] == ["Dr", ".", "Adam", "son", "、"]
    assert problems.counts == {"empty_span": 2, "overlapping_span": 2, "span_outside": 1}


@pytest.mark.parametrize(
    ("row", "words", "tags"),
    [
        ({"tokens": ["Ada", "x"], "tags": ["B", "O"]}, ["Ada", "x"], ("B", "O")),
        ({"tokens": ["北", "京"], "ner_tags": [1, 2]}, ["北", "京"], ("1", "2")),
        ({"text": "Ada  x", "tokens": ["Ada", "x"], "tags": ["B", "O"]}, ["Ada", "x"], ("B", "O")),
        ({"text": "other", "tokens": ["Ada", " "], "tags": ["B", "O"]}, ["Ada"], ("B",)),
        ({"text": "Ada x", "label": [[0, 3, "P"]]}, ["Ada", "x"], ("B-P", "O")),
        ({"text": "去北京", "label": {"L": {"北京": [[1, 2]]}}}, ["去", "北", "京"], ("O", "B-L", "I-L")),
        ({"text": "Ada x", "entities": [{"start": 4, "end": 5, "type": "P"}]}, ["Ada", "x"], ("O", "B-P")),
        ({"text": "Ada x", "spans": []}, ["Ada", "x"], ("O", "O")),
    ],
)
def test_forms_of_json_lines(
    tmp_path: Path, row: dict[str, Any], words: list[str], tags: tuple[str, ...]
) -> None:
    path = write(tmp_path, "a.jsonl", json.dumps(row))
    (record,) = read_tags(path)
    assert (record.words, record.tags) == (words, tags)
    (plain,) = read_tags(path, labelled=False)
    assert (plain.words, plain.tags) == (words, None)
    array = write(tmp_path, "a.json", json.dumps([row], indent=1))
    assert [(record.words, record.tags) for record in read_tags(array)] == [(words, tags)]


def test_json_dirt_is_counted(tmp_path: Path) -> None:
    good = [{"text": "Ada", "spans": []}] * 12
    bad: list[Any] = [
        7,
        {"text": "Ada"},
        {"text": " ", "spans": []},
        {"spans": []},
        {"text": "Ada", "spans": [{"start": "0", "end": 3, "label": "P"}]},
        {"text": "Ada", "spans": [{"start": 0, "end": 3}]},
        {"text": "Ada", "label": "good"},
        {"tokens": ["Ada"], "tags": ["O", "O"]},
        {"tokens": ["Ada"], "tags": ["B-"]},
        {"tokens": [], "tags": []},
        {"tokens": ["Ada"]},
    ]
    path = write(tmp_path, "a.jsonl", "\n".join(map(json.dumps, [*good, *bad])))
    problems = Problems()
    assert len(list(read_tags(path, problems=problems))) == 12
    assert problems.counts == {
        "bad_json": 1, "bad_offsets": 5, "bad_tag": 1, "empty_text": 1, "missing_field": 1, "missing_label": 2,
    }  # fmt: skip


def test_without_labels_columns_and_plain_text_are_told_apart(tmp_path: Path) -> None:
    plain = write(tmp_path, "a.txt", "Ada can't go.\n\n我们走。\n")
    assert [r.words for r in read_tags(plain, labelled=False)] == [
        ["Ada", "can't", "go", "."],
        ["我", "们", "走", "。"],
    ]
    for text in ("Ada\ngoes\n\nhome\n", "Ada B-PER\ngoes O\n\nhome O\n", "Ada\tX\ngoes\tY\n\nhome\tZ\n"):
        records = list(read_tags(write(tmp_path, "b.txt", text), labelled=False))
        assert [(r.words, r.tags) for r in records] == [(["Ada", "goes"], None), (["home"], None)]


@pytest.mark.parametrize(
    ("name", "text", "options", "message"),
    [
        ("a.txt", "", {}, "no labelled text"),
        ("a.txt", "Ada\ngoes\n", {}, "no column of tags"),
        ("a.txt", "Ada O\n", {"column": "3"}, "no column 3"),
        ("a.txt", "Ada O\n", {"column": "upos"}, "columns are numbers"),
        ("a.txt", "Ada O\n", {"columns": {"tag": "pos"}}, "columns of a file without a header"),
        ("a.txt", "Ada O\n", {"columns": {"word": "1"}}, "unknown column 'word'"),
        ("a.txt", "It rains.\nIt is very wet outside.\nWe go.\n", {}, "more than half"),
        ("a.jsonl", "{}\n", {}, "more than half"),
        ("a.jsonl", "{}\n", {"column": "2"}, "a column of JSON lines"),
        ("a.conllu", CONLLU, {"columns": {"tag": "11"}}, "--columns tag=upos"),
        ("a.conllu", CONLLU, {"columns": {"token": "3"}}, "--columns tag=upos"),
        ("a.conllu", CONLLU, {"column": "11"}, "ten columns"),
        ("a.conllu", "Ada O\n", {}, "more than half"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_read_are_our_errors(
    tmp_path: Path, name: str, text: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises((ConfigError, CorpusError)) as caught:
        list(read_tags(write(tmp_path, name, text), **options))
    assert message in str(caught.value)


def test_tokens_cover_all_but_white_space() -> None:
    text = "Don't  panic，去Paris吧 １２!\u3000𠀀b"
    tokens = tokens_of(text)
    assert "".join(text[start:end] for start, end in tokens) == "".join(text.split())
    same, tags = tagged_tokens(text, [], Problems(), "")
    assert list(same) == tokens
    assert set(tags) == {"O"}


def snips_as_columns(folder: Path, target: Path) -> Path:
    """SNIPS has tokens and tags in two files, line for line."""
    with (
        (folder / "seq.in").open(encoding="utf-8") as words,
        (folder / "seq.out").open(encoding="utf-8") as tags,
    ):
        sentences = [
            "".join(f"{word} {tag}\n" for word, tag in zip(a.split(), b.split(), strict=True))
            for a, b in zip(words, tags, strict=True)
        ]
    target.write_text("\n".join(sentences), "utf-8")
    return target


def test_files_as_they_were_fetched(any_data: Path, tmp_path: Path) -> None:
    tasks, real = any_data / "tasks", any_data == SHARED_DATA
    for path, sentences, words in (
        (tasks / "ud_english_ewt/en_ewt-ud-train.conllu", 12_544, 204_577),
        (tasks / "ud_english_ewt/en_ewt-ud-dev.conllu", 2001, 25_147),
        (tasks / "ud_chinese_gsd_v1/zh-ud-dev.conllu", 500, 12_663),
        (tasks / "conll2000/test.txt", 2012, 47_377),
        (tasks / "peopledaily_ner/dev.txt", 4631, None),
        (tasks / "cluener/dev.json", 1343, None),
        (snips_as_columns(tasks / "snips/test", tmp_path / "snips.txt"), 700, None),
    ):
        problems = Problems()
        records = list(read_tags(path, problems=problems))
        assert len(records) == (sentences if real else ROWS)
        assert problems.counts == {}
        assert not real or words in (None, sum(len(record.tokens) for record in records))
        assert all(len(record.tokens) == len(record.tags or ()) for record in records)
        assert_in_order(records)
        classes = "ud" in path.parent.name
        assert scheme_of(tag for record in records for tag in record.tags or ()) == (
            None if classes else "BIO"
        )
    dev = [json.loads(line) for line in (tasks / "cluener/dev.json").read_text("utf-8").strip().split("\n")]
    for record, row in zip(read_tags(tasks / "cluener/dev.json"), dev, strict=True):
        assert record.text == row["text"]
        surfaces = [
            (kind, word) for kind, words in row["label"].items() for word, at in words.items() for _ in at
        ]
        assert sorted(entities(record)) == sorted(surfaces)


def assert_in_order(records: list[TagRecord]) -> None:
    for record in records:
        at = 0
        for start, end in record.tokens:
            assert at <= start < end <= len(record.text)
            assert not record.text[start:end].isspace()
            at = end


def test_columns_name_the_tags_of_conllu(tmp_path: Path) -> None:
    bare = (
        "1\tAda\tAda\tPROPN\tNNP\t_\t2\tnsubj\t_\tNER=B-PER\n2\tsmiles\tsmile\tVERB\tVBZ\t_\t0\troot\t_\t_\n"
    )
    for name in ("a.conllu", "a.tsv"):  # without comments a table at first sight
        path = write(tmp_path, name, bare)
        problems = Problems()
        assert next(read_tags(path, columns={"tag": "xpos"}, problems=problems)).tags == ("NNP", "VBZ")
        assert problems.files[str(path)].form == "CoNLL-U, xpos"
        assert next(read_tags(path, columns={"tag": "NER"})).tags == ("B-PER", "O")
        assert next(read_tags(path, columns={"tag": "NER"}, labelled=False)).words == ["Ada", "smiles"]
    with pytest.raises(ConfigError) as caught:
        list(read_tags(path, columns={"tag": "NRE"}))
    assert caught.value.fix == "--columns tag=ner"

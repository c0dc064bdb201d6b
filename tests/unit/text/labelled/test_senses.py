"""Uses of words from folders, tables and running text; what is wrong is counted or refused, with its place."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from polyseme.errors import ConfigError, CorpusError
from polyseme.text.labelled.records import Problems
from polyseme.text.labelled.senses import Use, occurrences, read_uses
from stand_in import ROWS, SHARED_DATA


def word_folder(folder: Path, word: str, train: str, gold: str, names: dict[str, str]) -> Path:
    place = folder / word
    place.mkdir(parents=True)
    (place / "train.data.txt").write_bytes(train.encode())
    (place / "train.gold.txt").write_bytes(gold.encode())
    (place / "classes_map.txt").write_text(json.dumps(names))
    return place


NAMES = {"0": "bank_bank", "1": "bank_bank_(geography)"}


def test_a_folder_of_one_word(tmp_path: Path) -> None:
    folder = word_folder(
        tmp_path, "bank", "1\tthe bank lends .\n3\ton  the river bank\n", "0\r\n1\r\n", NAMES
    )
    (folder / "test.data.txt").write_text("0\tbank notes")
    (folder / "test.gold.txt").write_text("0")
    assert read_uses(folder) == [
        Use("bank train 1", "the bank lends .", 4, 8, "bank", "bank", "train"),
        Use("bank train 2", "on  the river bank", 14, 18, "bank (geography)", "bank", "train"),
        Use("bank test 1", "bank notes", 0, 4, "bank", "bank", "test"),
    ]


def test_a_folder_of_words_and_some_of_them(tmp_path: Path) -> None:
    word_folder(tmp_path, "bank", "0\tbank\n", "0\n", NAMES)
    word_folder(tmp_path, "bow", "1\ta bow\n", "0\n", {"0": "bow_ship"})
    (tmp_path / "SOURCE.txt").write_text("where it is from")
    assert [use.word for use in read_uses(tmp_path)] == ["bank", "bow"]
    assert [use.sense for use in read_uses(tmp_path, ["BOW"])] == ["ship"]
    with pytest.raises(CorpusError, match="no folder of the word 'chair'"):
        read_uses(tmp_path, ["chair"])
    with pytest.raises(CorpusError, match="no use of 'chair'"):
        read_uses(tmp_path, ["bow", "chair"])


@pytest.mark.parametrize(
    ("train", "gold", "message"),
    [
        ("9\tthe bank\n", "0\n", "train.data.txt:1"),
        ("1\tthe bank\nx\tthe bank\n", "0\n0\n", "train.data.txt:2"),
        ("1 the bank\n", "0\n", "train.data.txt:1"),
        ("1\tthe bank\n", "7\n", "train.gold.txt:1"),
        ("1\tthe bank\n0\tbank\n", "0\n", "2 sentences and 1 senses"),
    ],
)
def test_a_broken_folder_is_refused_with_the_place(
    tmp_path: Path, train: str, gold: str, message: str
) -> None:
    folder = word_folder(tmp_path, "bank", train, gold, NAMES)
    with pytest.raises(CorpusError) as caught:
        read_uses(folder)
    assert message in str(caught.value)


def test_a_table_with_places(tmp_path: Path) -> None:
    file = tmp_path / "a.tsv"
    file.write_text("text\tsense\tstart\tend\tpart\nthe Bank\tmoney\t4\t8\ttrain\nbanks\triver\t0\t5\ttest\n")
    assert [(u.form, u.word, u.sense, u.part) for u in read_uses(file)] == [
        ("Bank", "bank", "money", "train"),
        ("banks", "banks", "river", "test"),
    ]
    assert {u.word for u in read_uses(file, ["bank"])} == {"bank"}


def test_a_table_with_words_takes_the_first_place_and_counts_the_others(tmp_path: Path) -> None:
    rows = [
        {"sentence": "a banker at the bank", "target": "bank", "gloss": "money"},
        {"sentence": "Bank after bank", "target": "bank", "gloss": "money"},
        {"sentence": "no such word", "target": "bank", "gloss": "money"},
        {"sentence": "the bank", "target": "bank", "gloss": None},
        {"sentence": "the bank", "target": "bank", "gloss": 3},
    ]
    file = tmp_path / "a.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    problems = Problems()
    uses = read_uses(file, problems=problems)
    assert [(u.start, u.sense) for u in uses] == [(16, "money"), (0, "money"), (4, "3")]
    assert problems.counts == {"ambiguous_word": 1, "lost_word": 1, "missing_label": 1}
    assert any("a.jsonl:2" in line for line in problems.summary())


def test_bad_places_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    good = "the bank,s,4,8\n" * 4
    file.write_text("text,sense,start,end\n" + good + "the bank,s,4,9\nthe bank,s,x,8\nthe bank,s,3,4\n")
    problems = Problems()
    assert len(read_uses(file, problems=problems)) == 4
    assert problems.counts == {"bad_offsets": 1, "empty_span": 1, "span_outside": 1}


def test_a_table_that_does_not_say_where_the_word_is(tmp_path: Path) -> None:
    file = tmp_path / "a.tsv"
    file.write_text("text\tsense\nthe bank\tmoney\n")
    with pytest.raises(ConfigError, match="where the word is"):
        read_uses(file)
    assert [use.start for use in read_uses(file, ["bank"])] == [4]
    with pytest.raises(ConfigError, match="no column 'meaning'"):
        read_uses(file, ["bank"], columns={"sense": "meaning"})


def test_a_table_without_senses_gives_every_occurrence(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "a bank and a bank"}\n{"text": "nothing"}\n')
    uses = read_uses(file, ["bank"])
    assert [(use.start, use.sense, use.word) for use in uses] == [(2, None, "bank"), (13, None, "bank")]
    with pytest.raises(ConfigError, match="no word is named"):
        read_uses(file)


def test_rows_without_senses_are_cut_into_the_sentences_of_their_language(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    long = "这一句话只是用来占满地方的，什么也没有说。" * 40
    file.write_text(json.dumps({"text": f"{long}我们用Java写程序。{long}"}), "utf-8")
    (use,) = read_uses(file, ["Java"])
    assert use.form == "Java"
    assert "我们用Java写程序。" in use.text
    assert len(use.text) <= 500


def test_running_text_gives_sentences_around_the_word(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    long = "This sentence only fills the page and says nothing of interest to anybody at all. " * 20
    file.write_text(f"{long}\nHe sat on the\nbank of the river. Banks are closed. {long}")
    (use,) = read_uses(file, ["bank"])
    assert use.form == "bank"
    assert "He sat on the bank of the river. Banks are closed." in use.text
    assert len(use.text) <= 500
    with pytest.raises(CorpusError, match="no use of 'shore'"):
        read_uses(file, ["shore"])
    with pytest.raises(ConfigError, match="no word is named"):
        read_uses(file)


def test_repeated_contexts_of_running_text_are_one(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text("The bank is closed.")
    assert len(read_uses(tmp_path, ["bank"])) == 1


def test_chinese_words_are_found_in_words_but_characters_only_alone(tmp_path: Path) -> None:
    assert occurrences("苹果公司卖苹果。", "苹果") == [(0, 2), (5, 7)]
    assert occurrences("河里的水很深，水平很高", "水") == [(3, 4)]
    file = tmp_path / "a.txt"
    file.write_text("我吃了一个苹果。苹果发布了新的手机。\n" * 2, "utf-8")
    assert [use.form for use in read_uses(file, ["苹果"])] == ["苹果"] * 4


def test_latin_words_are_found_beside_chinese_characters(tmp_path: Path) -> None:
    assert occurrences("用Java写，不用JavaScript，也不用_java", "java") == [(1, 5)]
    assert occurrences("看NBA股，买A股和a股", "A股") == [(7, 9), (10, 12)]
    file = tmp_path / "a.tsv"
    file.write_text("text\tword\tsense\n我们用Java写程序\tJava\tcode\n", "utf-8")
    assert [(use.start, use.form) for use in read_uses(file)] == [(3, "Java")]


@pytest.mark.parametrize("word", ["", " "])
def test_an_empty_word_is_refused(tmp_path: Path, word: str) -> None:
    file = tmp_path / "a.txt"
    file.write_text("The bank is closed. It was open.")
    with pytest.raises(ConfigError, match="an empty word"):
        read_uses(file, [word])


def test_places_of_other_words_are_not_taken_for_the_one_that_is_asked_for(tmp_path: Path) -> None:
    rows = [("the bank", 4, 8, "money"), ("banks", 0, 5, "river"), ("to java", 3, 7, "island")]
    file = tmp_path / "a.jsonl"
    file.write_text(
        "".join(
            json.dumps(dict(zip(("text", "start", "end", "sense"), row, strict=True))) + "\n" for row in rows
        )
    )
    problems = Problems()
    uses = read_uses(file, ["bank"], problems=problems)
    assert [(use.word, use.form) for use in uses] == [("bank", "bank"), ("bank", "banks")]
    assert problems.counts == {"other_word": 1}
    assert [use.word for use in read_uses(file)] == ["bank", "banks", "java"]
    named = tmp_path / "b.jsonl"
    named.write_text(json.dumps({"text": "she went", "word": "go", "start": 4, "end": 8, "sense": "move"}))
    assert [(use.word, use.form) for use in read_uses(named, ["go"])] == [("go", "went")]


def test_halves_of_surrogate_pairs_stand_nowhere(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    row = {
        "text": "the bank \ud800",
        "start": 4,
        "end": 8,
        "word": "b\ud800",
        "sense": "s\udfff",
        "id": "\ud801",
    }
    file.write_text(json.dumps(row))
    problems = Problems()
    (use,) = read_uses(file, problems=problems)
    assert (use.text, use.word, use.sense, use.id) == ("the bank \ufffd", "b\ufffd", "s\ufffd", "\ufffd")
    assert problems.counts == {"lone_surrogate": 4}


def test_a_limit_draws_the_same_uses_whatever_their_order(tmp_path: Path) -> None:
    lines = [f"number {i} bank\tbank\t{i % 2}\n" for i in range(30)]
    (tmp_path / "a.tsv").write_text("text\tword\tsense\n" + "".join(lines))
    (tmp_path / "b.tsv").write_text("text\tword\tsense\n" + "".join(reversed(lines)))
    first, second = (read_uses(tmp_path / name, limit=7) for name in ("a.tsv", "b.tsv"))
    assert len(first) == 7
    assert {use.text for use in first} == {use.text for use in second}
    assert [int(use.text.split()[1]) for use in first] == sorted(int(use.text.split()[1]) for use in first)


def test_coarsewsd_is_read_as_its_readme_says(any_data: Path) -> None:
    uses = read_uses(any_data / "tasks" / "coarsewsd20")
    real = any_data == SHARED_DATA
    assert len({use.word for use in uses}) == (10 if real else 2)
    assert all(use.form == use.word for use in uses)
    assert {use.sense for use in uses if use.word == "bank"} == {"bank", "bank (geography)"}
    assert sum(use.part == "test" for use in uses if use.word == "java") == (1929 if real else ROWS)


def test_the_words_that_come_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    problems = Problems()
    uses = read_uses("chinese-senses", problems=problems)
    assert not problems.summary()
    counts = Counter((use.word, use.sense) for use in uses)
    assert len({word for word, _ in counts}) == 10
    assert {*counts.values()} == {20}
    assert len({use.text for use in uses}) == len(uses) == 400
    assert all(use.text.count(use.word) == 1 for use in uses), "no place is in doubt"
    (tmp_path / "chinese-senses").mkdir()  # a folder of one's own is meant where there is one
    with pytest.raises(CorpusError):
        read_uses("chinese-senses", ["苹果"])

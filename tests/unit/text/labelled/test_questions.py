"""Questions keep answers only where they stand in the text; nothing becomes unanswerable on the way."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from polyseme.errors import ConfigError, CorpusError
from polyseme.text.labelled.questions import read_questions
from polyseme.text.labelled.records import Problems, QuestionRecord
from stand_in import SHARED_DATA

CONTEXT = "Ada met  Bob in Paris. Bob went home; Ada stayed in Paris."


def squad(folder: Path, qas: list[dict[str, Any]], context: Any = CONTEXT, name: str = "a.json") -> Path:
    path = folder / name
    value = {"version": "x", "data": [{"title": "T", "paragraphs": [{"context": context, "qas": qas}]}]}
    path.write_text(json.dumps(value, indent=1), "utf-8")
    return path


def qa(text: str, start: Any, id: Any = "q", **more: Any) -> dict[str, Any]:
    return {"id": id, "question": "Who?", "answers": [{"text": text, "answer_start": start}], **more}


def answers(path: Path, problems: Problems | None = None, **options: Any) -> list[Any]:
    return [record.answers for record in read_questions(path, problems=problems, **options)]


def test_squad_json(tmp_path: Path) -> None:
    path = squad(
        tmp_path, [qa("Ada", 0), {"id": "r", "question": "Why?", "answers": [], "is_impossible": True}]
    )
    assert list(read_questions(path)) == [
        QuestionRecord("q", "Who?", CONTEXT, (("Ada", 0),), "T", f"{path}: question q"),
        QuestionRecord("r", "Why?", CONTEXT, (), "T", f"{path}: question r"),
    ]
    packed = tmp_path / "a.json.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert answers(packed) == [(("Ada", 0),), ()]
    assert answers(path, labelled=False) == [None, None]


@pytest.mark.parametrize(
    ("text", "start", "found"),
    [
        ("Paris", 16, ("Paris", 16)),
        ("Paris", 15, ("Paris", 16)),
        ("Paris", 45, ("Paris", 52)),
        ("Paris", 34, ("Paris", 16)),  # as near as the other one: the first
        ("Paris", 10_000, ("Paris", 52)),
        ("Paris", -7, ("Paris", 16)),
        ("Paris", None, ("Paris", 16)),
        ("Paris", "52", ("Paris", 52)),
        ("Paris", 52.0, ("Paris", 52)),
        (" Paris ", 0, ("Paris", 16)),
        ("met Bob", 4, ("met  Bob", 4)),
        ("Bob\u00a0went", 23, ("Bob went", 23)),
        ("Paris . Bob", 16, ("Paris. Bob", 16)),
        ("home ;", 0, ("home;", 32)),
    ],
)
def test_an_answer_is_found_nearest_to_its_start(
    tmp_path: Path, text: str, start: Any, found: tuple[str, int]
) -> None:
    problems = Problems()
    (one,) = answers(squad(tmp_path, [qa(text, start)]), problems)
    assert one == (found,)
    assert CONTEXT[found[1] :].startswith(found[0])
    moved = start is not None and (text, int(start)) != found
    assert problems.counts == (
        {"moved_answer": 1} if moved else {"ambiguous_answer": 1} if start is None else {}
    )


@pytest.mark.parametrize("text", ["London", "met Bo binary", "aris. B ob w", "", "  "])
def test_a_question_is_not_made_unanswerable_by_losing_its_answers(tmp_path: Path, text: str) -> None:
    problems = Problems()
    found = answers(squad(tmp_path, [qa("Ada", 0), qa(text, 0, "r"), qa("Bob", 9, "s")]), problems)
    assert found == [(("Ada", 0),), (("Bob", 9),)]
    assert problems.counts == {"lost_answer": 1, "lost_question": 1}


def test_one_lost_answer_of_several_is_left_out(tmp_path: Path) -> None:
    one = qa("Ada", 0)
    one["answers"] += [{"text": "London", "answer_start": 3}, {"text": "Bob", "answer_start": 9}]
    problems = Problems()
    assert answers(squad(tmp_path, [one]), problems) == [(("Ada", 0), ("Bob", 9))]
    assert problems.report() == {
        "lost_answer": {
            "count": 1,
            "examples": [{"where": f"{tmp_path}/a.json: question q", "got": "London"}],
        }
    }


def test_what_squad_files_lack_is_counted(tmp_path: Path) -> None:
    good = [qa("Ada", 0, f"g{i}") for i in range(8)]
    bad: list[dict[str, Any]] = [
        {"id": "a", "question": "Who?"},
        {"id": "b", "question": "Who?", "answers": None},
        {"id": "c", "question": "", "answers": []},
        {"id": "d", "answers": []},
        {"id": "e", "question": "Who?", "answers": [{"answer_start": 3}]},
    ]
    problems = Problems()
    marked = qa("Ada", 0, "h", is_impossible=True)
    found = answers(squad(tmp_path, [*good, *bad, marked, qa("Bob", 9, "g0")]), problems)
    assert found == [(("Ada", 0),)] * 8 + [(), (("Bob", 9),)]
    assert problems.counts == {
        "empty_text": 1,
        "impossible_with_answers": 1,
        "missing_answer": 3,
        "missing_field": 1,
        "repeated_id": 1,
    }


def test_rows_of_csv_and_json(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows(
            [
                ["id", "question", "passage", "answer", "start", "title"],
                ["1", "Who?", CONTEXT, "Bob", "(9, 12)", "A"],
                ["1", "Who stays?", CONTEXT, "Ada", "38", "A"],
                ["2", "Why?", CONTEXT, "", "-1", "B"],
                ["3", "Who?", CONTEXT, "", "", "B"],
            ]
        )
    problems = Problems()
    records = list(read_questions(table, problems=problems))
    assert [(r.id, r.answers, r.group) for r in records] == [
        ("1", (("Bob", 9),), "A"),
        ("1#2", (("Ada", 38),), "A"),
        ("2", (), "B"),
    ]
    assert problems.counts == {"missing_answer": 1, "repeated_id": 1}
    rows: list[dict[str, Any]] = [
        {"answers": {"text": ["Ada", "Bob"], "answer_start": [0, 9]}},
        {"answers": {"text": [], "answer_start": []}},
        {"answers": []},
        {"answers": ["Bob"]},
        {"answers": [{"text": "Ada", "answer_start": 38}]},
        {"answers": "home"},
        {"answers": {"text": "home", "answer_start": 32}},
    ]
    expected = [
        (("Ada", 0), ("Bob", 9)),
        (),
        (),
        (("Bob", 9),),
        (("Ada", 38),),
        (("home", 32),),
        (("home", 32),),
    ]
    lines = [{"question": "Who?", "context": CONTEXT, **row} for row in rows]
    for name, text in (
        ("a.jsonl", "\n".join(map(json.dumps, lines))),
        ("b.json", "\n".join(map(json.dumps, lines))),
        ("c.json", json.dumps(lines, indent=2)),
        ("d.json", json.dumps({"data": lines})),
    ):
        path = tmp_path / name
        path.write_text(text, "utf-8")
        assert answers(path) == expected


def test_ids_stay_unique_when_numbered_ones_are_there_already(tmp_path: Path) -> None:
    path = squad(tmp_path, [qa("Ada", 0, id) for id in ("q#2", "q", "q", "q", "q#2")])
    ids = [record.id for record in read_questions(path)]
    assert len(set(ids)) == len(ids) == 5


def test_a_word_for_no_answer_is_cut_off_and_understood(tmp_path: Path) -> None:
    context = CONTEXT + " ANSWERNOTFOUND"
    qas = [qa("ANSWERNOTFOUND", 59, "a"), qa("Ada", 0, "b"), qa("ANSWERNOTFOUND", 59, "c")]
    qas[2]["answers"].append({"text": "Bob", "answer_start": 9})
    problems = Problems()
    records = list(read_questions(squad(tmp_path, qas, context), problems=problems))
    assert [record.answers for record in records] == [(), (("Ada", 0),), (("Bob", 9),)]
    assert {record.context for record in records} == {CONTEXT}
    assert problems.counts == {"no_answer_word": 3}
    path = squad(tmp_path, [qa("无答案", 0, "a"), qa("天气", 2, "b")], "今天天气很好。无答案", "b.json")
    assert answers(path, no_answer="无答案") == [(), (("天气", 2),)]
    # Without such a word at the end of the context the answer is text that is lost, not "no answer".
    plain = squad(tmp_path, [qa("ANSWERNOTFOUND", 0, "a"), qa("Ada", 0, "b")])
    assert answers(plain) == [(("Ada", 0),)]
    assert answers(plain, no_answer="ANSWERNOTFOUND") == [(), (("Ada", 0),)]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "", "no labelled text"),
        ("a.json", '{"data": []}', "no labelled text"),
        ("a.json", '{"data": [{"paragraphs": [{"qas"', "not JSON"),
        ("a.json", "[" * 100_000, "array is broken"),
        ("a.json", "5", "more than half"),
        ("a.json", '{"data": [{"paragraphs": 7}]}', "no labelled text"),
        ("a.json", '{"data": [{"paragraphs": [{"qas": [{"id": 1}, 5]}]}]}', "more than half"),
        ("a.csv", "question,context\nWho?,Ada\n", "no column for answer"),
        ("a.jsonl", "not json\n", "more than half"),
        ("a.txt", "plain text\n", "not JSON"),
        ("a.txt", "1\n2\n3\n", "not JSON"),
    ],
)
def test_files_without_questions_are_our_errors(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises((CorpusError, ConfigError)) as caught:
        list(read_questions(tmp_path / name))
    assert message in str(caught.value)


def test_columns_of_squad_json_are_fixed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="fixed keys"):
        list(read_questions(squad(tmp_path, [qa("Ada", 0)]), columns={"answer": "a"}))


def test_files_as_they_were_fetched(any_data: Path) -> None:
    tasks, real = any_data / "tasks", any_data == SHARED_DATA
    for name, n, groups in (
        ("cmrc2018/cmrc2018_dev.json", 3219, 848),
        ("cmrc2018/cmrc2018_trial.json", 1002, 256),
        ("squad_shifts/new_wiki_v1.0.json.gz", 7936, 48),
        ("squad_shifts/nyt_v1.0.json.gz", 10_056, 797),
    ):
        if not (real or (tasks / name).is_file()):
            continue
        n, groups = (n, groups) if real else (120, 1)
        problems = Problems()
        records = list(read_questions(tasks / name, problems=problems))
        assert len(records) + problems.counts.get("empty_text", 0) == n  # two questions of trial are empty
        assert len({record.id for record in records}) == len(records)
        assert len({record.group for record in records}) == groups
        assert_in_place(records)
    rows = moved = lost = none = 0
    for name, n in (("electronics.train", 2345), ("electronics.dev", 261), ("grocery.test", 1188)):
        problems, n = Problems(), n if real else 100
        records = list(read_questions(tasks / f"subjqa/{name}.csv", problems=problems))
        assert len(records) + problems.counts.get("lost_question", 0) == n
        assert problems.counts["no_answer_word"] == n
        assert not any("ANSWERNOTFOUND" in record.context for record in records)
        assert len({record.id for record in records}) == len(records)
        assert_in_place(records)
        rows += n
        moved += problems.counts["moved_answer"]
        lost += problems.counts.get("lost_answer", 0)
        none += sum(record.answers == () for record in records)
    assert 0.08 < (moved + lost) / rows < 0.10  # the 9 % that SOURCE.txt speaks of
    assert 0.5 < none / rows < 0.6
    assert lost < 0.5 * moved


def assert_in_place(records: list[QuestionRecord]) -> None:
    for record in records:
        for text, start in record.answers or ():
            assert text
            assert record.context[start : start + len(text)] == text


PASSAGE = "Ada is in Paris."
QAS = [
    {
        "id": "1",
        "question": "Where?",
        "answers": [{"text": "Paris", "answer_start": 10}],
        "is_impossible": False,
    }
]
FORMS: dict[str, str] = {
    "simpletransformers.json": json.dumps([{"context": PASSAGE, "qas": QAS}]),
    "simpletransformers.jsonl": json.dumps({"context": PASSAGE, "qas": QAS}) + "\n",
    "cmrc.json": json.dumps(
        [
            {
                "context_id": "T", "context_text": PASSAGE, "title": "t",
                "qas": [{"query_id": "1", "query_text": "Where?", "answers": ["Paris"]}],
            }
        ]
    ),
    "mrqa.jsonl": json.dumps({"header": {"dataset": "x"}})
    + "\n"
    + json.dumps(
        {
            "context": PASSAGE,
            "qas": [
                {
                    "qid": "1", "question": "Where?", "answers": ["Paris"],
                    "detected_answers": [{"text": "Paris", "char_spans": [[10, 14]]}],
                }
            ],
        }
    )
    + "\n",
    "article.json": json.dumps({"title": "t", "paragraphs": [{"context": PASSAGE, "qas": QAS}]}),
    "articles.jsonl": json.dumps({"title": "t", "paragraphs": [{"context": PASSAGE, "qas": QAS}]}) + "\n",
    "flat.json": json.dumps(
        {"data": [{"paragraphs": [{"context": PASSAGE, "qas": [{"id": 1, "question": "Where?", "answer": "Paris"}]}]}]}
    ),
    "datasets.jsonl": json.dumps(
        {"id": "1", "context": PASSAGE, "question": "Where?", "answers": {"text": ["Paris"], "answer_start": [10]}}
    )
    + "\n",
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_every_level_of_squads_form(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(FORMS[name], "utf-8")
    problems = Problems()
    (record,) = read_questions(path, problems=problems)
    assert (record.id, record.question, record.context) == ("1", "Where?", PASSAGE)
    assert record.answers == (("Paris", 10),)
    assert not problems.counts


def test_other_keys_are_proposed_by_what_they_hold(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"passage_text": PASSAGE, "q": "Where?", "a": "Paris"}]), "utf-8")
    with pytest.raises(ConfigError) as caught:
        list(read_questions(path))
    assert caught.value.fix == "--columns question=q,context=passage_text,answer=a"
    columns = {"question": "q", "context": "passage_text", "answer": "a"}
    assert [record.answers for record in read_questions(path, columns=columns)] == [(("Paris", 10),)]


def test_questions_inside_of_rows_under_other_keys_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"passage": PASSAGE, "questions": [{"q": "Where?", "a": "Paris"}]}]), "utf-8")
    with pytest.raises(ConfigError, match="under 'questions'") as caught:
        list(read_questions(path))
    assert "in questions: q, a" in str(caught.value)

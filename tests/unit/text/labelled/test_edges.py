from __future__ import annotations

import json
from pathlib import Path

import pytest

from polyseme.errors import ConfigError, CorpusError
from polyseme.text.labelled.edges import edge_task_of, read_edges
from polyseme.text.labelled.records import Problems
from stand_in import ROWS, SHARED_DATA

CONLLU = """# sent_id = one
# text = She can't sleep.
1\tShe\tshe\tPRON\tPRP\t_\t4\tnsubj\t_\t_
2-3\tcan't\t_\t_\t_\t_\t_\t_\t_\t_
2\tca\tcan\tAUX\tMD\t_\t4\taux\t_\t_
3\tn't\tnot\tPART\tRB\t_\t4\tadvmod\t_\t_
4\tsleep\tsleep\tVERB\tVB\t_\t0\troot\t_\tSpaceAfter=No
4.1\tnothing\t_\t_\t_\t_\t_\t_\t_\t_
5\t.\t.\tPUNCT\t.\t_\t4\tpunct\t_\t_

"""
CHUNKS = "He PRP B-NP\nreckons VBZ B-VP\nthe DT B-NP\ndeficit NN I-NP\n. . O\n\nYes UH B-INTJ\n"
RELATIONS = (
    '1\t"An arrayed <e1>configuration</e1> of antenna <e2>elements</e2>."\nComponent-Whole(e2,e1)\nComment: Not 2 "x"\n'
    '\n2\t"The <e2> child </e2> in the <e1>cradle</e1>"\nOther\nComment:\n'
)


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def found(path: Path, task: str, problems: Problems | None = None, **how: str) -> list[list[tuple]]:
    """Targets as texts: (span, other span, labels)."""
    return [
        [
            (r.text[slice(*t.span1)], None if t.span2 is None else r.text[slice(*t.span2)], t.labels)
            for t in r.targets
        ]
        for r in read_edges(path, task, problems=problems, **how)  # type: ignore[arg-type]
    ]


def test_every_word_of_conllu_is_a_span(tmp_path: Path) -> None:
    path = write(tmp_path / "a.conllu", CONLLU)
    assert edge_task_of(path) == "pos"
    words = [
        ("She", None, ("PRON",)),
        ("ca", None, ("AUX",)),
        ("n't", None, ("PART",)),
        ("sleep", None, ("VERB",)),
        (".", None, ("PUNCT",)),
    ]
    assert found(path, "pos") == [words]
    assert [labels for _, _, labels in found(path, "pos", column="xpos")[0]] == [
        ("PRP",),
        ("MD",),
        ("RB",),
        ("VB",),
        (".",),
    ]


def test_dependencies_lead_from_the_word_to_its_head(tmp_path: Path) -> None:
    (record,) = read_edges(write(tmp_path / "a.conllu", CONLLU), "dependencies")
    assert record.text == "She can't sleep."
    assert record.id == "one"
    assert found(tmp_path / "a.conllu", "dependencies") == [
        [
            ("She", "sleep", ("nsubj",)),
            ("ca", "sleep", ("aux",)),
            ("n't", "sleep", ("advmod",)),
            (".", "sleep", ("punct",)),
        ]
    ]


def test_a_head_that_is_not_written_is_counted(tmp_path: Path) -> None:
    text = (
        "1-2\tzum\t_\t_\t_\t_\t_\t_\t_\t_\n1\tzu\t_\tADP\t_\t_\t3\tcase\t_\t_\n"
        "2\tdem\t_\tDET\t_\t_\t3\tdet\t_\t_\n3\tHaus\t_\tNOUN\t_\t_\t2\tdep\t_\t_\n\n"
    )
    problems = Problems()
    assert found(write(tmp_path / "a.conllu", text), "dependencies", problems) == [
        [("zum", "Haus", ("case",))]
    ]
    assert problems.counts == {"no_head": 1, "no_surface": 1}
    assert problems.report()["no_head"]["examples"][0]["where"].endswith("a.conllu:1")


def test_dependencies_want_conllu(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        list(read_edges(write(tmp_path / "a.txt", "\n" + CHUNKS), "dependencies"))
    assert str(error.value.where).endswith("a.txt:1")


@pytest.mark.parametrize("suffix", [".conllu", ".conll"])
def test_dependencies_go_by_the_lines_and_not_by_the_name(tmp_path: Path, suffix: str) -> None:
    assert len(found(write(tmp_path / f"a{suffix}", CONLLU), "dependencies")[0]) == 4


def test_chunks_are_spans_of_words(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", CHUNKS)
    assert edge_task_of(path) == "chunks"
    assert found(path, "chunks") == [
        [("He", None, ("NP",)), ("reckons", None, ("VP",)), ("the deficit", None, ("NP",))],
        [("Yes", None, ("INTJ",))],
    ]
    assert found(path, "pos", column="2")[1] == [("Yes", None, ("UH",))]


def test_spans_need_tags_of_spans(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", CHUNKS)
    with pytest.raises(ConfigError, match="chunks needs tags of spans") as error:
        list(read_edges(path, "chunks", column="2"))
    assert error.value.where == f"{path}:1"


def test_entities_of_chinese_columns_and_of_json_lines(tmp_path: Path) -> None:
    columns = write(tmp_path / "a.txt", "中 B-ORG\n共 I-ORG\n在 O\n北 B-LOC\n京 I-LOC\n")
    assert edge_task_of(columns) == "ner"
    assert found(columns, "ner") == [[("中共", None, ("ORG",)), ("北京", None, ("LOC",))]]
    line = {"text": "Ada in Paris", "spans": [{"start": 7, "end": 12, "label": "LOC"}]}
    lines = write(tmp_path / "a.jsonl", json.dumps(line))
    assert edge_task_of(lines) == "ner"
    assert found(lines, "ner") == [[("Paris", None, ("LOC",))]]


def test_relations_of_semeval(tmp_path: Path) -> None:
    path = write(tmp_path / "a.TXT", RELATIONS)
    assert edge_task_of(path) == "relations"
    first, second = read_edges(path, "relations")
    assert first.text == "An arrayed configuration of antenna elements."
    assert (second.id, second.where) == ("2", f"{path}:5")
    assert found(path, "relations") == [
        [("configuration", "elements", ("Component-Whole(e2,e1)",))],
        [("cradle", "child", ("Other",))],
    ]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ('9\t"No <e1>mark</e1> of the second"\nOther\n', "bad_marks"),
        ('9\t"Two <e1>a</e1> <e1>b</e1> <e2>c</e2>"\nOther\n', "bad_marks"),
        ('9\t"<e1></e1> empty <e2>c</e2>"\nOther\n', "bad_marks"),
        ('9\t"An <e1>open mark and <e2>c</e2> behind it"\nOther\n', "bad_marks"),
        ('9\t"<e1>a</e1> ends</e1> twice <e2>c</e2> here"\nOther\n', "bad_marks"),
        ("without a number\n", "bad_marks"),
        ('9\t"<e1>a</e1> <e2>c</e2>"\n', "missing_label"),
    ],
)
def test_bad_relations_are_counted_with_their_place(tmp_path: Path, line: str, kind: str) -> None:
    problems = Problems()
    path = write(tmp_path / "a.txt", RELATIONS + "\n" + line)
    assert len(list(read_edges(path, "relations", problems=problems))) == 2
    assert problems.counts == {kind: 1}
    assert problems.report()[kind]["examples"][0]["where"] == f"{path}:9"


def test_edges_of_jiant(tmp_path: Path) -> None:
    records = [
        {
            "text": "The  important thing is \u00a0here",
            "targets": [
                {"span1": [1, 3], "label": "NP", "info": {}},
                {"span1": [4, 5], "label": ["ADVP", "X", "X"]},
                {"span1": [0, 1], "label": []},
            ],
        },
        {"text": "a b", "targets": [{"span1": [0, 1], "span2": [1, 2], "label": "r"}]},
    ]
    path = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, records)))
    assert edge_task_of(path) == "edges"
    assert found(path, "edges") == [
        [
            ("important thing", None, ("NP",)),
            ("here", None, ("ADVP", "X")),
            ("The", None, ()),
        ],
        [("a", "b", ("r",))],
    ]


@pytest.mark.parametrize(
    ("target", "kind", "kept"),
    [
        ({"span1": [0, 3], "label": "x"}, "span_outside", 3),
        ({"span1": [1, 1], "label": "x"}, "span_outside", 3),
        ({"span1": [0], "label": "x"}, "bad_offsets", 2),
        ({"span1": [0, True], "label": "x"}, "bad_offsets", 2),
        ({"span1": [0, 1]}, "missing_label", 2),
        ({"span1": [0, 1], "label": 3}, "bad_label", 2),
        ("no object", "missing_label", 2),
    ],
)
def test_bad_edges_are_counted_with_their_place(tmp_path: Path, target: object, kind: str, kept: int) -> None:
    good = {"text": "a b", "targets": [{"span1": [0, 1], "label": "x"}]}
    path = tmp_path / "a.jsonl"
    write(path, "\n".join(map(json.dumps, [good, {"text": "a b", "targets": [target]}, good])))
    problems = Problems()
    assert len(list(read_edges(path, "edges", problems=problems))) == kept
    assert problems.counts == {kind: 1}
    assert problems.report()[kind]["examples"][0]["where"] == f"{path}:2"


def test_halves_of_surrogate_pairs_stand_nowhere(tmp_path: Path) -> None:
    target = {"span1": [0, 1], "label": ["x\ud800", "y"]}
    path = write(tmp_path / "a.jsonl", json.dumps({"id": "\udfff", "text": "a \ud800", "targets": [target]}))
    (record,) = read_edges(path, "edges")
    assert (record.id, record.text, record.targets[0].labels) == ("\ufffd", "a \ufffd", ("x\ufffd", "y"))
    tagged = write(tmp_path / "b.jsonl", json.dumps({"tokens": ["a", "b"], "tags": ["X\ud800", "Y"]}))
    (record,) = read_edges(tagged, "pos")
    assert [target.labels for target in record.targets] == [("X\ufffd",), ("Y",)]


def test_a_task_that_is_none_and_columns_where_there_are_none(tmp_path: Path) -> None:
    path = write(tmp_path / "a.conllu", CONLLU)
    with pytest.raises(ConfigError, match="no such task"):
        read_edges(path, "poss")
    with pytest.raises(ConfigError, match="has its columns by itself"):
        read_edges(path, "dependencies", column="xpos")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="more than half"):
        list(read_edges(write(tmp_path / "a.txt", "a\nb\nc\n"), "relations"))


def test_files_as_they_were_fetched_are_read_whole(any_data: Path) -> None:
    tasks, real = any_data / "tasks", any_data == SHARED_DATA
    train = list(read_edges(tasks / "semeval2010_task8" / "TRAIN_FILE.TXT", "relations"))
    test = list(read_edges(tasks / "semeval2010_task8" / "TEST_FILE_FULL.TXT", "relations"))
    assert (len(train), len(test)) == ((8000, 2717) if real else (ROWS, ROWS))
    assert len({record.targets[0].labels for record in train}) == 19
    dev, problems = tasks / "ud_english_ewt" / "en_ewt-ud-dev.conllu", Problems()
    words = sum(len(r.targets) for r in read_edges(dev, "pos", problems=problems))
    lost = problems.counts.get("no_surface", 0)
    assert words + lost == (25_147 if real else 9 * ROWS)
    arcs = list(read_edges(dev, "dependencies"))
    assert sum(len(r.targets) for r in arcs) >= words - 2 * len(arcs)
    assert edge_task_of(tasks / "conll2000" / "test.txt") == "chunks"
    assert edge_task_of(tasks / "peopledaily_ner" / "dev.txt") == "ner"

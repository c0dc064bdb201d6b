"""Exports of annotation tools are read as they are, for each task that fits; for others the error names the task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from polyseme.errors import ConfigError, CorpusError
from polyseme.text.labelled.records import Problems, TagRecord
from polyseme.text.labelled.sequences import read_tags
from polyseme.text.labelled.tables import read_texts
from polyseme.text.labelled.tagging import spans

TEXTS = ["Otto Brandt moved to Grayford.", "Mara Lind stays in Port Alma.", "Paul Weir left Hilltown."]
SPANS = [
    [(0, 11, "PER"), (21, 29, "LOC")],
    [(0, 9, "PER"), (19, 28, "LOC")],
    [(0, 9, "PER"), (15, 23, "LOC")],
]
BOTH = list(zip(TEXTS, SPANS, strict=True))
MOODS = list(zip(TEXTS, "aba", strict=True))
NAMES = [("PER", "Otto Brandt"), ("LOC", "Grayford")]


def lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def entities(record: TagRecord) -> list[tuple[str, str]]:
    found = spans(record.tags or ())
    return [(kind, record.text[record.tokens[a][0] : record.tokens[b - 1][1]]) for kind, a, b in found]


def regions(text: str, marked: list[tuple[int, int, str]]) -> list[dict[str, Any]]:
    """Label Studio's."""
    return [
        {
            "value": {"start": a, "end": b, "text": text[a:b], "labels": [kind]},
            "id": f"r{a}", "from_name": "label", "to_name": "text", "type": "labels",
        }
        for a, b, kind in marked
    ]  # fmt: skip


def choices(*names: str, tag: str = "sentiment") -> list[dict[str, Any]]:
    return [{"value": {"choices": list(names)}, "from_name": tag, "to_name": "text", "type": "choices"}]


def task(result: list[Any], **more: Any) -> dict[str, Any]:
    done = {"completed_by": 1, "was_cancelled": False, "ground_truth": False, "result": result}
    return {"annotations": [done | more], "predictions": [], "drafts": []}


def prodigy(text: str, answer: str, **more: Any) -> dict[str, Any]:
    tokens = [{"text": text.split()[0], "start": 0, "end": len(text.split()[0]), "id": 0, "ws": True}]
    return {"text": text, "_input_hash": 1, "tokens": tokens, "answer": answer} | more


def objects(marked: list[tuple[int, int, str]], *names: str) -> list[dict[str, Any]]:
    start, end, label = names
    return [{start: a, end: b, label: kind} for a, b, kind in marked]


PAIRS = [[text, {"entities": [list(one) for one in some]}] for text, some in BOTH]
DOCUMENT = {
    "orth": ["Otto", "Brandt", "moved", "to", "Grayford", "."],
    "ner": ["B-PER", "L-PER", "O", "O", "U-LOC", "O"],
}
TOKENS = list(zip(*DOCUMENT.values(), strict=True))
TAGGED: dict[str, str] = {
    "doccano-entities.jsonl": lines(
        [
            {"id": 1, "text": t, "entities": objects(s, "start_offset", "end_offset", "label"), "relations": []}
            | {"Comments": []}
            for t, s in BOTH
        ]
    ),
    "doccano-label.jsonl": lines([{"text": t, "label": s, "Comments": []} for t, s in BOTH]),
    "doccano-labels.jsonl": lines([{"text": t, "labels": s} for t, s in BOTH]),
    "label-studio.json": json.dumps([task(regions(t, s)) | {"data": {"text": t}} for t, s in BOTH], indent=2),
    "label-studio-old.json": json.dumps(
        [{"completions": [{"result": regions(t, s)}], "data": {"review": t, "url": "x"}} for t, s in BOTH]
    ),
    "label-studio-min.json": json.dumps(
        [
            {"id": i, "note": t, "ner": [one["value"] for one in regions(t, s)], "annotator": 1, "lead_time": 2.5}
            for i, (t, s) in enumerate(BOTH)
        ]
    ),
    "prodigy.jsonl": lines([prodigy(t, "accept", spans=objects(s, "start", "end", "label")) for t, s in BOTH]),
    "spacy.json": json.dumps(PAIRS),
    "spacy.jsonl": lines(PAIRS),
    "spacy-one.jsonl": lines(PAIRS[:1]),
    "ner-annotator.json": json.dumps({"classes": ["PER"], "annotations": [*PAIRS, None]}),
    "spacy-to-json.jsonl": lines(
        [{"text": t, "ents": objects(s, "start", "end", "label"), "tokens": [{"id": 0, "start": 0}]} for t, s in BOTH]
    ),
    "spacy-v2.json": json.dumps(
        [
            {
                "id": 0,
                "paragraphs": [
                    {"sentences": [{"tokens": [dict(zip(DOCUMENT, one, strict=True)) for one in TOKENS]}]}
                ],
            }
        ]
    ),
    "dataturks.json": lines(
        [
            {
                "content": t,
                "annotation": [{"label": [k], "points": [{"start": a, "end": b - 1, "text": t[a:b]}]} for a, b, k in s],
                "extras": None,
            }
            for t, s in BOTH
        ]
    ),
    "rasa.json": json.dumps(
        {
            "rasa_nlu_data": {
                "common_examples": [
                    {"text": t, "intent": "go", "entities": objects(s, "start", "end", "entity")} for t, s in BOTH
                ]
            }
        },
        indent=1,
    ),
    "uie.txt": lines(
        [
            {"content": t, "prompt": k, "result_list": [{"text": t[a:b], "start": a, "end": b}]}
            for t, s in BOTH
            for a, b, k in s
        ]
    ),
    "simpletransformers.json": json.dumps([[0, *one] for one in TOKENS]),
}  # fmt: skip


@pytest.mark.parametrize("name", TAGGED)
def test_spans_of_every_tool(tmp_path: Path, name: str) -> None:
    problems = Problems()
    records = list(read_tags(write(tmp_path, name, TAGGED[name]), problems=problems))
    assert entities(records[0]) == NAMES
    assert len(records) == (
        3 if "one" not in name and name not in ("spacy-v2.json", "simpletransformers.json") else 1
    )
    assert set(problems.counts) <= {"inclusive_ends", "not_annotated"}


@pytest.mark.parametrize("name", TAGGED)
def test_texts_of_every_tool_without_labels(tmp_path: Path, name: str) -> None:
    (first, *_) = read_tags(write(tmp_path, name, TAGGED[name]), labelled=False)
    assert "Otto Brandt moved to Grayford" in first.text
    assert first.tags is None


CLASSIFY, TAG = (f"polyseme finetune {task} RUN --train PATH -o RUN2" for task in ("classify", "tag"))
CLASSIFIED: dict[str, str] = {
    "doccano.jsonl": lines([{"text": t, "label": [k], "Comments": []} for t, k in MOODS]),
    "label-studio.json": json.dumps(
        [task(choices(k)) | {"data": {"text": t}} for t, k in MOODS]
    ),
    "label-studio-min.json": json.dumps(
        [{"id": i, "text": t, "topic": "aba"[i], "annotator": 1, "lead_time": 1.0} for i, t in enumerate(TEXTS)]
    ),
    "prodigy-choice.jsonl": lines(
        [prodigy(t, "accept", options=[{"id": "a"}, {"id": "b"}], accept=[k]) for t, k in MOODS]
    ),
    "spacy-cats.jsonl": lines([{"text": t, "cats": {"a": k == "a", "b": k == "b"}} for t, k in MOODS]),
    "spacy-pairs.json": json.dumps([[t, {"cats": {"a": float(k == "a"), "b": float(k == "b")}}] for t, k in MOODS]),
    "rasa.json": json.dumps(
        {"rasa_nlu_data": {"common_examples": [{"text": t, "intent": k, "entities": []} for t, k in MOODS]}}
    ),
    "utc.txt": lines([{"text_a": t, "text_b": "", "choices": ["a", "b"], "labels": ["ab".index(k)]} for t, k in MOODS]),
    "simpletransformers.json": json.dumps([[t, k] for t, k in MOODS]),
}  # fmt: skip


@pytest.mark.parametrize("name", CLASSIFIED)
def test_classes_of_every_tool(tmp_path: Path, name: str) -> None:
    records = list(read_texts(write(tmp_path, name, CLASSIFIED[name])))
    assert [record.text for record in records] == TEXTS
    assert ["".join(record.label) for record in records if not isinstance(record.label, float | None)] == [
        "a",
        "b",
        "a",
    ]


def test_what_annotators_did_not_accept_is_left_out_and_counted(tmp_path: Path) -> None:
    """Also where it is most of the file."""
    marked = objects(SPANS[0], "start", "end", "label")
    rows = [prodigy(TEXTS[0], answer, spans=marked) for answer in ["reject"] * 6 + ["ignore"] * 2]
    rows += [prodigy(TEXTS[0], "accept", spans=marked), prodigy(TEXTS[1], "accept")]
    for columns in (None, {"spans": "spans", "tokens": "none"}):
        problems = Problems()
        records = list(read_tags(write(tmp_path, "a.jsonl", lines(rows)), problems=problems, columns=columns))
        assert [entities(record) for record in records] == [NAMES, []]
        assert problems.counts == {"rejected": 6, "ignored": 2, "no_span": 1}
    none = write(tmp_path, "b.jsonl", lines(rows[:6]))
    with pytest.raises(CorpusError, match="no labelled text") as caught:
        list(read_tags(none))
    assert "rejected" in str(caught.value)


def test_annotations_of_label_studio_that_count(tmp_path: Path) -> None:
    good, other = regions(*BOTH[0]), regions(TEXTS[0], SPANS[0][:1])
    data = {"data": {"text": TEXTS[0]}}
    first, second = task(other), task(good, ground_truth=True)
    several = {"annotations": first["annotations"] + second["annotations"]}
    same = {"annotations": 2 * task(good)["annotations"]}
    tasks = [several, same, task(good, was_cancelled=True), {"annotations": []}, task([])]
    problems = Problems()
    path = write(tmp_path, "a.json", json.dumps([one | data for one in tasks]))
    assert [entities(record) for record in read_tags(path, problems=problems)] == [NAMES, NAMES, []]
    assert problems.counts == {
        "differing_annotations": 1, "several_annotations": 1, "cancelled": 1, "not_annotated": 1, "no_span": 1,
    }  # fmt: skip


def test_a_number_of_the_data_is_no_answer_of_label_studio(tmp_path: Path) -> None:
    rows = [
        {"id": i, "text": text, "year": 1999, "sentiment": "ab"[i % 2], "annotator": 1, "lead_time": 1.0}
        for i, text in enumerate(TEXTS)
    ]
    rows.append({"id": 9, "text": "nobody knows", "year": 1999, "annotator": 1, "lead_time": 1.0})
    problems = Problems()
    found = list(read_texts(write(tmp_path, "a.json", json.dumps(rows)), problems=problems))
    assert [(record.text, record.label) for record in found] == list(zip(TEXTS, "aba", strict=True))
    assert problems.counts == {"not_annotated": 1}


def test_a_class_beside_spans_is_the_class(tmp_path: Path) -> None:
    rows = [{"text": t, "entities": s, "sentiment": k} for (t, s), k in zip(BOTH, "aba", strict=True)]
    found = list(read_texts(write(tmp_path, "a.jsonl", lines(rows))))
    assert [record.label for record in found] == ["a", "b", "a"]


def test_a_binary_question_of_prodigy_has_two_classes(tmp_path: Path) -> None:
    rows = [
        {"text": t, "label": "SPAM", "_task_hash": 1, "answer": answer}
        for t, answer in zip(TEXTS, ["accept", "reject", "ignore"], strict=True)
    ]
    problems = Problems()
    found = list(read_texts(write(tmp_path, "a.jsonl", lines(rows)), problems=problems))
    assert [record.label for record in found] == ["SPAM", "not SPAM"]
    assert problems.counts == {"not_the_only_label": 1, "ignored": 1}


@pytest.mark.parametrize(
    ("text", "marked", "kind"),
    [
        ("😀 Otto", [{"start": 3, "end": 7, "text": "Otto"}], "utf16_offsets"),
        ("é Otto", [{"start": 3, "end": 7, "text": "Otto"}], "byte_offsets"),
        ("Otto x", [{"start": 0, "end": 3, "text": "Otto"}], "inclusive_ends"),
        ("x  Otto", [{"start": 1, "end": 5, "text": "Otto"}], "moved_span"),
        ("Otto x", [{"start": 0, "end": 4, "text": "otto"}], ""),
    ],
)
def test_the_text_of_a_span_decides_what_its_offsets_count(
    tmp_path: Path, text: str, marked: list[dict[str, Any]], kind: str
) -> None:
    row = {"text": text, "spans": [one | {"label": "PER"} for one in marked]}
    problems = Problems()
    (record,) = read_tags(write(tmp_path, "a.jsonl", lines([row])), problems=problems)
    assert [(name, found.lower()) for name, found in entities(record)] == [("PER", "otto")]
    assert problems.counts == ({kind: 1} if kind else {})


def test_a_span_whose_text_is_nowhere_is_left_out(tmp_path: Path) -> None:
    row = {"text": "Otto x", "spans": [{"start": 0, "end": 4, "label": "PER", "text": "Anna"}]}
    problems = Problems()
    (record,) = read_tags(write(tmp_path, "a.jsonl", lines([row])), problems=problems)
    assert (entities(record), problems.counts) == ([], {"lost_span": 1})


@pytest.mark.parametrize(
    ("reader", "rows", "fix"),
    [
        (read_texts, [{"text": "a", "label": [[0, 1, "P"]], "Comments": []}], TAG),
        (read_texts, [{"text": "a", "entities": [[0, 1, "P"]]}], TAG),
        (read_tags, [{"text": "a", "label": "pos"}], CLASSIFY),
        (read_tags, [{"text": "a", "label": ["pos"], "Comments": []}], CLASSIFY),
        (read_tags, [task(choices("pos")) | {"data": {"text": "a"}}], CLASSIFY),
        (read_texts, [task([*choices("pos"), *choices("x", tag="b")]) | {"data": {"text": "a"}}], "--columns label=b"),
        (read_texts, [task(choices("pos")) | {"data": {"left": "a", "right": "b"}}], "--columns text=left"),
        (read_tags, [{"doc": "ab", "ents": [[0, 1, "P"]]}], "--columns text=doc,spans=ents"),
        (read_tags, [{"toks": ["a", "b"], "gold": ["O", "O"]}], "--columns tokens=toks,tags=gold"),
    ],
)  # fmt: skip
def test_an_error_says_what_to_type(tmp_path: Path, reader: Any, rows: list[Any], fix: str) -> None:
    path = write(tmp_path, "a.jsonl", lines(rows))
    with pytest.raises(ConfigError) as caught:
        list(reader(path))
    assert caught.value.fix == fix.replace("PATH", str(path))
    if fix.startswith("--columns"):
        named = dict(one.split("=") for one in fix.removeprefix("--columns ").split(","))
        assert len(list(reader(path, columns=named))) == 1


def test_a_file_around_all_records_and_a_broken_one(tmp_path: Path) -> None:
    rows = [{"text": "Otto x", "spans": []}] * 3
    for name in ("data", "examples"):
        assert len(list(read_tags(write(tmp_path, "a.json", json.dumps({name: rows}, indent=1))))) == 3
    broken = write(tmp_path, "b.json", '[{"text": "a",\n "spans": []},\n')
    with pytest.raises(CorpusError, match="array is broken"):
        list(read_tags(broken))


@pytest.mark.parametrize("nulls", [[0], [1], [2], [0, 3]])
def test_nulls_among_the_annotations_of_a_file_are_counted(tmp_path: Path, nulls: list[int]) -> None:
    values: list[Any] = [PAIRS[0], PAIRS[1]]
    for at in nulls:
        values.insert(at, None)
    path, problems = (
        write(tmp_path, "a.json", json.dumps({"classes": ["PER"], "annotations": values})),
        Problems(),
    )
    assert len(list(read_tags(path, problems=problems))) == 2
    assert problems.counts == {"not_annotated": len(nulls)}
    assert f"2 rows read, {len(nulls)} left out" in problems.file(str(path)).described()


def test_nulls_among_the_rows_of_a_file_are_counted(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": "x"}, None, {"text": "b", "label": "y"}]
    problems = Problems()
    records = list(read_texts(write(tmp_path, "a.json", json.dumps({"data": rows})), problems=problems))
    assert len(records) == 2
    assert problems.counts == {"bad_json": 1}

"""Whatever is in a labelled file: records whose offsets hold, or one of our errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polyseme.errors import PolysemeError
from polyseme.text.labelled.questions import read_questions
from polyseme.text.labelled.records import Problems, QuestionRecord, TagRecord, TextRecord
from polyseme.text.labelled.sequences import read_tags
from polyseme.text.labelled.tables import read_texts

Record = TextRecord | TagRecord | QuestionRecord
SUFFIXES = ("tsv", "csv", "jsonl", "json", "txt", "conllu")
quick = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

PIECES = st.sampled_from(
    [
        "text", "label", "sentence1", "sentence2", "question", "context", "answer", "id", "# text = a b",
        "\t", "\t", ",", '"', '""', "\n", "\n", "\n\n", "\r\n", "\r", " ", "\u2028", "\x00", "\ufeff",
        "B-X", "I-X", "O", "_", "# sent_id = x", "-DOCSTART-",
        "1\ta\t_\tX\t_\t_\t_\t_\t_\t_\n", "1-2\tab\t_\t_\t_\t_\t_\t_\t_\t_\n", "\u4eca\u5929", "a", "b c", "-",
        '{"text": "a b", "label": "x"}\n', '{"text": "a', "{", "[", "]", "}", "null",
        '{"tokens": ["a"], "tags": ["O"]}\n',
    ]
)  # fmt: skip
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-5, 10**20)
    | st.floats()
    | st.sampled_from(["", " ", "a", "a b", "\ud800", "1"])
)
KEYS = st.sampled_from(
    ["text", "text_b", "label", "spans", "tokens", "tags", "start", "end", "id", "data", "paragraphs", "qas", "context",
     "question", "answers", "answer_start", "is_impossible", "answer", "title"]
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)


def readings(path: Path) -> Iterator[Any]:
    for labelled in (True, False):
        for columns in (None, {"text": "1", "label": "2"}):
            yield lambda p, c=columns, k=labelled: read_texts(path, columns=c, problems=p, labelled=k)
        yield lambda p, k=labelled: read_texts(path, pair=True, problems=p, labelled=k)
        for column in (None, "2"):
            yield lambda p, c=column, k=labelled: read_tags(path, column=c, problems=p, labelled=k)
        yield lambda p, k=labelled: read_questions(path, problems=p, labelled=k)


def read_all(path: Path) -> None:
    for reading in readings(path):
        problems = Problems()
        try:
            for record in reading(problems):
                check(record)
        except PolysemeError:
            pass
        json.dumps(problems.report(), ensure_ascii=False).encode()
        assert len(problems.summary()) == len(problems.counts)


def check(record: Record) -> None:
    assert record.id
    if isinstance(record, TextRecord):
        (record.text + (record.text_b or "")).encode()
        assert record.text.strip()
    elif isinstance(record, TagRecord):
        record.text.encode()
        at = 0
        for start, end in record.tokens:
            assert at <= start < end <= len(record.text)
            assert not record.text[start:end].isspace()
            at = end
        assert record.tags is None or len(record.tags) == len(record.tokens)
    else:
        (record.question + record.context).encode()
        for text, start in record.answers or ():
            assert text
            assert record.context[start : start + len(text)] == text


@pytest.mark.parametrize("suffix", SUFFIXES)
@quick
@given(pieces=st.lists(PIECES, max_size=40))
def test_texts_of_likely_pieces(tmp_path: Path, suffix: str, pieces: list[str]) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes("".join(pieces).encode())
    read_all(path)


@quick
@given(data=st.binary(max_size=200), suffix=st.sampled_from([*SUFFIXES, "tsv.gz", "json.zst"]))
def test_any_bytes(tmp_path: Path, data: bytes, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(data)
    read_all(path)


@quick
@given(values=st.lists(VALUES, max_size=4), suffix=st.sampled_from(["jsonl", "json"]))
def test_any_json(tmp_path: Path, values: list[Any], suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_text("\n".join(json.dumps(value) for value in values), "utf-8")
    read_all(path)
    path.write_text(json.dumps({"data": [{"paragraphs": values}, *values]}), "utf-8")
    read_all(path)


@quick
@given(
    text=st.text(st.sampled_from("ab 今，。-'1\t"), min_size=1, max_size=30),
    spans=st.lists(st.tuples(st.integers(-1, 31), st.integers(-1, 31), st.sampled_from("XY")), max_size=6),
)
def test_spans_that_are_kept_keep_their_text(
    tmp_path: Path, text: str, spans: list[tuple[int, int, str]]
) -> None:
    from polyseme.text.labelled.tagging import spans as spans_of

    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": text, "spans": spans}), "utf-8")
    problems = Problems()
    try:
        (record,) = read_tags(path, problems=problems)
    except PolysemeError:
        assert not text.strip()
        return
    found = [
        (kind, record.tokens[a][0], record.tokens[b - 1][1]) for kind, a, b in spans_of(record.tags or ())
    ]
    dropped = sum(problems.counts.values())
    assert len(found) == len(spans) - dropped
    for kind, start, end in found:
        assert any(
            kind == its_kind and start >= its_start and end <= its_end
            and text[its_start:its_end].strip() == text[start:end]
            for its_start, its_end, its_kind in spans
        )  # fmt: skip

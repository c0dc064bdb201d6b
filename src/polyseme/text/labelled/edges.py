"""Labelled spans and pairs of spans of a text: the data of edge probing.

pos            a word → its part of speech           .conllu (upos; --column xpos), or CoNLL columns
dependencies   a word and its head → the relation    .conllu; a root has no head and is left out
chunks, ner    the words of a span → its type        CoNLL columns with BIO or BIOES tags, JSON lines with spans
relations      two marked spans → the relation       SemEval-2010 task 8: <e1>…</e1> and <e2>…</e2>
edges          one span or two → labels              JSON lines {"text", "targets": [{"span1", "span2", "label"}]}

The last form is that of the jiant toolkit, in which holders of OntoNotes have its tasks: [first, behind the last) of
the text's words between white space. Everything becomes offsets of characters.

Source: Tenney et al. (2019a), section 3, for the tasks; Hendrickx et al. (2010) for the relations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from polyseme.core.config import suggest
from polyseme.errors import ConfigError
from polyseme.text.labelled.conllu import conllu_records
from polyseme.text.labelled.opening import (
    FIRST,
    BadRecord,
    LabelledFile,
    Row,
    form_suffix,
    is_json,
    json_values,
    numbered_lines,
    parse_object,
    records_of,
    sound,
)
from polyseme.text.labelled.records import Edge, EdgeRecord, Problems, TagRecord
from polyseme.text.labelled.rows import json_objects, texts_in
from polyseme.text.labelled.sequences import tag_records
from polyseme.text.labelled.tagging import scheme_of, spans
from polyseme.text.sources import RECORDS
from polyseme.text.split import Numbered, peek

__all__ = ["EDGE_TASKS", "EdgeTask", "edge_task_of", "read_edges"]

EdgeTask = Literal["pos", "dependencies", "chunks", "ner", "relations", "edges"]
EDGE_TASKS: tuple[EdgeTask, ...] = get_args(EdgeTask)

_EXPECTED = {
    "pos": "a tag for each word",
    "dependencies": "CoNLL-U with heads and relations",
    "chunks": "a tag such as B-NP for each word",
    "ner": "a tag such as B-PER for each word, or spans",
    "relations": 'lines such as 1 "The <e1>child</e1> sat in the <e2>cradle</e2>." and below each its relation',
    "edges": '{"text": "…", "targets": [{"span1": [0, 1], "label": "…"}]} on each line',
}
_ARCS = "id head deprel"
_WORD = re.compile(r"\S+")
_NUMBERED = re.compile(r"\s*([0-9]+)\s+(\S.*)", re.DOTALL)
_MARK = re.compile(r"<(/?)e([12])>")
Place = tuple[int, int]


def edge_task_of(path: Path | str, encoding: str = "auto") -> EdgeTask:
    """The task that a file holds, from its suffix and first lines; for .conllu pos.

    Raises:  CorpusError: the file is missing or binary.
    """
    head, _ = peek(numbered_lines(path, encoding, Problems()), FIRST)
    lines = [line for _, line in head if line and not line.isspace()]
    first = lines[0] if lines else ""
    suffix = form_suffix(path)
    if suffix in RECORDS or (not suffix and is_json(lines)):
        objects = (parse_object(line) for line in lines)
        return "edges" if any(record is not None and "targets" in record for record in objects) else "ner"
    if suffix == ".conllu" or (not suffix and (first.startswith("# ") or first.count("\t") == 9)):
        return "pos"
    if any("<e1>" in line for line in lines):
        return "relations"
    tags = {line.split()[-1] for line in lines if len(line.split()) > 1}
    if scheme_of(tags) is None:
        return "pos"
    return "chunks" if {tag[2:] for tag in tags} & {"NP", "VP"} else "ner"


def read_edges(
    path: Path | str,
    task: str,
    *,
    column: str | None = None,
    columns: Mapping[str, str] | None = None,
    encoding: str = "auto",
    problems: Problems | None = None,
) -> Iterator[EdgeRecord]:
    """Read the targets of a task from a file, text by text.

    Args:
        path: the file, also as .gz or .zst.
        task: see the head of this file.
        column: which column has the tags, as for `read_tags`; for pos, chunks and ner.
        columns: our names of columns to the file's, as for `read_tags`; for pos, chunks and ner.
        encoding: a name, or "auto" to detect it.
        problems: receives the counts of problems; bad texts and targets are left out.

    Raises:  ConfigError: no such task, or the file's tags are of another kind; CorpusError: the file is missing, empty,
             binary, or more than half of its first 100 texts are bad.
    """
    if task not in EDGE_TASKS:
        raise ConfigError("no such task of probing", got=task, where="--task", fix=suggest(task, EDGE_TASKS))
    if (column or columns) and task not in ("pos", "chunks", "ner"):
        raise ConfigError(f"{task} has its columns by itself", got=column or dict(columns or {}), where=path)
    problems = Problems() if problems is None else problems
    file = LabelledFile(path, problems, dict(columns or {}), encoding=encoding, task="tag")
    lines = file.lines()
    records: Iterator[EdgeRecord | None]
    if task == "relations":
        records = records_of(file, _relations(file, lines), lambda row: _relation(file, row))
    elif task == "edges":
        rows = json_objects(json_values(lines, file.name))
        records = records_of(file, rows, lambda row: _json_record(file, row))
    elif task == "dependencies":
        records = _dependencies(file, lines)
    else:
        tagged = tag_records(file, lines, column)
        records = _words(tagged) if task == "pos" else _typed_spans(tagged, task)
    return sound(records, file, _EXPECTED[task])


def _words(records: Iterator[TagRecord | None]) -> Iterator[EdgeRecord | None]:
    for record in records:
        if record is None:
            yield None
            continue
        pairs = zip(record.tokens, record.tags or (), strict=True)
        targets = tuple(Edge(place, None, (tag,)) for place, tag in pairs)
        yield EdgeRecord(record.id, record.text, targets, record.where)


def _typed_spans(records: Iterator[TagRecord | None], task: str) -> Iterator[EdgeRecord | None]:
    head, records = peek(records, FIRST)
    tags = {tag for record in head if record is not None for tag in record.tags or ()}
    if tags - {"O"} and scheme_of(tags) is None:
        first = next(record for record in head if record is not None)
        raise ConfigError(
            f"{task} needs tags of spans",
            got=", ".join(sorted(tags)[:6]),
            expected="BIO or BIOES tags such as B-NP, I-NP, O",
            where=first.where,
            fix="--column N for another column, or --task pos for a tag of each word",
        )
    for record in records:
        if record is None:
            yield None
            continue
        targets = tuple(
            Edge((record.tokens[start][0], record.tokens[end - 1][1]), None, (kind or "span",))
            for kind, start, end in spans(record.tags or ())
        )
        yield EdgeRecord(record.id, record.text, targets, record.where)


def _dependencies(file: LabelledFile, lines: Numbered) -> Iterator[EdgeRecord | None]:
    """Every word with its head; a word has no target where its head is missing or not written."""
    head, lines = peek(lines, FIRST)
    words = [line for _, line in head if line and not line.isspace() and not line.startswith("#")]
    if not words or any(line.count("\t") != 9 for line in words[:1]):
        raise ConfigError(
            "dependencies are read from CoNLL-U",
            got=(words or ["an empty file"])[0][:80],
            expected="ten columns with tabs between them",
            where=file.at(head[0][0] if head else 1),
            fix="--task for what the file holds",
        )
    for record in conllu_records(file, lines, _ARCS):
        if record is None:
            yield None
            continue
        arcs = [tag.split("\t") for tag in record.tags or ()]
        places = {arc[0]: place for arc, place in zip(arcs, record.tokens, strict=True)}
        targets = []
        for (number, governor, relation), place in zip(arcs, record.tokens, strict=True):
            if governor == "0":
                continue
            if governor in places:
                targets.append(Edge(place, places[governor], (relation,)))
            else:
                file.problems.add("no_head", record.where, f"word {number}, head {governor}")
        yield EdgeRecord(record.id, record.text, tuple(targets), record.where)


def _relations(file: LabelledFile, lines: Numbered) -> Iterator[Row]:
    """Blocks of three parts: a numbered sentence with marks, its relation, and comments that are not read."""
    waiting: Row | None = None
    for number, line in lines:
        if not line or line.isspace() or line.startswith("Comment"):
            continue
        begins = _NUMBERED.fullmatch(line)
        if begins is None and waiting is not None:
            waiting.values["relation"], waiting.bad = line.strip(), ""
            yield waiting
            waiting = None
        elif begins is None:
            yield Row(number, file.at(number), {}, bad="bad_marks", got=line)
        else:
            if waiting is not None:
                yield waiting
            values = {"id": begins[1], "marked": begins[2].rstrip()}
            waiting = Row(number, file.at(number), values, bad="missing_label")
    if waiting is not None:
        yield waiting


def _relation(file: LabelledFile, row: Row) -> EdgeRecord:
    marked = row.values["marked"]
    if len(marked) > 1 and marked[0] == marked[-1] == '"':
        marked = marked[1:-1]
    marked = file.scrub(marked, row.where)
    borders: dict[str, int] = {}
    parts: list[str] = []
    length, at = 0, 0
    for match in _MARK.finditer(marked):
        parts.append(marked[at : match.start()])
        length += match.start() - at
        at = match.end()
        border = match[1] + match[2]
        borders[border] = -1 if border in borders else length
    text = "".join([*parts, marked[at:]])
    first, second = (_trimmed(text, borders.get(n, -1), borders.get(f"/{n}", -1)) for n in "12")
    if first is None or second is None:
        raise BadRecord("bad_marks", marked)
    return EdgeRecord(row.values["id"], text, (Edge(first, second, (row.values["relation"],)),), row.where)


def _trimmed(text: str, start: int, end: int) -> Place | None:
    """A span without white space at its edges; None where a mark is missing or nothing remains."""
    if min(start, end) < 0 or not text[start:end].strip():
        return None
    inside = text[start:end]
    return start + len(inside) - len(inside.lstrip()), start + len(inside.rstrip())


def _json_record(file: LabelledFile, row: Row) -> EdgeRecord:
    text = texts_in(file, row, ("text",))[0]
    targets = row.values.get("targets")
    if not isinstance(targets, list):
        raise BadRecord("missing_field", "targets")
    words = [match.span() for match in _WORD.finditer(text)]
    edges = [_target(file, target, words, row.where) for target in targets]
    id = file.scrub(str(row.values.get("id", row.number)), row.where)
    return EdgeRecord(id, text, tuple(edge for edge in edges if edge is not None), row.where)


def _target(file: LabelledFile, target: Any, words: Sequence[Place], where: str) -> Edge | None:
    """A target in characters; None for one outside the text, which is counted.

    Raises:  BadRecord: the value is no target.
    """
    given = target.get("label") if isinstance(target, dict) else None
    labels = [given] if isinstance(given, str) else given
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise BadRecord("missing_label" if given is None else "bad_label", repr(target))
    places: list[Place | None] = []
    for name in ("span1", "span2"):
        span = target.get(name)
        if span is None and name == "span2":
            places.append(None)
            continue
        if not isinstance(span, list) or [type(place) for place in span] != [int, int]:
            raise BadRecord("bad_offsets", repr(target))
        if not 0 <= span[0] < span[1] <= len(words):
            file.problems.add("span_outside", where, f"{name} {span[0]}:{span[1]} of {len(words)} words")
            return None
        places.append((words[span[0]][0], words[span[1] - 1][1]))
    first, second = places
    assert first is not None
    return Edge(first, second, tuple(dict.fromkeys(file.scrub(label, where) for label in labels)))

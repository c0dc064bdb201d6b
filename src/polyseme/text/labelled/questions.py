"""Questions, texts, and the places of the answers, from SQuAD's JSON and from rows.

.json .jsonl     SQuAD 1.1 and 2.0, CMRC 2018: data → paragraphs (context) → qas (id, question, answers, is_impossible);
                 also without the outer levels: a list, or a line each, of articles or of {"context", "qas"}
                 (simpletransformers, MRQA, the first CMRC with context_text and query_text)
.jsonl .csv .tsv rows with question, context and answer, optionally start, id and group; in JSON also
                 answers = {"text": […], "answer_start": […]}, a list of {"text", "answer_start"}, or a list of strings

An answer must stand where the file says. Otherwise it is searched nearest to that place: exactly, then with any white
space for white space, then without white space (SubjQA has "pre - popped" for pre-popped). An answer that is nowhere is
left out, and a question that loses all of its answers is skipped: it does not become unanswerable. A question is
unanswerable only where the file says so: by is_impossible, an empty list, a start of -1, or a word such as
ANSWERNOTFOUND that stands at the end of the context and as the answer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from polyseme.errors import ConfigError, CorpusError
from polyseme.text.labelled.opening import (
    FIRST,
    BadRecord,
    LabelledFile,
    Row,
    Values,
    checked_columns,
    json_values,
    objects_in,
    read_whole,
    records_of,
    sound,
    whole_values,
)
from polyseme.text.labelled.records import Problems, QuestionRecord
from polyseme.text.labelled.rows import Form, delimited_rows, id_of, texts_in, value_rows
from polyseme.text.labelled.spans import nearest
from polyseme.text.sources import TABLES
from polyseme.text.split import peek

__all__ = ["read_questions"]

_CONTEXT_KEYS = ("context", "context_text", "passage", "paragraph", "text")
_MARKS = ("ANSWERNOTFOUND", "CANNOTANSWER")
_QUESTION = tuple({"question": name} for name in ("question", "query"))
_CONTEXT = tuple({"context": name} for name in ("context", "review", "passage", "paragraph"))
_ANSWER = tuple({"answer": name} for name in ("answer", "answers", "answer_text", "human_ans_spans"))
_START = tuple({"start": name} for name in ("start", "answer_start", "human_ans_indices"))
_ID = tuple({"id": name} for name in ("id", "qid", "question_id", "q_review_id"))
_GROUP = tuple({"group": name} for name in ("group", "title", "item_id"))
_IMPOSSIBLE = ({"is_impossible": "is_impossible"},)
_OPTIONAL = (_START, _ID, _GROUP, _IMPOSSIBLE)
_LABELLED = Form((_QUESTION, _CONTEXT, _ANSWER), _OPTIONAL)
_UNLABELLED = Form((_QUESTION, _CONTEXT), (_ANSWER, *_OPTIONAL))
_PLACE = re.compile(r"[(\[]?\s*(-?[0-9]{1,12})(?:\.0*)?\s*(?:,.*)?", re.DOTALL)

Raw = tuple[str, int | None]
"""An answer and its start according to the file."""


def read_questions(
    path: Path | str,
    *,
    columns: Mapping[str, str] | None = None,
    encoding: str = "auto",
    problems: Problems | None = None,
    labelled: bool = True,
    no_answer: str = "",
    separator: str = "auto",
) -> Iterator[QuestionRecord]:
    """Read a file of questions, one by one; SQuAD's JSON is one value, so that file is held in memory.

    Args:
        path: the file, also as .gz or .zst; "-" for the standard input.
        columns: of rows, ours to theirs: {"question": "q", "context": "passage", "answer": "a", "start": "at"}.
        encoding: a name, or "auto" to detect it.
        problems: receives the counts of problems.
        labelled: questions must have answers or be marked as unanswerable; if false, no answers are read.
        no_answer: a word that stands as the answer where there is none, and at the end of contexts, where it is cut
            off; ANSWERNOTFOUND and CANNOTANSWER are known.
        separator: what stands between the fields of a table; "auto" = as the file shows.

    Raises:  ConfigError: the columns are missing or not clear; CorpusError: the file is missing, empty, binary,
             broken JSON, or more than half of its first 100 questions are bad.
    """
    problems = Problems() if problems is None else problems
    form = _LABELLED if labelled else _UNLABELLED
    file = LabelledFile(path, problems, checked_columns(columns, form.known), labelled, separator, encoding)
    reader = _Reader(file, no_answer)
    records = records_of(file, reader.rows(form), reader.record)
    return sound(records, file, "questions, contexts and answers, as in SQuAD's JSON or in rows")


class _Reader:
    """Reads one file; remembers the ids, to keep them distinct."""

    def __init__(self, file: LabelledFile, no_answer: str) -> None:
        self.file, self.problems, self.no_answer = file, file.problems, no_answer
        self.marks = (no_answer,) if no_answer else _MARKS
        self.ids: Counter[str] = Counter()

    def rows(self, form: Form) -> Iterator[Row]:
        """A row with our names for each question."""
        file = self.file
        if file.suffix in TABLES:
            return delimited_rows(file, file.lines(), form)
        values = self._values()
        head, values = peek(values, FIRST)
        objects = [value for _, _, value in head if isinstance(value, dict)]
        if any(map(_is_article, objects)):
            if file.columns:
                raise ConfigError("SQuAD's JSON has fixed keys", where="--columns", fix="leave --columns out")
            file.read.form = "SQuAD's JSON"
            return self._of_articles(value for _, _, value in values)
        _check_nested(objects, file.name)
        return value_rows(file, values, form)

    def _values(self) -> Values:
        """Articles or rows, one a line, or all in one value, which is then kept in memory."""
        file = self.file
        if file.suffix in (".jsonl", ".ndjson"):
            return json_values(file.lines(), file.name)
        text = read_whole(file.path, file.encoding, file.problems)
        head, values = peek(whole_values(text, file.name), 2)
        # lines of numbers are each JSON, but together they are no file of JSON
        if head and (head[0][2] is None or (len(head) > 1 and not isinstance(head[0][2], dict | list))):
            raise CorpusError(
                "not JSON",
                got=repr(text.strip()[:60]),
                expected="SQuAD's JSON, or rows as .jsonl, .csv or .tsv",
                where=file.name,
            )
        inside = head[0][2].get("data") if len(head) == 1 and isinstance(head[0][2], dict) else None
        if not isinstance(inside, list):
            return values
        return ((n, f"{file.name}: record {n}", value) for n, value in enumerate(inside, 1))

    def _of_articles(self, articles: Iterable[Any]) -> Iterator[Row]:
        """Questions of articles, {"title", "paragraphs": [{"context", "qas"}]}, or of such paragraphs alone."""
        for number, article in enumerate(articles, 1):
            if isinstance(article, dict) and set(article) == {"header"}:  # MRQA's first line
                continue
            if not _is_article(article):
                where = f"{self.file.name}: article {number}"
                yield Row(number, where, {}, bad="missing_field", got="paragraphs")
                continue
            title = article.get("title")
            group = title if isinstance(title, str) and title else f"article {number}"
            paragraphs = article.get("paragraphs", article)
            for paragraph in objects_in(paragraphs if isinstance(paragraphs, list) else [paragraphs]):
                context = _first_of(paragraph, _CONTEXT_KEYS)
                for qa in objects_in(paragraph.get("qas")):
                    values = self._of_squad(qa) | {"context": context, "group": group}
                    yield Row(number, f"{self.file.name}: question {values['shown']}", values)

    def _of_squad(self, qa: Mapping[str, Any]) -> dict[str, Any]:
        """A question of SQuAD's JSON under our names."""
        id = _first_of(qa, ("id", "qid", "query_id", "question_id"))
        id = str(id) if isinstance(id, str | int) and str(id) else f"question {sum(self.ids.values()) + 1}"
        return {
            "id": id,
            "shown": self.file.scrub(id, self.file.name),
            "question": _first_of(qa, ("question", "query_text", "query")),
            "answer": _first_of(qa, ("detected_answers", "answers", "answer", "answer_text")),
            "start": qa.get("answer_start", qa.get("start")),
            "is_impossible": qa.get("is_impossible"),
        }

    def record(self, row: Row) -> QuestionRecord:
        """The question of a row.

        Raises:  BadRecord: something is missing, or none of the answers is in the context.
        """
        values, where = row.values, row.where
        question, context = texts_in(self.file, row, ("question", "context"))
        context, mark = self._without_mark(context, where)
        answers = self._placed(values, context, mark, where) if self.file.labelled else None
        id = id_of(values, row.number)
        self.ids[id] += 1
        if self.ids[id] > 1:
            self.problems.add("repeated_id", where, id)
            numbered = (f"{id}#{n}" for n in range(self.ids[id], 1 << 62))
            id = next(free for free in numbered if free not in self.ids)
            self.ids[id] += 1
        group = values.get("group")
        group = group if isinstance(group, str) else ""
        id, group = (self.file.scrub(text, where) for text in (id, group))
        return QuestionRecord(id, question, context, answers, group, where)

    def _without_mark(self, context: str, where: str) -> tuple[str, str]:
        """The context without the word at its end that stands for no answer, and that word."""
        end = context.rstrip()
        for mark in self.marks:
            rest = end.removesuffix(mark)
            if rest != end and rest.rstrip() and not (rest[-1].isascii() and rest[-1].isalnum()):
                self.problems.add("no_answer_word", where, mark)
                return rest.rstrip(), mark
        return context, ""

    def _placed(
        self, values: Mapping[str, Any], context: str, mark: str, where: str
    ) -> tuple[tuple[str, int], ...]:
        """The answers at their places; empty where the row marks the question as unanswerable.

        Raises:  BadRecord: there are no answers, or none of them is in the context.
        """
        answers = _answers(values.get("answer"), values.get("start"))
        if str(values.get("is_impossible")).strip().lower() in ("true", "1"):
            if answers:
                self.problems.add("impossible_with_answers", where, answers[0][0])
            return ()
        if answers is None:
            raise BadRecord("missing_answer")
        marks = {mark, self.no_answer} - {""}
        if not answers or all(text.strip() in marks or start == -1 for text, start in answers):
            return ()
        places = [
            _place(context, self.file.scrub(text, where), start, self.problems, where)
            for text, start in answers
            if text.strip() not in marks and start != -1  # one annotator found no answer, another did
        ]
        if not any(places):
            raise BadRecord("lost_question", answers[0][0])
        return tuple(place for place in places if place is not None)


def _is_article(value: Any) -> bool:
    """Whether a value holds paragraphs, or is a paragraph with its questions."""
    return isinstance(value, dict) and (isinstance(value.get("qas"), list) or "paragraphs" in value)


def _first_of(record: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((record[key] for key in keys if record.get(key) is not None), None)


def _check_nested(records: Sequence[Mapping[str, Any]], source: str) -> None:
    """Raise an error where records hold questions under other keys than SQuAD's.

    Raises:  ConfigError: the error lists the keys of the file.
    """
    for record in records:
        for key, value in record.items():
            inside = value[0] if isinstance(value, list) and value else None
            if isinstance(inside, dict) and any(isinstance(inner, str) for inner in inside.values()):
                if key.startswith("answer") or not re.search("qa|quest|quer", key):
                    continue
                raise ConfigError(
                    f"questions inside of the records, under {key!r}, in a form that is not known",
                    got=f"keys {', '.join(record)}; in {key}: {', '.join(inside)}",
                    expected='{"context", "qas": [{"question", "answers": [{"text", "answer_start"}]}]}',
                    where=source,
                    fix="rename these keys, or write a row with question, context and answer for each question",
                )


def _answers(value: Any, start: Any) -> list[Raw] | None:
    """Answers in any of the forms; None where they are missing, [] where the file says that there is no answer."""
    texts: list[Any]
    starts: list[Any]
    if isinstance(value, dict):
        given, its = value.get("text"), value.get("answer_start", start)
        texts = given if isinstance(given, list) else [given]
        starts = its if isinstance(its, list) else [its]
    elif isinstance(value, list):
        texts = [answer.get("text") if isinstance(answer, dict) else answer for answer in value]
        several = start if isinstance(start, list) else [start] * len(value)
        starts = [
            answer.get("answer_start", _char_start(answer)) if isinstance(answer, dict) else its
            for answer, its in zip_longest(value, several[: len(value)])
        ]
    elif isinstance(value, str) and (value.strip() or _number(start) == -1):
        texts, starts = [value], [start]
    else:
        return None
    answers = [
        (text, _number(its))
        for text, its in zip_longest(texts, starts[: len(texts)])
        if isinstance(text, str)
    ]
    return answers if answers or not texts else None


def _char_start(answer: Mapping[str, Any]) -> Any:
    """The first character of MRQA's "char_spans", else the start under the keys of other tools."""
    spans = answer.get("char_spans")
    if isinstance(spans, list) and spans and isinstance(spans[0], list) and spans[0]:
        return spans[0][0]
    return _first_of(answer, ("start", "answer_begin", "start_offset"))


def _number(start: Any) -> int | None:
    """A start given as a number, as text, or as the text of a pair "(start, end)"."""
    if isinstance(start, list | tuple):
        start = start[0] if start else None
    if isinstance(start, str):
        match = _PLACE.fullmatch(start.strip())
        return int(match[1]) if match else None
    if isinstance(start, float):
        return int(start) if start.is_integer() else None
    return start if isinstance(start, int) and not isinstance(start, bool) else None


def _place(
    context: str, text: str, start: int | None, problems: Problems, where: str
) -> tuple[str, int] | None:
    """The answer as the context spells it, and its start; None if it is not there, which is counted."""
    if start is not None and start >= 0 and text.strip() and context.startswith(text, start):
        return text, start
    words = text.split()
    near = max(start or 0, 0)
    at = nearest(context, text.strip(), near) if words else -1
    match = (text.strip(), at) if at >= 0 else None
    if match is None and words:
        match = _spaced(context, words, near) or _squeezed(context, "".join(words), near)
    if match is None:
        problems.add("lost_answer", where, text)
        return None
    if start is not None:
        problems.add("moved_answer", where, text)
    elif context.find(match[0], match[1] + 1) >= 0:
        problems.add("ambiguous_answer", where, text)
    return match


def _spaced(context: str, words: list[str], near: int) -> tuple[str, int] | None:
    """The occurrence of consecutive words nearest to a place, with any white space between them."""
    if len(words) < 2:
        return None
    matches = re.finditer(r"\s+".join(map(re.escape, words)), context)
    spans = [(match[0], match.start()) for match in matches]
    return min(spans, key=lambda span: (abs(span[1] - near), span[1])) if spans else None


def _squeezed(context: str, letters: str, near: int) -> tuple[str, int] | None:
    """The occurrence nearest to a place that is equal except for white space; no word is cut at either end."""
    places = [i for i, character in enumerate(context) if not character.isspace()]
    dense = "".join([context[i] for i in places])
    spans: list[tuple[str, int]] = []
    at = dense.find(letters)
    while at >= 0:
        start, end = places[at], places[at + len(letters) - 1] + 1
        if not (_joined(context[start - 1 : start + 1]) or _joined(context[end - 1 : end + 1])):
            spans.append((context[start:end], start))
        at = dense.find(letters, at + 1)
    return min(spans, key=lambda span: (abs(span[1] - near), span[1])) if spans else None


def _joined(two: str) -> bool:
    """Whether two characters are inside a word."""
    return len(two) == 2 and two.isascii() and two.isalnum()

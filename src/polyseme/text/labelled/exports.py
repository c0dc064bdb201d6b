"""Exports of annotation tools, put into our own form of records.

    doccano         {"text", "label": ["pos"], "Comments"}: a text that nobody has labelled is left out
    Label Studio    JSON: [{"data": {…}, "annotations": [{"result": [{"value": …}], "was_cancelled"}]}], and JSON-MIN
    Prodigy         "answer": accept, reject or ignore; "options" and "accept" of choices; "label" of one class
    spaCy           ["text", {"entities", "cats"}], {"text", "cats"}, documents with "paragraphs" (version 2)
    SpERT, GLiNER   {"tokens", "entities"}, {"tokenized_text", "ner"}: spans that count tokens
    dataturks       {"content", "annotation"};   Rasa {"rasa_nlu_data": {"common_examples"}}
    UIE             {"content", "prompt", "result_list"}, a row a kind of span;   UTC {"text_a", "choices", "labels"}

Each form (`_FORMS`) is recognised by its keys in the first hundred values, and is read to the end as what it is. What
the annotators rejected, skipped or never saw is left out and counted; it is no fault of the file. A file that has none
of these forms passes through.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from polyseme.errors import ConfigError
from polyseme.text.labelled.datasets import class_names, named
from polyseme.text.labelled.guesses import columns_option
from polyseme.text.labelled.opening import Values, follow, is_pair, name_of, peek
from polyseme.text.labelled.records import Problems
from polyseme.text.labelled.spans import is_spans, marked_spans

__all__ = ["Target", "own_rows"]

Objects = Iterator[tuple[int, str, dict[str, Any] | None]]
Target = Literal["tag", "classify", "pair"]
_CONTAINERS = (
    "rasa_nlu_data.common_examples",
    "nlu.common_examples",
    "annotations",
    "data",
    "examples",
    "documents",
    "dataset",
    "records",
    "rows",
)
_TEXT = ("text", "sentence", "review", "content", "comment", "document", "body", "title")
_ABOUT = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time")
"""What Label Studio's JSON-MIN says about a row."""

_LEFT_OUT: dict[str, Any] = {}
"""In place of a record that was left out."""


@dataclass(frozen=True)
class _Asked:
    """What a reader wants of a file, and where its problems go."""

    path: Path | str
    target: Target
    columns: Mapping[str, str]
    labelled: bool
    problems: Problems

    def row(self, **ours: Any) -> dict[str, Any]:
        """A record under the names by which the reader will look for them."""
        return {self.columns.get(name, name): value for name, value in ours.items() if value is not None}

    def leave_out(self, kind: str, where: str) -> dict[str, Any]:
        """Count a text that is no fault of the file, but not to be learned from; gives `_LEFT_OUT`."""
        self.problems.add(kind, where)
        self.problems.file(name_of(self.path)).not_accepted += 1
        return _LEFT_OUT

    def holds_spans_only(self, record: Any) -> bool:
        """Whether a record has spans where a class is looked for, or has no class at all."""
        if not isinstance(record, dict):
            return False
        plain = [key for key, one in record.items() if isinstance(one, str | int | float) and key != "id"]
        spans = [record.get(name) for name in ("spans", "entities", "label", "labels")]
        return "label" not in self.columns and len(plain) <= 1 and any(map(is_spans, spans))

    def other_task(self, what: str, task: str) -> ConfigError:
        return ConfigError(
            f"the labels of this file are {what}",
            where=name_of(self.path),
            fix=f"polyseme finetune {task} RUN --train {shlex.quote(str(self.path))} -o RUN2",
        )


_Read = Callable[[Values, _Asked], Objects]


def own_rows(
    values: Values,
    path: Path | str,
    target: Target,
    columns: Mapping[str, str],
    labelled: bool,
    problems: Problems,
) -> Objects:
    """The records of a file in our own form; None where a value is no record.

    Args:
        target: the task that reads.
        columns: ours to theirs; of Label Studio "text" names a key of its data, "label" and "spans" the tags of its
            configuration.
        labelled: whether labels are wanted; else nothing is left out.

    Raises:  ConfigError: the labels are for another task, or several things could be meant.
    """
    asked = _Asked(path, target, columns, labelled, problems)
    problems.file(name_of(path)).not_accepted = 0
    head, values = peek(_unwrapped(values, path))
    seen = [value for _, _, value in head if value is not None]
    name, read = next(
        ((name, read) for name, fits, read in _FORMS if any(fits(value) for value in seen)), ("", _as_it_is)
    )
    if name:
        problems.file(name_of(path)).form = f"{name} export"
    elif target != "tag" and labelled and any(map(asked.holds_spans_only, seen)):
        raise asked.other_task("spans", "tag")
    rows = read(values, asked)
    return _counted(rows, asked) if name and target == "tag" and labelled else rows


def _counted(rows: Objects, asked: _Asked) -> Objects:
    """The records; of those without a span a tool does not say whether anybody has looked at them."""
    name = asked.columns.get("spans", "spans")
    for number, where, row in rows:
        if row is not None and row.get(name) == []:
            asked.problems.add("no_span", where)
        yield number, where, row


def _unwrapped(values: Values, path: Path | str) -> Values:
    """The records of a file that holds one object around all of them."""
    head, values = peek(values, 2)
    if len(head) == 1 and isinstance(head[0][2], dict):
        if (rows := _by_column(head[0][2])) is not None:
            return iter([(n, f"{name_of(path)}: record {n}", row) for n, row in enumerate(rows, 1)])
        for name in _CONTAINERS:
            inside = follow(head[0][2], name)
            if isinstance(inside, list) and inside and (name != "annotations" or any(map(is_pair, inside))):
                source = name_of(path)
                return iter([(n, f"{source}: record {n}", one) for n, one in enumerate(inside, 1)])
    return values


def _by_column(value: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The rows of a table that pandas' to_json wrote: {"text": {"0": …}}, or {"columns", "data"}."""
    columns, data = value.get("columns"), value.get("data")
    if isinstance(columns, list) and isinstance(data, list) and all(isinstance(row, list) for row in data):
        return [dict(zip(map(str, columns), row, strict=False)) for row in data]
    parts = list(value.values())
    if not parts or not all(isinstance(one, dict) and one and all(map(str.isdecimal, one)) for one in parts):
        return None
    return [{name: one.get(key) for name, one in value.items()} for key in parts[0]]


def _as_it_is(values: Values, asked: _Asked) -> Objects:
    names = class_names(asked.path)
    for number, where, value in values:
        record = value if isinstance(value, dict) else None
        yield number, where, named(record, names) if record is not None and names else record


def _each(record: Callable[[Any, str, _Asked], dict[str, Any] | None]) -> _Read:
    """Reads a file value by value; what is no object is bad, but for pairs and null, which the record judges."""

    def read(values: Values, asked: _Asked) -> Objects:
        for number, where, value in values:
            row = record(value, where, asked) if isinstance(value, dict | list | None) else None
            if row is not _LEFT_OUT:
                yield number, where, row

    return read


def _of_objects(record: Callable[[Any, str, _Asked], dict[str, Any] | None]) -> _Read:
    """Reads a file of objects, one by one."""
    return _each(lambda value, where, asked: record(value, where, asked) if isinstance(value, dict) else None)


def _has(value: Any, **types: type) -> bool:
    """Whether a value is an object with these keys, which hold values of these types."""
    return isinstance(value, dict) and all(isinstance(value.get(key), one) for key, one in types.items())


def _names(value: Any, *keys: str) -> bool:
    """Whether a value is an object with these keys, whatever they hold."""
    return isinstance(value, dict) and all(key in value for key in keys)


# --- doccano -------------------------------------------------------------------------------------------------------


def _is_doccano(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("text") or value.get("data"), str):
        return False
    return "Comments" in value or "annotation_approver" in value


def _doccano(value: dict[str, Any], where: str, asked: _Asked) -> dict[str, Any]:
    text = value.get("text") or value.get("data")
    names = ("entities", "label", "labels", "annotations")
    labels = next((value[name] for name in names if isinstance(value.get(name), list)), None)
    if asked.labelled and value.get("relations"):
        asked.problems.add("relations", where, n=len(value["relations"]))
    if asked.target == "tag":
        if asked.labelled and labels and not is_spans(labels):
            raise asked.other_task("classes of whole texts, or texts", "classify")
        return value | asked.row(text=text, spans=labels)
    if asked.labelled and is_spans(labels):
        raise asked.other_task("spans", "tag")
    if asked.labelled and not labels and isinstance(labels, list):
        return asked.leave_out("not_annotated", where)
    chosen = [str(label.get("label")) if isinstance(label, dict) else label for label in labels or ()]
    row = {key: kept for key, kept in value.items() if key not in names}
    return row | asked.row(text=text, label=chosen if labels is not None else value.get("label"))


# --- Label Studio --------------------------------------------------------------------------------------------------


def _is_label_studio(value: Any) -> bool:
    return _has(value, data=dict) and (_has(value, annotations=list) or _has(value, completions=list))


def _label_studio(value: Any, where: str, asked: _Asked) -> dict[str, Any] | None:
    """The full JSON: tasks, each with the annotations of one person or of several."""
    if not _is_label_studio(value):
        return None
    given = value.get("annotations") or value.get("completions") or []
    result = _chosen(given, where, asked) if asked.labelled else []
    if result is None:
        return _LEFT_OUT
    relations = sum(region.get("type") == "relation" for region in result)
    if relations:
        asked.problems.add("relations", where, n=relations)
    answers: dict[str, list[Any]] = {}
    for region in result:
        if isinstance(region.get("value"), dict):
            tag = str(region.get("from_name", "label"))
            answers.setdefault(tag, []).append(region["value"] | {"type": region.get("type")})
    return _of_answers(value["data"], answers, value.get("id"), where, asked)


def _chosen(given: Sequence[Any], where: str, asked: _Asked) -> list[Any] | None:
    """What the annotation that counts says: the ground truth, else the first that was not cancelled."""
    annotations = [one for one in given if isinstance(one, dict)]
    done = [one for one in annotations if not (one.get("was_cancelled") or one.get("skipped"))]
    if not done:
        asked.leave_out("cancelled" if annotations else "not_annotated", where)
        return None
    if len(done) > 1:
        same = len({_said(one) for one in done}) == 1
        asked.problems.add("several_annotations" if same else "differing_annotations", where)
    best = next((one for one in done if one.get("ground_truth") or one.get("honeypot")), done[0])
    result = best.get("result")
    return [one for one in result if isinstance(one, dict)] if isinstance(result, list) else []


def _said(annotation: Mapping[str, Any]) -> str:
    """What an annotation says, without the ids."""
    result = annotation.get("result")
    values = [json.dumps(one.get("value"), sort_keys=True) for one in result or () if isinstance(one, dict)]
    return "\n".join(sorted(values))


def _is_min(value: Any) -> bool:
    if not isinstance(value, dict) or "annotator" not in value:
        return False
    said = [one[0] for one in value.values() if isinstance(one, list) and one and isinstance(one[0], dict)]
    return "lead_time" in value or "annotation_id" in value or any("labels" in one for one in said)


def _label_studio_min(values: Values, asked: _Asked) -> Objects:
    """JSON-MIN: a row an annotation, what was said under the names of the configuration's tags.

    Spans and several choices are lists and objects; one choice is a string, as the data are.
    """
    rows = list(values)
    spanned = any(is_spans(one) for _, _, row in rows if isinstance(row, dict) for one in row.values())
    seen: set[str] = set()
    for number, where, value in rows:
        if not isinstance(value, dict):
            yield number, where, None
            continue
        id = value.get("id")
        if id is not None and str(id) in seen and asked.labelled:
            asked.leave_out("several_annotations", where)
            continue
        seen.add(str(id))
        answers = {
            key: one if isinstance(one, list) else [one] for key, one in value.items() if _is_answer(one)
        }
        data = {key: one for key, one in value.items() if key not in answers and key not in _ABOUT}
        if answers or not asked.labelled or (spanned and asked.target == "tag"):
            yield number, where, _of_answers(data, answers, id, where, asked)
            continue
        name = asked.columns.get("label", "")
        strings = {key: one for key, one in data.items() if isinstance(one, str) and key != name}
        text = _text_of(strings, answers, asked)
        others = [key for key in strings if strings[key] is not text]
        names = (name,) if name else ("label", "sentiment", "class", "choice", *others[: len(others) == 1])
        label = next((data[key] for key in names if key in data), None)
        if label is None and others:
            raise _several("label", others, asked)
        if label is None:
            asked.leave_out("not_annotated", where)
        elif asked.target == "tag":
            raise asked.other_task("classes of whole texts", "classify")
        else:
            yield number, where, asked.row(text=text, label=label, id=id)


def _is_answer(value: Any) -> bool:
    """Whether a value of JSON-MIN is what an annotator said rather than a text or number of the data."""
    return isinstance(value, dict) or (
        isinstance(value, list) and all(isinstance(one, dict) for one in value)
    )


def _of_answers(
    data: Mapping[str, Any], answers: Mapping[str, list[Any]], id: Any, where: str, asked: _Asked
) -> dict[str, Any]:
    """A record of a task's data and of what an annotator answered to each tag of the configuration."""
    texts: dict[str, Any] = {"id": id}
    strings = [one for one in data.values() if isinstance(one, str)]
    if asked.target == "pair" and len(strings) == 2 and "text" not in asked.columns:
        texts |= dict(zip(("text", "text_b"), strings, strict=True))
    else:
        texts["text"] = _text_of(data, answers, asked)
        if asked.target == "pair":
            texts["text_b"] = _second_text(data, texts["text"], asked)
    if not asked.labelled:
        return asked.row(**texts)
    wanted = asked.columns.get("spans" if asked.target == "tag" else "label")
    some = {name: values for name, values in answers.items() if wanted in (None, name)} or answers
    spans = [one for values in some.values() for one in values if isinstance(one, dict) and is_spans([one])]
    classes = {name: _classes(values) for name, values in some.items()}
    classes = {name: said for name, said in classes.items() if said is not None}
    if asked.target == "tag":
        if classes and not spans and all(not v for name, v in answers.items() if name not in classes):
            raise asked.other_task("classes of whole texts", "classify")
        return asked.row(**texts, spans=spans)
    if spans and not classes:
        raise asked.other_task("spans", "tag")
    if len(classes) > 1:
        raise _several("label", sorted(classes), asked)
    return asked.row(**texts, label=next(iter(classes.values()), None))


def _classes(values: Sequence[Any]) -> Any:
    """What choices, ratings, numbers and taxonomies say: a class, a list of classes or a number; None for spans."""
    said: list[Any] = []
    for value in values:
        if not isinstance(value, dict) or is_spans([value]):
            continue
        for name in ("choices", "rating", "number", "selected", "taxonomy"):
            if name in value:
                one = value[name]
                said += one if isinstance(one, list) else [one]
    said = [" / ".join(map(str, one)) if isinstance(one, list) else one for one in said]
    return None if not said else said[0] if len(said) == 1 else [str(one) for one in said]


def _text_of(data: Mapping[str, Any], answers: Mapping[str, list[Any]], asked: _Asked) -> str | None:
    """The text of a task: what is named, the only one, the one that the spans are cut from, or a common name."""
    texts = {key: one for key, one in data.items() if isinstance(one, str)}
    if (name := asked.columns.get("text")) is not None:
        if name not in texts:
            raise ConfigError(
                f"no text {name!r} in the data of the tasks",
                got="keys " + ", ".join(data),
                where=name_of(asked.path),
                fix=columns_option({"text": next(iter(texts), "KEY")}),
            )
        return texts[name]
    if len(texts) == 1:
        return next(iter(texts.values()))
    words = [
        str(one.get("text") or "") for values in answers.values() for one in values if isinstance(one, dict)
    ]
    holding = [key for key, text in texts.items() if any(words) and all(word in text for word in words)]
    common = [key for key in _TEXT if key in texts]
    if len(holding) == 1 or common:
        return texts[holding[0] if len(holding) == 1 else common[0]]
    if not texts:
        return None
    raise _several("text", list(texts), asked)


def _second_text(data: Mapping[str, Any], first: str | None, asked: _Asked) -> str | None:
    name = asked.columns.get("text_b")
    others = [
        one for key, one in data.items() if isinstance(one, str) and (key == name if name else one != first)
    ]
    return others[0] if len(others) == 1 else None


def _several(ours: str, names: Sequence[str], asked: _Asked) -> ConfigError:
    return ConfigError(
        f"several things could be the {ours}",
        got=", ".join(names),
        where=name_of(asked.path),
        fix=columns_option({ours: names[0] if names else "NAME"}),
    )


# --- Prodigy -------------------------------------------------------------------------------------------------------


def _is_prodigy(value: Any) -> bool:
    if not isinstance(value, dict) or value.get("answer") not in ("accept", "reject", "ignore"):
        return False
    return "question" not in value and any(
        name in value
        for name in ("_task_hash", "_input_hash", "spans", "tokens", "label", "options", "accept")
    )


def _prodigy(values: Values, asked: _Asked) -> Objects:
    rows = list(values)
    objects = [value for _, _, value in rows if isinstance(value, dict)]
    labels = {value["label"] for value in objects if isinstance(value.get("label"), str)}
    only = next(iter(labels)) if len(labels) == 1 else None
    single = all(len(_accepted(value) or "") == 1 for value in objects if value.get("answer") == "accept")
    people: dict[Any, Any] = {}
    for number, where, value in rows:
        if not isinstance(value, dict) or not asked.labelled:
            yield number, where, value if isinstance(value, dict) else None
            continue
        answer = value.get("answer", "accept")
        binary = asked.target != "tag" and only is not None and "options" not in value
        if answer != "accept" and not (answer == "reject" and binary):
            asked.leave_out("rejected" if answer == "reject" else "ignored", where)
        elif _came_before(value, people):
            asked.leave_out("several_annotations", where)
        elif asked.target == "tag":
            if value.get("relations"):
                asked.problems.add("relations", where, n=len(value["relations"]))
            if value.get("_is_binary") is True or value.get("_view_id") == "ner":
                asked.problems.add("binary_spans", where)
            if "options" in value or ("spans" not in value and "label" in value):
                raise asked.other_task("classes of whole texts", "classify")
            yield number, where, {"spans": []} | value
        elif binary:
            if answer == "reject":
                asked.problems.add("not_the_only_label", where, str(only))
            yield number, where, value | asked.row(label=only if answer == "accept" else f"not {only}")
        elif (chosen := _accepted(value)) is not None:
            label: Any = [str(one) for one in chosen]
            yield number, where, value | asked.row(label=label[0] if single else label)
        elif value.get("spans") and "label" not in value:
            raise asked.other_task("spans", "tag")
        else:
            yield number, where, value


def _came_before(value: Mapping[str, Any], people: dict[Any, Any]) -> bool:
    """Whether another person has annotated the same text for the same question."""
    task, person = value.get("_task_hash"), value.get("_annotator_id", value.get("_session_id"))
    return task is not None and person is not None and people.setdefault(task, person) != person


def _accepted(value: Mapping[str, Any]) -> list[Any] | None:
    """The options that were chosen."""
    chosen = value.get("accept")
    return chosen if isinstance(chosen, list) else None


# --- spaCy ---------------------------------------------------------------------------------------------------------


def _spacy_pair(value: Any, where: str, asked: _Asked) -> dict[str, Any] | None:
    if value is None:  # spaCy's annotators write null for a text that was skipped
        return asked.leave_out("not_annotated", where)
    if not is_pair(value):
        return None
    row = {"text": value[0], **value[1]}
    return _with_cats(row, where, asked) if "cats" in row else _own_spans(row, asked)


def _with_cats(row: dict[str, Any], where: str, asked: _Asked) -> dict[str, Any]:
    cats = row.get("cats")
    if asked.target == "tag" or not isinstance(cats, dict) or not cats:
        return _own_spans(row, asked)
    chosen = [str(name) for name, share in cats.items() if isinstance(share, int | float) and share >= 0.5]
    return asked.row(id=row.get("id"), text=row["text"], label=chosen)


def _own_spans(row: dict[str, Any], asked: _Asked) -> dict[str, Any]:
    given = next((row[name] for name in ("entities", "spans", "ents") if row.get(name) is not None), None)
    if asked.labelled and asked.target != "tag" and "label" not in row and isinstance(given, list):
        raise asked.other_task("spans", "tag")
    if isinstance(given, dict):  # of spans by their group: {"sc": [[0, 4, "PER"]]}
        given = [one for group in given.values() if isinstance(group, list) for one in group]
    return asked.row(id=row.get("id"), text=row["text"], spans=given, label=row.get("label"))


def _is_spacy_document(value: Any) -> bool:
    paragraphs = value.get("paragraphs") if isinstance(value, dict) else None
    return isinstance(paragraphs, list) and any(
        isinstance(one, dict) and ("sentences" in one or "cats" in one) for one in paragraphs
    )


def _spacy_documents(values: Values, asked: _Asked) -> Objects:
    """Version 2: sentences of tokens with BILUO tags in "ner"; classes are of paragraphs."""
    for number, where, value in values:
        paragraphs = value.get("paragraphs") if isinstance(value, dict) else None
        if not isinstance(paragraphs, list):
            yield number, where, None
            continue
        for paragraph in (one for one in paragraphs if isinstance(one, dict)):
            sentences = [
                one.get("tokens") for one in paragraph.get("sentences") or () if isinstance(one, dict)
            ]
            tokens = [
                [t for t in some if isinstance(t, dict)] for some in sentences if isinstance(some, list)
            ]
            if asked.target == "tag":
                for some in tokens:
                    words = [str(t.get("orth", "")) for t in some]
                    yield number, where, asked.row(tokens=words, tags=[str(t.get("ner", "O")) for t in some])
                continue
            raw = paragraph.get("raw") or " ".join(str(t.get("orth", "")) for some in tokens for t in some)
            cats = {
                one.get("label"): one.get("value")
                for one in paragraph.get("cats") or ()
                if isinstance(one, dict)
            }
            if asked.labelled and not cats:
                raise asked.other_task("tags of tokens", "tag")
            yield number, where, _with_cats({"text": raw, "cats": cats}, where, asked)


# --- other tools ---------------------------------------------------------------------------------------------------


def _dataturks(value: dict[str, Any], where: str, asked: _Asked) -> dict[str, Any]:
    said, text = value.get("annotation"), value.get("content")
    if said is None and asked.labelled:
        return asked.leave_out("not_annotated", where)
    if isinstance(said, dict):
        if asked.target == "tag" and asked.labelled:
            raise asked.other_task("classes of whole texts", "classify")
        return asked.row(text=text, label=said.get("labels"))
    if asked.target != "tag" and asked.labelled:
        raise asked.other_task("spans", "tag")
    return asked.row(text=text, spans=said)


def _rasa(value: dict[str, Any], where: str, asked: _Asked) -> dict[str, Any]:
    return asked.row(text=value.get("text"), spans=value.get("entities") or [], label=value.get("intent"))


def _is_uie(value: Any) -> bool:
    return _names(value, "content", "prompt", "result_list")


def _uie(values: Values, asked: _Asked) -> Objects:
    """A row a text and kind: those of a text are put together. A negative start means a class of the text."""
    texts: dict[str, list[dict[str, Any]]] = {}
    places: dict[str, tuple[int, str]] = {}
    classes: dict[str, list[str]] = {}
    for number, where, value in values:
        if not _is_uie(value) or not isinstance(value["content"], str):
            yield number, where, None
            continue
        text = value["content"]
        places.setdefault(text, (number, where))
        for one in value["result_list"] if isinstance(value["result_list"], list) else ():
            if isinstance(one, dict) and type(one.get("start")) is int and one["start"] < 0:
                classes.setdefault(text, []).append(str(one.get("text")))
            elif isinstance(one, dict):
                texts.setdefault(text, []).append({**one, "label": str(value["prompt"])})
    if asked.labelled and asked.target == "tag" and classes and not texts:
        raise asked.other_task("classes of whole texts", "classify")
    if asked.labelled and asked.target != "tag" and texts and not classes:
        raise asked.other_task("spans", "tag")
    for text, (number, where) in places.items():
        spans = texts.get(text, [])
        some = [one for i, one in enumerate(spans) if one not in spans[:i]]
        label = classes.get(text)
        yield (
            number,
            where,
            asked.row(text=text, spans=some, label=label[0] if label and len(label) == 1 else label),
        )


def _utc(value: dict[str, Any], where: str, asked: _Asked) -> dict[str, Any]:
    choices, labels = value.get("choices") or [], value.get("labels", value.get("label"))
    places = labels if isinstance(labels, list) else [labels]
    said = [str(choices[i]) for i in places if type(i) is int and 0 <= i < len(choices)]
    row = asked.row(text=value.get("text_a"), label=said[0] if len(said) == 1 else said or None)
    return row | (asked.row(text_b=value.get("text_b") or None) if asked.target == "pair" else {})


def _has_token_spans(value: Any) -> bool:
    if not isinstance(value, dict) or isinstance(value.get("text"), str):
        return False
    words, spans = value.get("tokenized_text", value.get("tokens")), value.get("ner", value.get("entities"))
    return (
        isinstance(words, list)
        and isinstance(spans, list)
        and "tags" not in value
        and "ner_tags" not in value
    )


def _token_spans(value: Any, where: str, asked: _Asked) -> dict[str, Any] | None:
    """SpERT's and GLiNER's: spans count tokens; GLiNER's ends are inclusive."""
    spans = marked_spans(value.get("ner", value.get("entities"))) if _has_token_spans(value) else None
    if spans is None:
        return None
    words = value.get("tokenized_text", value.get("tokens"))
    more = 1 if "tokenized_text" in value else 0
    tags = ["O"] * len(words)
    for kind, start, end, _ in sorted(spans, key=lambda span: (span[1] - span[2], span[1])):
        end += more
        if not 0 <= start < end <= len(words):
            asked.problems.add("span_outside", where, f"{kind} {start}:{end} of {len(words)} tokens")
        elif set(tags[start:end]) != {"O"}:
            asked.problems.add("overlapping_span", where, f"{kind} {start}:{end}")
        else:
            tags[start:end] = [f"B-{kind}", *[f"I-{kind}"] * (end - start - 1)]
    return asked.row(id=value.get("id"), tokens=words, tags=tags)


def _is_row(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 2 <= len(value) <= 3
        and all(isinstance(one, str | int | float) for one in value)
        and isinstance(value[-2], str)
    )


def _bare_rows(values: Values, asked: _Asked) -> Objects:
    """Simpletransformers' lists: [text, label], [text, text, label]; of tags [sentence, word, tag]."""
    names = ("text", "text_b", "label") if asked.target == "pair" else ("text", "label")
    if asked.target != "tag":
        for number, where, value in values:
            good = _is_row(value) and len(value) == len(names)
            yield number, where, asked.row(**dict(zip(names, value, strict=True))) if good else None
        return
    words: list[Any] = []
    tags: list[Any] = []
    now: tuple[Any, int, str] | None = None
    for number, where, value in values:
        if not _is_row(value) or len(value) != 3:
            yield number, where, None
            continue
        if now is None or value[0] != now[0]:
            if now is not None:
                yield now[1], now[2], asked.row(tokens=words, tags=tags)
            words, tags, now = [], [], (value[0], number, where)
        words.append(value[1])
        tags.append(value[2])
    if now is not None:
        yield now[1], now[2], asked.row(tokens=words, tags=tags)


_FORMS: tuple[tuple[str, Callable[[Any], bool], _Read], ...] = (
    ("Label Studio", _is_label_studio, _each(_label_studio)),
    ("Label Studio", _is_min, _label_studio_min),
    ("Prodigy", _is_prodigy, _prodigy),
    ("doccano", _is_doccano, _of_objects(_doccano)),
    ("spaCy", is_pair, _each(_spacy_pair)),
    ("spaCy", _is_spacy_document, _spacy_documents),
    ("spaCy", lambda value: _has(value, text=str, ents=list), _of_objects(_with_cats)),
    ("spaCy", lambda value: _has(value, text=str, cats=dict), _of_objects(_with_cats)),
    ("UIE", _is_uie, _uie),
    ("UTC", lambda value: _names(value, "text_a") and _has(value, choices=list), _of_objects(_utc)),
    ("dataturks", lambda value: _names(value, "content", "annotation"), _of_objects(_dataturks)),
    ("Rasa", lambda value: _names(value, "intent") and _has(value, entities=list), _of_objects(_rasa)),
    ("token spans", _has_token_spans, _each(_token_spans)),
    ("simpletransformers", _is_row, _bare_rows),
)
"""Name, what tells the form by one value, and its reader; the first that fits is taken."""

"""Exports of annotation tools, put into our own form of records.

    doccano         {"text", "label": ["pos"], "Comments"}: a text that nobody has labelled is left out
    Label Studio    JSON: [{"data": {…}, "annotations": [{"result": [{"value": …}], "was_cancelled"}]}], and JSON-MIN
    Prodigy         "answer": accept, reject or ignore; "options" and "accept" of choices; "label" of one class
    spaCy           ["text", {"entities", "cats"}], {"text", "cats"}, documents with "paragraphs" (version 2)
    SpERT, GLiNER   {"tokens", "entities"}, {"tokenized_text", "ner"}: spans that count tokens
    dataturks       {"content", "annotation"};   Rasa {"rasa_nlu_data": {"common_examples"}}
    UIE             {"content", "prompt", "result_list"}, a row a kind of span;   UTC {"text_a", "choices", "labels"}

Each form (`_FORMS`) is recognised by its keys in the first hundred values, and the whole file is read in that form.
Texts that the annotators rejected, skipped or never saw are left out and counted, but not as problems of the file. A
file in none of these forms passes through unchanged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from polyseme.errors import ConfigError
from polyseme.text.labelled.datasets import class_names, named
from polyseme.text.labelled.opening import (
    FIRST,
    LabelledFile,
    Row,
    Values,
    columns_option,
    follow,
    objects_in,
)
from polyseme.text.labelled.spans import is_spans, marked_spans
from polyseme.text.split import peek

__all__ = ["rows_in_our_form"]

Objects = Iterator[tuple[int, str, dict[str, Any] | None]]
_CONTAINERS = (
    "rasa_nlu_data.common_examples", "nlu.common_examples", "annotations", "data", "examples", "documents",
    "dataset", "records", "rows",
)  # fmt: skip
_TEXT = ("text", "sentence", "review", "content", "comment", "document", "body", "title")
_ABOUT = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time")
"""Keys of Label Studio's JSON-MIN that describe the annotation, not the text."""

_LEFT_OUT: dict[str, Any] = {}
"""In place of a record that was left out."""


_Read = Callable[[Values, LabelledFile], Objects]


def rows_in_our_form(file: LabelledFile, values: Values) -> Iterator[Row]:
    """The records of a file in our own form, for the file's task.

    For Label Studio the column "text" names a key of its data; "label" and "spans" name tags of its configuration.
    Without labels nothing is left out.

    Raises:  ConfigError: the labels are for another task, or several things could be meant.
    """
    file.read.not_accepted = 0
    head, values = peek(_unwrapped(values, file), FIRST)
    sample = [value for _, _, value in head if value is not None]
    name, read = next(
        ((name, read) for name, fits, read in _FORMS if any(fits(value) for value in sample)), ("", _as_it_is)
    )
    if name:
        file.read.form = f"{name} export"
    elif file.task != "tag" and file.labelled and any(_has_spans_only(value, file) for value in sample):
        raise file.for_task("tag", "spans")
    spans = file.columns.get("spans", "spans") if name and file.task == "tag" and file.labelled else ""
    for number, where, value in read(values, file):
        # a record without spans may be annotated as empty or never annotated: tools do not distinguish the two
        if spans and value is not None and value.get(spans) == []:
            file.problems.add("no_span", where)
        yield Row(number, where, value) if value is not None else Row.of(number, where, None)


def _row(file: LabelledFile, **ours: Any) -> dict[str, Any]:
    """A record under the column names that the reader looks for."""
    return {file.columns.get(name, name): value for name, value in ours.items() if value is not None}


def _left_out(file: LabelledFile, kind: str, where: str) -> dict[str, Any]:
    file.leave_out(kind, where)
    return _LEFT_OUT


def _has_spans_only(record: Any, file: LabelledFile) -> bool:
    """Whether a record has spans but no class."""
    if not isinstance(record, dict):
        return False
    plain = [key for key, value in record.items() if isinstance(value, str | int | float) and key != "id"]
    spans = [record.get(name) for name in ("spans", "entities", "label", "labels")]
    return "label" not in file.columns and len(plain) <= 1 and any(map(is_spans, spans))


def _unwrapped(values: Values, file: LabelledFile) -> Values:
    """The records of a file that wraps all of them in one object, or that is a single pair of spaCy's."""
    head, values = peek(values, 3)
    if len(head) == 2 and _is_pair([value for _, _, value in head]):
        return iter([(1, file.at(1), [value for _, _, value in head])])
    whole = head[0][2] if len(head) == 1 else None
    if not isinstance(whole, dict):
        return values
    rows = _by_column(whole)
    lists = [inner for name in _CONTAINERS if isinstance(inner := follow(whole, name), list) and inner]
    inside = next(
        (rows for rows in lists if rows is not whole.get("annotations") or any(map(_is_pair, rows))), None
    )
    rows = inside if rows is None else rows
    return values if rows is None else ((n, f"{file.name}: record {n}", row) for n, row in enumerate(rows, 1))


def _is_pair(value: Any) -> bool:
    """Whether a value is one record of spaCy: a text and its annotation in a list."""
    return isinstance(value, list) and [type(part) for part in value] == [str, dict]


def _by_column(value: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The rows of a table that pandas' to_json wrote: {"text": {"0": …}}, or {"columns", "data"}."""
    columns, data = value.get("columns"), value.get("data")
    if isinstance(columns, list) and isinstance(data, list) and all(isinstance(row, list) for row in data):
        return [dict(zip(map(str, columns), row, strict=False)) for row in data]
    parts = list(value.values())
    if not parts or not all(
        isinstance(column, dict) and column and all(map(str.isdecimal, column)) for column in parts
    ):
        return None
    return [{name: column.get(key) for name, column in value.items()} for key in parts[0]]


def _as_it_is(values: Values, file: LabelledFile) -> Objects:
    names = class_names(file.path)
    for number, where, value in values:
        record = value if isinstance(value, dict) else None
        yield number, where, named(record, names) if record is not None and names else record


def _each(record: Callable[[Any, str, LabelledFile], dict[str, Any] | None]) -> _Read:
    """Makes a reader of values, one by one: `record` judges objects, lists and null; other values are bad."""

    def read(values: Values, file: LabelledFile) -> Objects:
        for number, where, value in values:
            row = record(value, where, file) if isinstance(value, dict | list | None) else None
            if row is not _LEFT_OUT:
                yield number, where, row

    return read


def _of_objects(record: Callable[[Any, str, LabelledFile], dict[str, Any] | None]) -> _Read:
    """Makes a reader of objects, one by one; other values are bad."""
    return _each(lambda value, where, file: record(value, where, file) if isinstance(value, dict) else None)


def _has(value: Any, **types: type) -> bool:
    """Whether a value is an object with these keys, which hold values of these types."""
    return isinstance(value, dict) and all(isinstance(value.get(key), kind) for key, kind in types.items())


def _names(value: Any, *keys: str) -> bool:
    """Whether a value is an object with these keys, whatever they hold."""
    return isinstance(value, dict) and all(key in value for key in keys)


# --- doccano -------------------------------------------------------------------------------------------------------


def _is_doccano(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("text") or value.get("data"), str):
        return False
    return "Comments" in value or "annotation_approver" in value


def _doccano(value: dict[str, Any], where: str, file: LabelledFile) -> dict[str, Any]:
    text = value.get("text") or value.get("data")
    names = ("entities", "label", "labels", "annotations")
    labels = next((value[name] for name in names if isinstance(value.get(name), list)), None)
    if file.labelled and value.get("relations"):
        file.problems.add("relations", where, n=len(value["relations"]))
    if file.task == "tag":
        if file.labelled and labels and not is_spans(labels):
            raise file.for_task("classify", "classes of whole texts, or texts")
        return value | _row(file, text=text, spans=labels)
    if file.labelled and is_spans(labels):
        raise file.for_task("tag", "spans")
    if file.labelled and not labels and isinstance(labels, list):
        return _left_out(file, "not_annotated", where)
    chosen = [str(label.get("label")) if isinstance(label, dict) else label for label in labels or ()]
    row = {key: kept for key, kept in value.items() if key not in names}
    return row | _row(file, text=text, label=chosen if labels is not None else value.get("label"))


# --- Label Studio --------------------------------------------------------------------------------------------------


def _is_label_studio(value: Any) -> bool:
    return _has(value, data=dict) and (_has(value, annotations=list) or _has(value, completions=list))


def _label_studio(value: Any, where: str, file: LabelledFile) -> dict[str, Any] | None:
    """The full JSON: tasks, each with the annotations of one person or of several."""
    if not _is_label_studio(value):
        return None
    annotations = value.get("annotations") or value.get("completions") or []
    result = _chosen(annotations, where, file) if file.labelled else []
    if result is None:
        return _LEFT_OUT
    relations = sum(region.get("type") == "relation" for region in result)
    if relations:
        file.problems.add("relations", where, n=relations)
    answers: dict[str, list[Any]] = {}
    for region in result:
        if isinstance(region.get("value"), dict):
            tag = str(region.get("from_name", "label"))
            answers.setdefault(tag, []).append(region["value"] | {"type": region.get("type")})
    return _of_answers(value["data"], answers, value.get("id"), where, file)


def _chosen(given: Sequence[Any], where: str, file: LabelledFile) -> list[Any] | None:
    """The result of the annotation that counts: the ground truth, else the first that was not cancelled."""
    annotations = objects_in(given)
    done = [work for work in annotations if not (work.get("was_cancelled") or work.get("skipped"))]
    if not done:
        file.leave_out("cancelled" if annotations else "not_annotated", where)
        return None
    if len(done) > 1:
        same = len(set(map(_labels_of, done))) == 1
        file.problems.add("several_annotations" if same else "differing_annotations", where)
    best = next((work for work in done if work.get("ground_truth") or work.get("honeypot")), done[0])
    return objects_in(best.get("result"))


def _labels_of(annotation: Mapping[str, Any]) -> str:
    """The labels of an annotation without the ids, to compare annotations."""
    regions = objects_in(annotation.get("result"))
    return "\n".join(sorted(json.dumps(region.get("value"), sort_keys=True) for region in regions))


def _is_min(value: Any) -> bool:
    if not isinstance(value, dict) or "annotator" not in value:
        return False
    has_labels = any("labels" in answer for answers in value.values() for answer in objects_in(answers)[:1])
    return "lead_time" in value or "annotation_id" in value or has_labels


def _label_studio_min(values: Values, file: LabelledFile) -> Objects:
    """JSON-MIN: one row per annotation, with the answers under the names of the configuration's tags.

    Spans and several choices are lists and objects; a single choice is a string, like the data.
    """
    rows = list(values)
    spanned = any(is_spans(item) for _, _, row in rows if isinstance(row, dict) for item in row.values())
    seen_ids: set[str] = set()
    for number, where, value in rows:
        if not isinstance(value, dict):
            yield number, where, None
            continue
        id = value.get("id")
        if id is not None and str(id) in seen_ids and file.labelled:
            file.leave_out("several_annotations", where)
            continue
        seen_ids.add(str(id))
        answers = {
            key: item if isinstance(item, list) else [item] for key, item in value.items() if _is_answer(item)
        }
        data = {key: item for key, item in value.items() if key not in answers and key not in _ABOUT}
        if answers or not file.labelled or (spanned and file.task == "tag"):
            yield number, where, _of_answers(data, answers, id, where, file)
            continue
        name = file.columns.get("label", "")
        strings = {key: item for key, item in data.items() if isinstance(item, str) and key != name}
        text = _text_of(strings, answers, file)
        other_strings = [key for key in strings if strings[key] is not text]
        names = (
            (name,)
            if name
            else ("label", "sentiment", "class", "choice", *other_strings[: len(other_strings) == 1])
        )
        label = next((data[key] for key in names if key in data), None)
        if label is None and other_strings:
            raise _several("label", other_strings, file)
        if label is None:
            file.leave_out("not_annotated", where)
        elif file.task == "tag":
            raise file.for_task("classify", "classes of whole texts")
        else:
            yield number, where, _row(file, text=text, label=label, id=id)


def _is_answer(value: Any) -> bool:
    """Whether a value of JSON-MIN is an annotator's answer rather than a text or number of the data."""
    return isinstance(value, dict) or (
        isinstance(value, list) and all(isinstance(item, dict) for item in value)
    )


def _of_answers(
    data: Mapping[str, Any], answers: Mapping[str, list[Any]], id: Any, where: str, file: LabelledFile
) -> dict[str, Any]:
    """A record from a task's data and an annotator's answers to each tag of the configuration."""
    texts: dict[str, Any] = {"id": id}
    strings = [item for item in data.values() if isinstance(item, str)]
    if file.task == "pair" and len(strings) == 2 and "text" not in file.columns:
        texts |= dict(zip(("text", "text_b"), strings, strict=True))
    else:
        texts["text"] = _text_of(data, answers, file)
        if file.task == "pair":
            texts["text_b"] = _second_text(data, texts["text"], file)
    if not file.labelled:
        return _row(file, **texts)
    tag_name = file.columns.get("spans" if file.task == "tag" else "label")
    wanted_answers = {name: values for name, values in answers.items() if tag_name in (None, name)} or answers
    spans = [item for values in wanted_answers.values() for item in objects_in(values) if is_spans([item])]
    classes = {name: _classes(values) for name, values in wanted_answers.items()}
    classes = {name: label for name, label in classes.items() if label is not None}
    if file.task == "tag":
        if classes and not spans and all(not v for name, v in answers.items() if name not in classes):
            raise file.for_task("classify", "classes of whole texts")
        return _row(file, **texts, spans=spans)
    if spans and not classes:
        raise file.for_task("tag", "spans")
    if len(classes) > 1:
        raise _several("label", sorted(classes), file)
    return _row(file, **texts, label=next(iter(classes.values()), None))


def _classes(values: Sequence[Any]) -> Any:
    """The label in choices, ratings, numbers and taxonomies: a class, several, or a number; None for spans."""
    choices: list[Any] = []
    for value in values:
        if not isinstance(value, dict) or is_spans([value]):
            continue
        for name in ("choices", "rating", "number", "selected", "taxonomy"):
            if name in value:
                choice = value[name]
                choices += choice if isinstance(choice, list) else [choice]
    choices = [" / ".join(map(str, choice)) if isinstance(choice, list) else choice for choice in choices]
    return None if not choices else choices[0] if len(choices) == 1 else [str(choice) for choice in choices]


def _text_of(data: Mapping[str, Any], answers: Mapping[str, list[Any]], file: LabelledFile) -> str | None:
    """The text of a task: the named one, the only one, the one that contains the spans, or one with a common name."""
    texts = {key: item for key, item in data.items() if isinstance(item, str)}
    if (name := file.columns.get("text")) is not None:
        if name not in texts:
            raise ConfigError(
                f"no text {name!r} in the data of the tasks",
                got="keys " + ", ".join(data),
                where=file.name,
                fix=columns_option({"text": next(iter(texts), "KEY")}),
            )
        return texts[name]
    if len(texts) == 1:
        return next(iter(texts.values()))
    words = [str(item.get("text") or "") for values in answers.values() for item in objects_in(values)]
    holding = [key for key, text in texts.items() if any(words) and all(word in text for word in words)]
    common = [key for key in _TEXT if key in texts]
    if len(holding) == 1 or common:
        return texts[holding[0] if len(holding) == 1 else common[0]]
    if not texts:
        return None
    raise _several("text", list(texts), file)


def _second_text(data: Mapping[str, Any], first: str | None, file: LabelledFile) -> str | None:
    name = file.columns.get("text_b")
    candidates = [
        text
        for key, text in data.items()
        if isinstance(text, str) and (key == name if name else text != first)
    ]
    return candidates[0] if len(candidates) == 1 else None


def _several(ours: str, names: Sequence[str], file: LabelledFile) -> ConfigError:
    return ConfigError(
        f"several things could be the {ours}",
        got=", ".join(names),
        where=file.name,
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


def _prodigy(values: Values, file: LabelledFile) -> Objects:
    rows = list(values)
    objects = [value for _, _, value in rows if isinstance(value, dict)]
    labels = {value["label"] for value in objects if isinstance(value.get("label"), str)}
    only = next(iter(labels)) if len(labels) == 1 else None
    single = all(len(_accepted(value) or "") == 1 for value in objects if value.get("answer") == "accept")
    annotator_of: dict[Any, Any] = {}
    for number, where, value in rows:
        if not isinstance(value, dict) or not file.labelled:
            yield number, where, value if isinstance(value, dict) else None
            continue
        answer = value.get("answer", "accept")
        binary = file.task != "tag" and only is not None and "options" not in value
        if answer != "accept" and not (answer == "reject" and binary):
            file.leave_out("rejected" if answer == "reject" else "ignored", where)
        elif _came_before(value, annotator_of):
            file.leave_out("several_annotations", where)
        elif file.task == "tag":
            if value.get("relations"):
                file.problems.add("relations", where, n=len(value["relations"]))
            if value.get("_is_binary") is True or value.get("_view_id") == "ner":
                file.problems.add("binary_spans", where)
            if "options" in value or ("spans" not in value and "label" in value):
                raise file.for_task("classify", "classes of whole texts")
            yield number, where, {"spans": []} | value
        elif binary:
            if answer == "reject":
                file.problems.add("not_the_only_label", where, str(only))
            yield number, where, value | _row(file, label=only if answer == "accept" else f"not {only}")
        elif (chosen := _accepted(value)) is not None:
            label: Any = [str(option) for option in chosen]
            yield number, where, value | _row(file, label=label[0] if single else label)
        elif value.get("spans") and "label" not in value:
            raise file.for_task("tag", "spans")
        else:
            yield number, where, value


def _came_before(value: Mapping[str, Any], annotator_of: dict[Any, Any]) -> bool:
    """Whether another person annotated the same task before."""
    task, person = value.get("_task_hash"), value.get("_annotator_id", value.get("_session_id"))
    return task is not None and person is not None and annotator_of.setdefault(task, person) != person


def _accepted(value: Mapping[str, Any]) -> list[Any] | None:
    """The options that were chosen."""
    chosen = value.get("accept")
    return chosen if isinstance(chosen, list) else None


# --- spaCy ---------------------------------------------------------------------------------------------------------


def _spacy_pair(value: Any, where: str, file: LabelledFile) -> dict[str, Any] | None:
    if value is None:  # spaCy's annotation tools write null for a skipped text
        return _left_out(file, "not_annotated", where)
    if not _is_pair(value):
        return None
    row = {"text": value[0], **value[1]}
    return _with_cats(row, where, file) if "cats" in row else _own_spans(row, file)


def _with_cats(row: dict[str, Any], where: str, file: LabelledFile) -> dict[str, Any]:
    cats = row.get("cats")
    if file.task == "tag" or not isinstance(cats, dict) or not cats:
        return _own_spans(row, file)
    chosen = [str(name) for name, share in cats.items() if isinstance(share, int | float) and share >= 0.5]
    return _row(file, id=row.get("id"), text=row["text"], label=chosen)


def _own_spans(row: dict[str, Any], file: LabelledFile) -> dict[str, Any]:
    marked = next((row[name] for name in ("entities", "spans", "ents") if row.get(name) is not None), None)
    if file.labelled and file.task != "tag" and "label" not in row and isinstance(marked, list):
        raise file.for_task("tag", "spans")
    if isinstance(marked, dict):  # spans by group: {"sc": [[0, 4, "PER"]]}
        marked = [span for group in marked.values() if isinstance(group, list) for span in group]
    return _row(file, id=row.get("id"), text=row["text"], spans=marked, label=row.get("label"))


def _is_spacy_document(value: Any) -> bool:
    paragraphs = value.get("paragraphs") if isinstance(value, dict) else None
    return any("sentences" in paragraph or "cats" in paragraph for paragraph in objects_in(paragraphs))


def _spacy_documents(values: Values, file: LabelledFile) -> Objects:
    """Version 2: sentences of tokens with BILUO tags in "ner"; classes belong to paragraphs."""
    for number, where, value in values:
        paragraphs = value.get("paragraphs") if isinstance(value, dict) else None
        if not isinstance(paragraphs, list):
            yield number, where, None
            continue
        for paragraph in objects_in(paragraphs):
            sentences = [objects_in(item.get("tokens")) for item in objects_in(paragraph.get("sentences"))]
            if file.task == "tag":
                for tokens in sentences:
                    words = [str(token.get("orth", "")) for token in tokens]
                    tags = [str(token.get("ner", "O")) for token in tokens]
                    yield number, where, _row(file, tokens=words, tags=tags)
                continue
            words = [str(token.get("orth", "")) for tokens in sentences for token in tokens]
            raw = paragraph.get("raw") or " ".join(words)
            cats = {item.get("label"): item.get("value") for item in objects_in(paragraph.get("cats"))}
            if file.labelled and not cats:
                raise file.for_task("tag", "tags of tokens")
            yield number, where, _with_cats({"text": raw, "cats": cats}, where, file)


# --- other tools ---------------------------------------------------------------------------------------------------


def _dataturks(value: dict[str, Any], where: str, file: LabelledFile) -> dict[str, Any]:
    annotation, text = value.get("annotation"), value.get("content")
    if annotation is None and file.labelled:
        return _left_out(file, "not_annotated", where)
    if isinstance(annotation, dict):
        if file.task == "tag" and file.labelled:
            raise file.for_task("classify", "classes of whole texts")
        return _row(file, text=text, label=annotation.get("labels"))
    if file.task != "tag" and file.labelled:
        raise file.for_task("tag", "spans")
    return _row(file, text=text, spans=annotation)


def _rasa(value: dict[str, Any], where: str, file: LabelledFile) -> dict[str, Any]:
    return _row(file, text=value.get("text"), spans=value.get("entities") or [], label=value.get("intent"))


def _is_uie(value: Any) -> bool:
    return _names(value, "content", "prompt", "result_list")


def _uie(values: Values, file: LabelledFile) -> Objects:
    """One row per text and kind; the rows of a text are merged. A negative start means a class of the text."""
    texts: dict[str, list[dict[str, Any]]] = {}
    places: dict[str, tuple[int, str]] = {}
    classes: dict[str, list[str]] = {}
    for number, where, value in values:
        if not _is_uie(value) or not isinstance(value["content"], str):
            yield number, where, None
            continue
        text = value["content"]
        places.setdefault(text, (number, where))
        for span in objects_in(value["result_list"]):
            if type(span.get("start")) is int and span["start"] < 0:
                classes.setdefault(text, []).append(str(span.get("text")))
            else:
                texts.setdefault(text, []).append({**span, "label": str(value["prompt"])})
    if file.labelled and file.task == "tag" and classes and not texts:
        raise file.for_task("classify", "classes of whole texts")
    if file.labelled and file.task != "tag" and texts and not classes:
        raise file.for_task("tag", "spans")
    for text, (number, where) in places.items():
        spans = texts.get(text, [])
        distinct = [span for i, span in enumerate(spans) if span not in spans[:i]]
        label = classes.get(text)
        row = _row(file, text=text, spans=distinct, label=label[0] if label and len(label) == 1 else label)
        yield number, where, row


def _utc(value: dict[str, Any], where: str, file: LabelledFile) -> dict[str, Any]:
    choices, labels = value.get("choices") or [], value.get("labels", value.get("label"))
    places = labels if isinstance(labels, list) else [labels]
    chosen = [str(choices[i]) for i in places if type(i) is int and 0 <= i < len(choices)]
    row = _row(file, text=value.get("text_a"), label=chosen[0] if len(chosen) == 1 else chosen or None)
    return row | (_row(file, text_b=value.get("text_b") or None) if file.task == "pair" else {})


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


def _token_spans(value: Any, where: str, file: LabelledFile) -> dict[str, Any] | None:
    """Spans of SpERT and GLiNER: offsets count tokens; GLiNER's ends are inclusive."""
    spans = marked_spans(value.get("ner", value.get("entities"))) if _has_token_spans(value) else None
    if spans is None:
        return None
    words = value.get("tokenized_text", value.get("tokens"))
    inclusive = 1 if "tokenized_text" in value else 0
    tags = ["O"] * len(words)
    for kind, start, end, _ in sorted(spans, key=lambda span: (span[1] - span[2], span[1])):
        end += inclusive
        if not 0 <= start < end <= len(words):
            file.problems.add("span_outside", where, f"{kind} {start}:{end} of {len(words)} tokens")
        elif set(tags[start:end]) != {"O"}:
            file.problems.add("overlapping_span", where, f"{kind} {start}:{end}")
        else:
            tags[start:end] = [f"B-{kind}", *[f"I-{kind}"] * (end - start - 1)]
    return _row(file, id=value.get("id"), tokens=words, tags=tags)


def _is_row(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 2 <= len(value) <= 3
        and all(isinstance(cell, str | int | float) for cell in value)
        and isinstance(value[-2], str)
    )


def _bare_rows(values: Values, file: LabelledFile) -> Objects:
    """Simpletransformers' lists: [text, label], [text, text, label]; for tags [sentence, word, tag]."""
    names = ("text", "text_b", "label") if file.task == "pair" else ("text", "label")
    if file.task != "tag":
        for number, where, value in values:
            is_whole = _is_row(value) and len(value) == len(names)
            yield number, where, _row(file, **dict(zip(names, value, strict=True))) if is_whole else None
        return
    words: list[Any] = []
    tags: list[Any] = []
    current: tuple[Any, int, str] | None = None
    for number, where, value in values:
        if not _is_row(value) or len(value) != 3:
            yield number, where, None
            continue
        if current is None or value[0] != current[0]:
            if current is not None:
                yield current[1], current[2], _row(file, tokens=words, tags=tags)
            words, tags, current = [], [], (value[0], number, where)
        words.append(value[1])
        tags.append(value[2])
    if current is not None:
        yield current[1], current[2], _row(file, tokens=words, tags=tags)


_FORMS: tuple[tuple[str, Callable[[Any], bool], _Read], ...] = (
    ("Label Studio", _is_label_studio, _each(_label_studio)),
    ("Label Studio", _is_min, _label_studio_min),
    ("Prodigy", _is_prodigy, _prodigy),
    ("doccano", _is_doccano, _of_objects(_doccano)),
    ("spaCy", _is_pair, _each(_spacy_pair)),
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
"""Name of a form, a test of one value, and the reader; the first form that fits is used."""

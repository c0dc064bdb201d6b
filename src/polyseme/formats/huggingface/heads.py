"""Heads of tasks under both names: what transformers' classes can express of them, and what only polyseme has.

    classify, pair   …ForSequenceClassification   id2label, problem_type, classifier_pooling (ModernBERT)
    tag              …ForTokenClassification      id2label; the vector of a token's first subword is read by both
    qa               …ForQuestionAnswering        two outputs: where an answer begins and ends

transformers has one class for one text and for two: config.json's "polyseme" says which an export of ours has. In other
    directories, labels such as "entailment" and cross-encoders mean two texts, everything else one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from polyseme.core import registry
from polyseme.core.shell import typed
from polyseme.errors import ConfigError
from polyseme.formats.huggingface.family import TASKS, Family, refused
from polyseme.formats.runs import Opened
from polyseme.tasks.tag import PLACES
from polyseme.text.labelled.tagging import scheme_of
from polyseme.text.tokenizers import Tokenizer

__all__ = [
    "TaskHead",
    "check_expressible",
    "completed",
    "config_of",
    "find_head",
    "notes_of",
    "task_of",
]

PROBLEMS = {
    "single": "single_label_classification",
    "several": "multi_label_classification",
    "number": "regression",
}
"""Transformers' names for our kinds of labels."""

_OURS_ALONE = ("labels", "kind", "pool", "mix", "lstm", "crf")
"""Fields of a task's section that transformers' own fields express, or that an export cannot have."""
MOST = 3e38
"""Nearly the largest number of float32."""
_OF_PAIRS = ("entail", "contradict", "duplicate", "paraphrase")


def task_of(objectives: Sequence[str]) -> str | None:
    """The task among a run's objectives.

    Raises:  ConfigError: transformers has no class for the task, which comes from a third-party package.
    """
    task = next((name for name in objectives if name in registry.tasks), None)
    if task is not None and task not in TASKS:
        raise ConfigError(
            f"transformers has no class for the task {task}",
            expected=", ".join(TASKS),
            fix="polyseme predict RUN FILE",
        )
    return task


def class_of(family: Family, task: str) -> str:
    """Their class for a task."""
    return f"{family.stem}{TASKS[task]}"


def check_expressible(opened: Opened, family: Family, task: str) -> None:
    """Raises:  ConfigError: transformers' class computes something else; the error says what, and what to do."""
    config, head = opened.recipe.section(task), opened.heads[task]
    part = None
    if config.mix:
        part = "a learned mix of all layers"
    elif config.lstm:
        part = "an LSTM before the head"
    elif getattr(head, "hidden", None) is not None:
        part = "a hidden layer in the head"
    elif getattr(config, "crf", False):
        part = "a CRF over the tags"
    elif (pool := getattr(config, "pool", None)) is not None:
        if pool not in family.pools:
            part = f"pool = {pool!r}"
        elif pool == "cls" and family.pooled and opened.encoder.pooler() is None:
            part = "pool = 'cls' without a pooler"
    if part is None:
        return
    pools = f"; pool = {' or '.join(map(repr, family.pools))}" if hasattr(config, "pool") else ""
    onnx = "" if config.lstm else f"; polyseme export {opened.run.path} onnx FOLDER holds it, too"
    raise ConfigError(
        f"transformers' {class_of(family, task)} has no place for {part}",
        expected=f"the last layer, one linear layer on it{pools}",
        where=opened.run.path,
        fix=f"polyseme predict {typed(opened.run.path)} FILE{onnx}",
    )


def config_of(opened: Opened, family: Family, task: str) -> dict[str, Any]:
    """The fields of config.json that a task adds."""
    config = opened.recipe.section(task)
    config_json: dict[str, Any] = {
        "architectures": [class_of(family, task)],
        "classifier_dropout": config.dropout,
    }
    if "last" in family.pools:
        config_json["pad_token_id"] = padding_of(opened.tokenizer)
    if task != "qa":
        labels = config.labels or ("value",)
        config_json["id2label"] = {str(i): label for i, label in enumerate(labels)}
        config_json["label2id"] = {label: i for i, label in enumerate(labels)}
    if TASKS[task] == TASKS["classify"]:
        config_json["problem_type"] = PROBLEMS[config.kind]
        if not family.pooled and "cls" in family.pools:
            config_json["classifier_pooling"] = config.pool
    section = config.model_dump(mode="json")
    ours: dict[str, Any] = {
        "task": {key: value for key, value in section.items() if key not in _OURS_ALONE},
        "decoding": {k: v for k, v in opened.run.meta.get("decoding", {}).items() if k != "crf"},
    }
    if task == "tag" and bool(_places(opened).any()):
        ours["place"] = _places(opened).tolist()
    return config_json | {"polyseme": ours}


def _places(opened: Opened) -> Tensor:
    """A tagger's vectors for tokens of a file that share a token of the model.  Shapes: -> (PLACES,
    tags)"""
    return opened.heads.get_parameter("tag.place.weight").detach()


def padding_of(tokenizer: Tokenizer) -> int | None:
    """The padding id: transformers takes a decoder's last token with another id as the end of the text.

    None where the only candidate is the token that ends every text.
    """
    if "pad" in tokenizer.roles.tokens:
        return tokenizer.pad_id
    end = tokenizer.sep_id if tokenizer.sep_id >= 0 else tokenizer.cls_id
    return end if end >= 0 and end not in tokenizer.suffix_ids[-1:] else None


def notes_of(opened: Opened, task: str) -> list[str]:
    """Notes on what transformers does differently with a head that it can express."""
    config, notes = opened.recipe.section(task), list[str]()
    if task in ("tag", "qa") and opened.encoder.pooler() is not None:
        notes.append("the pooler, which has no part in the task, was left out")
    if task == "tag":
        place = _places(opened)[1:]
        if bool(place.any()):
            notes.append(
                "where tokens of a file share a token of the model, polyseme adds a vector for their place in it; "
                f"without it scores of the later ones differ by at most {float(place.abs().max()):.2g}"
            )
        if config.constrained and scheme_of(config.labels) is not None:
            notes.append(
                "polyseme predicts legal sequences of tags only; transformers takes every tag by itself"
            )
    threshold = opened.run.meta.get("decoding", {}).get("threshold")
    if task == "qa" and config.unanswerable:
        notes.append(
            "no answer is predicted where the score of beginning and ending at the first token (of decoders the last) "
            f"is higher than that of the best span by more than {0.0 if threshold is None else threshold:.4g}"
        )
    if opened.encoder.reach == "left" and padding_of(opened.tokenizer) is None:
        notes.append("the vocabulary has no token to fill rows with: one text at a time")
    return notes


@dataclass(frozen=True, eq=False)
class TaskHead:
    """A head of a task in a directory of transformers.

    Args:
        task: registry key.
        section: the task's section of the recipe, complete.
        decoding: the value for "decoding" of run.json.
        notes: notes for the user.
        place: a tagger's vectors of places, if an export of ours has stored them.
    """

    task: str
    section: dict[str, Any]
    place: Tensor | None
    decoding: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def find_head(
    config: Mapping[str, Any],
    family: Family,
    stored: Mapping[str, Tensor],
    fields: Mapping[str, Any],
    where: object,
) -> TaskHead | None:
    """The head of config.json's class; None where it has none, or one that polyseme does not support.

    Args:
        config: config.json.
        stored: their tensors.
        fields: our configuration.
        where: for errors.
    Raises:  ConfigError: labels, problem_type or classifier_pooling that cannot be honoured.
    """
    classes = config.get("architectures")
    named = classes[0] if isinstance(classes, list) and classes and isinstance(classes[0], str) else ""
    tasks = [task for task in TASKS if named == class_of(family, task)]
    if not tasks:
        return None
    ours = config.get("polyseme")
    ours = ours if isinstance(ours, Mapping) else {}
    stated = ours.get("objectives")
    known = [stated[0]] if isinstance(stated, list) and len(stated) == 1 and stated[0] in tasks else []
    our_section = ours.get("task") if known else None
    section: dict[str, Any] = {"max_length": max(4, int(fields["max_position_embeddings"]))}
    if tasks == ["qa"]:
        section = {"max_length": max(16, min(384, int(fields["max_position_embeddings"])))}
    if isinstance(our_section, Mapping):
        section |= {k: v for k, v in our_section.items() if k not in _OURS_ALONE}
    notes: list[str] = []
    if tasks == ["qa"]:
        task = "qa"
    else:
        output = stored.get(f"{family.tasks[tasks[0]]['classifier']}.weight")
        labels = _labels(config, output, where)
        task = tasks[0]
        section["labels"] = labels
        if task != "tag":
            task = (known or [_texts_of(config, labels)])[0]
            section |= _text_fields(config, family, labels, where)
            if section["kind"] == "number" and len(labels) > 1:
                return None  # regression to several numbers
            if not known:
                notes.append(_guessed(task))
    checked: Any = registry.tasks.load(task).config.of(section, f"{where} [{task}]")
    place = _stored_places(ours, len(checked.labels)) if known and task == "tag" else None
    return TaskHead(task, checked.model_dump(mode="json"), place, _decoding(ours if known else {}), notes)


def _labels(config: Mapping[str, Any], output: Tensor | None, where: object) -> tuple[str, ...]:
    """The labels in the order of the outputs.

    Raises:  ConfigError: there is not one label for each output.
    """
    named = config.get("id2label")
    n = output.size(0) if output is not None and output.ndim == 2 else None
    if named is None:
        return tuple(f"LABEL_{i}" for i in range(n or 2))
    if not isinstance(named, Mapping) or (n is not None and len(named) != n):
        raise refused("id2label", named, f"a name of each of the {n} outputs", where)
    try:
        numbered = {int(i): label for i, label in named.items()}
        labels = [numbered[i] for i in range(len(named))]
    except (ValueError, KeyError):
        raise refused("id2label", named, f"a name of each of 0 … {len(named) - 1}", where) from None
    if not all(isinstance(label, str | int | float) for label in labels):
        raise refused("id2label", named, "names", where)
    names = tuple(map(str, labels))
    if len(set(names)) < len(names):
        raise refused("id2label", named, "names that differ", where)
    return names


def _text_fields(
    config: Mapping[str, Any], family: Family, labels: tuple[str, ...], where: object
) -> dict[str, Any]:
    problem = config.get("problem_type")
    kinds = {theirs: kind for kind, theirs in PROBLEMS.items()}
    if problem is not None and (not isinstance(problem, str) or problem not in kinds):
        raise refused("problem_type", problem, " or ".join(kinds), where)
    kind = kinds[problem] if problem is not None else "number" if len(labels) == 1 else "single"
    if kind == "single" and len(labels) == 1:
        kind = "number"  # the probability of a single class would always be 1
    pool = family.pools[0]
    if len(family.pools) > 1:
        pool = config.get("classifier_pooling", pool)
        if pool not in family.pools:
            raise refused("classifier_pooling", pool, " or ".join(family.pools), where)
    return {"kind": kind, "pool": pool, "labels": () if kind == "number" else labels}


def _texts_of(config: Mapping[str, Any], labels: Sequence[str]) -> str:
    """A guess whether a directory's head is for one text or for two: classify or pair."""
    cross_encoder = config.get("sentence_transformers") is not None
    relation = any(part in label.lower() for label in labels for part in _OF_PAIRS)
    return "pair" if cross_encoder or relation else "classify"


def _guessed(task: str) -> str:
    other = "pair" if task == "classify" else "classify"
    texts = {"classify": "one text", "pair": "two texts"}
    return f"taken as a head for {texts[task]} ({task}); --task {other} if it is for {texts[other]}"


def _decoding(ours: Mapping[str, Any]) -> dict[str, Any]:
    stored = ours.get("decoding")
    chosen = {k: stored.get(k) for k in ("threshold", "dev_f1")} if isinstance(stored, Mapping) else {}
    return {
        k: float(v)
        for k, v in chosen.items()
        if isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)
    }


def _stored_places(ours: Mapping[str, Any], tags: int) -> Tensor | None:
    """The vectors of places that an export of ours stores; None where they are missing or malformed."""
    rows = ours.get("place")
    if not isinstance(rows, list) or len(rows) != PLACES:
        return None
    numbers = [x for row in rows if isinstance(row, list) and len(row) == tags for x in row]
    if len(numbers) != PLACES * tags or not all(type(x) in (int, float) and abs(x) < MOST for x in numbers):
        return None
    return torch.tensor(numbers, dtype=torch.float64).view(PLACES, tags).float()


def completed(tensors: Mapping[str, Tensor], head: TaskHead | None) -> dict[str, Tensor]:
    """Our tensors, completed with those that transformers does not have; they are zero and so add nothing."""
    if head is None or head.task != "tag":
        return dict(tensors)
    place = torch.zeros(PLACES, len(head.section["labels"])) if head.place is None else head.place
    return {**tensors, "heads.tag.place.weight": place}

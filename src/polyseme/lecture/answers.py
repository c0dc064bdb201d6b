"""Question answering: two numbers are an answer, and a start behind the end is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from polyseme.core.shell import command
from polyseme.infer.model import load
from polyseme.lecture.chapter import Chapter, Found, figure, share_of
from polyseme.lecture.four_tasks import adapted, first_of
from polyseme.lecture.room import Room
from polyseme.report.charts import Axis, heatmap
from polyseme.report.language import Speaker
from polyseme.report.parts import Figure, Part, Table
from polyseme.tasks.metrics.answers import score

_DRAWN = 24
"""Tokens of a passage that a picture shows, around the place of the answer."""
_APART = "\u200b"
"""Has no width: tokens that are alike are places of their own on an axis."""


def _measure(room: Room) -> dict[str, Any]:
    file = first_of(room)["qa"]
    run = adapted(room, file)
    questions = _questions(json.loads((file.test or file.train).read_text("utf-8")))[: room.scaled(160, 20)]
    model = load(run)
    answers = model.predict([(one["question"], one["context"]) for one in questions], detail=True)
    rows = []
    for one, said in zip(questions, answers, strict=True):
        start, end = (int(np.argmax([token[key] for token in said["tokens"]])) for key in _PROBABILITIES)
        rows.append(
            {
                **one,
                "answer": said["answer"],
                "no_answer": said["no_answer"],
                "crossed": start > end,
                "right": score(said["answer"], one["golds"])[1],
                "tokens": said["tokens"],
            }
        )
    have = [row for row in rows if row["golds"]]
    lack = [row for row in rows if not row["golds"]]
    silent = [share_of([not row["answer"] for row in some]) for some in (lack, have)]
    crossed = [share_of([row["crossed"] for row in some]) for some in (lack, have)]
    found = share_of([row["right"] > 0 for row in have])
    figures = [
        # the claim: none is said more often where there is none
        _beside("questions without an answer: said to have none", *silent),
        _beside("start behind the end, questions without an answer", *crossed),
        figure("questions with an answer: said to have none", silent[1], percent=True),
        figure("start behind the end, questions with an answer", crossed[1], percent=True),
        figure("questions with an answer: some of it is found", found, percent=True),
    ]
    best = max(have, key=lambda row: (row["right"], -len(row["tokens"])), default=None)
    none = max(lack, key=lambda row: row["no_answer"] or 0.0, default=None)
    shown = [_shown(row) for row in (best, none) if row is not None]
    path = file.test or file.train
    return {
        "commands": [
            command("polyseme", "predict", run, path, "--detail"),
            command("polyseme", "evaluate", run, path),
        ],
        "figures": figures,
        "shown": shown,
    }


def _beside(name: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """A share that has to be above another one, with both intervals apart."""
    known = first["low"] is not None and second["high"] is not None
    holds = bool(first["low"] > second["high"]) if known else None
    return figure(name, first, against=second["value"], holds=holds, percent=True)


_PROBABILITIES = ("start_probability", "end_probability")


def _questions(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "question": question["question"],
            "context": paragraph["context"],
            "golds": [answer["text"] for answer in question["answers"]],
        }
        for article in document["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the picture needs: the tokens around where an answer may begin."""
    tokens = row["tokens"]
    peak = max(range(len(tokens)), key=lambda i: max(tokens[i][key] for key in _PROBABILITIES))
    first = max(0, min(peak - _DRAWN // 2, len(tokens) - _DRAWN))
    chosen = tokens[first : first + _DRAWN]
    return {
        **{key: row[key] for key in ("question", "context", "golds", "answer", "no_answer")},
        "tokens": [{**token, "text": row["context"][token["start"] : token["end"]]} for token in chosen],
    }


def _parts(found: Found, say: Speaker) -> list[Part]:
    parts: list[Part] = []
    for number, one in enumerate(found["shown"]):
        words = [f"{token['text']}{_APART * at}" for at, token in enumerate(one["tokens"])]
        sides = [say("the answer begins"), say("the answer ends")]
        rows = [
            {"token": word, "side": side, "share": token[key], "shown": f"{token[key]:.2f}"}
            for word, token in zip(words, one["tokens"], strict=True)
            for side, key in zip(sides, _PROBABILITIES, strict=True)
        ]
        share = Axis("share", say("probability"), ".3f")
        chart = heatmap(rows, Axis("token"), Axis("side"), share, words, sides, cell=(34, 34))
        caption = say("Answer: {answer}.", answer=one["answer"] or say("none"))
        if one["no_answer"] is not None:
            caption = say.sentences(
                caption, say("Probability that there is none: {p}.", p=f"{one['no_answer']:.2f}")
            )
        parts.append(
            Figure(f"answer_{number}", chart, caption, say("Heat of where the answer begins and ends"))
        )
        row = [one["question"], one["context"], ", ".join(one["golds"]) or "—"]
        parts.append(Table([say("question"), say("passage"), say("right answer")], [row], left=(0, 1, 2)))
    return parts


ENTRY = Chapter(
    order=110,
    runs=("bert",),
    title="Two numbers are an answer",
    claim="Each token of the passage gets two numbers: how likely the answer begins and ends there. Where the "
    "likeliest start lies behind the likeliest end, there is no answer.",
    holds="Where the passage has no answer, “none” is said more often than where it has one.",
    fails="“None” is not surely said more often where the passage has no answer.",
    takes="Questions are learned late: a hundred thousand of them and 110 million parameters make SQuAD's figures.",
    measure=_measure,
    parts=_parts,
)

"""Question answering: two numbers are an answer, and a start behind the end is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from polyseme.core.shell import command
from polyseme.infer.model import load
from polyseme.lecture.chapter import Chapter, Found, figure, more_often, share_of
from polyseme.lecture.four_tasks import adapted, first_of
from polyseme.lecture.room import Room
from polyseme.report.charts import Axis, heatmap
from polyseme.report.language import Speaker
from polyseme.report.parts import Figure, Part, Table
from polyseme.tasks.metrics.answers import score

_DRAWN, _ASKED = 24, 600
"""Tokens of a passage that a picture shows, around the place of the answer; questions that are asked."""
_SIGNS = (
    (
        "silent",
        "said to have none: without an answer, less with one",
        "said to have none: questions without an answer",
        "said to have none: questions with an answer",
    ),
    (
        "crossed",
        "start behind the end: without an answer, less with one",
        "start behind the end: questions without an answer",
        "start behind the end: questions with an answer",
    ),
)
_APART = "\u200b"
"""Has no width: tokens that are alike are places of their own on an axis."""


def _measure(room: Room) -> dict[str, Any]:
    file = first_of(room)["qa"]
    run = adapted(room, file)
    questions = _questions(json.loads((file.test or file.train).read_text("utf-8")))[
        : room.scaled(_ASKED, 20)
    ]
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
                "silent": not said["answer"],
                "crossed": start > end,
                "right": score(said["answer"], one["golds"])[1],
                "tokens": said["tokens"],
            }
        )
    have = [row for row in rows if row["golds"]]
    lack = [row for row in rows if not row["golds"]]
    figures = []
    for told, less, none_there, one_there in _SIGNS:
        without, beside = ([row[told] for row in some] for some in (lack, have))
        # the claim: it is said more often of questions that have no answer
        figures += [
            figure(less, more_often(without, beside), against=0.0, percent=True),
            figure(none_there, share_of(without), percent=True),
            figure(one_there, share_of(beside), percent=True),
        ]
    right = share_of([row["right"] > 0 for row in have])
    figures.append(figure("questions with an answer: some of it is found", right, percent=True))
    best = max(have, key=lambda row: (row["right"], -len(row["tokens"])), default=None)
    # one where both signs agree, where there is such a one
    none = max(
        lack, key=lambda row: (row["silent"] and row["crossed"], row["no_answer"] or 0.0), default=None
    )
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
    """What the picture needs: the tokens around where an answer may begin, and the share of "none", which is [CLS]."""
    tokens = row["tokens"]
    peak = max(range(len(tokens)), key=lambda i: max(tokens[i][key] for key in _PROBABILITIES))
    first = max(0, min(peak - _DRAWN // 2, len(tokens) - _DRAWN))
    chosen = tokens[first : first + _DRAWN]
    none = {key: max(0.0, 1.0 - sum(token[key] for token in tokens)) for key in _PROBABILITIES}
    return {
        "none": None if row["no_answer"] is None else none,
        **{key: row[key] for key in ("question", "context", "golds", "answer", "no_answer", "crossed")},
        "tokens": [{**token, "text": row["context"][token["start"] : token["end"]]} for token in chosen],
    }


def _parts(found: Found, say: Speaker) -> list[Part]:
    parts: list[Part] = []
    for number, one in enumerate(found["shown"]):
        words = [f"{token['text']}{_APART * at}" for at, token in enumerate(one["tokens"])]
        tokens = list(one["tokens"])
        none = one.get("none")
        alone = none is not None and one.get("crossed") and all(none[key] < 1.0 for key in _PROBABILITIES)
        if alone:  # beside a "none" that takes nearly all, where words begin and end would not be seen
            tokens = [
                {**token, **{key: token[key] / (1.0 - none[key]) for key in _PROBABILITIES}}
                for token in tokens
            ]
        elif none is not None:
            words, tokens = [say("(none)"), *words], [none, *tokens]
        sides = [say("the answer begins"), say("the answer ends")]
        rows = [
            {"token": word, "side": side, "share": token[key], "shown": f"{token[key]:.2f}"}
            for word, token in zip(words, tokens, strict=True)
            for side, key in zip(sides, _PROBABILITIES, strict=True)
        ]
        # where no word stands out, full shade at 1 would leave all of them white
        most = max(row["share"] for row in rows) if alone else 1.0
        share = Axis("share", say("probability"), ".3f", (0.0, most))
        chart = heatmap(rows, Axis("token"), Axis("side"), share, words, sides, cell=(34, 34))
        caption = say("Answer: {answer}.", answer=one["answer"] or say("none"))
        if one.get("crossed"):
            caption = say.sentences(caption, say("Among the words, the start lies behind the end."))
        if alone:
            caption = say.sentences(
                caption,
                say(
                    "Drawn are the shares among the words alone; where the darkest is small, no word stands out."
                ),
            )
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
    holds="Where the passage has no answer, “none” is said more often than where it has one, and more often the start "
    "lies behind the end.",
    fails="Where the passage has no answer, not both are surely more frequent: “none”, and a start behind the end.",
    takes="Questions are learned late: a hundred thousand of them and 110 million parameters make SQuAD's figures.",
    measure=_measure,
    parts=_parts,
)

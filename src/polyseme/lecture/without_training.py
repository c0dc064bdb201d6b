"""GPT solves tasks that it was never trained for: by prompts, against chance."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from polyseme.core.shell import command
from polyseme.infer.loaded import Loaded
from polyseme.infer.score import score_continuations
from polyseme.infer.zero_shot import reply
from polyseme.lecture.chapter import Chapter, Found, figure, share_of
from polyseme.lecture.material import cloze
from polyseme.lecture.room import Room
from polyseme.report.language import Speaker
from polyseme.report.parts import Part, Table

_CHOICES, _ASKED, _SHOWN = 4, 240, 4
_ALONE = "A:"
"""The end of the prompt by itself: an answer is chosen by what the passage and the question add to it."""


def _measure(room: Room) -> dict[str, Any]:
    run, texts = room.run("gpt"), room.texts
    pairs = texts.pairs(True)
    if len(pairs) < 20:
        pairs = texts.pairs()
    pairs = list(texts.enough(pairs, 8, "plain sentences in a row"))
    chosen: list[bool] = []
    shown: list[dict[str, str]] = []
    asked_about = room.scaled(_ASKED, 12)
    for number, (a, b, source) in enumerate(pairs[:asked_about]):
        others = [(other, theirs) for _, other, theirs in pairs[number + 1 :] + pairs[:number] if other != b]
        elsewhere = [other for other, theirs in others if theirs != source] or [other for other, _ in others]
        choices = [b, *elsewhere[: _CHOICES - 1]]
        if len(choices) < _CHOICES:
            continue
        # no blank between the sentences: in training they stood so
        best = _likelier(run, a, "", choices)
        chosen.append(best == 0)
        if len(shown) < _SHOWN:
            shown.append({"text": a, "real": b, "chosen": choices[best]})
    figures = [
        figure(
            "the real next sentence is chosen among four",
            share_of(chosen),
            against=1 / _CHOICES,
            percent=True,
        )
    ]
    questions = _questions(room, pairs)[:asked_about]
    picked, written = [], []
    for context, question, gold in questions:
        prompt = f"{context}\n\nQ: {question}\n{_ALONE}"
        absent = dict.fromkeys(word for _, _, word in questions if word.lower() not in context.lower())
        choices = [gold, *texts.drawn(list(absent), question)[: _CHOICES - 1]]
        if len(choices) == _CHOICES:
            picked.append(_likelier(run, prompt, _ALONE, [f" {choice}" for choice in choices]) == 0)
    for context, question, gold in questions[:_SHOWN]:
        (said,) = reply(run, "answer", [context], question=question, max_new_tokens=20)
        written.append({"context": context, "question": question, "gold": gold, "said": said.text.strip()})
    commands = []
    if picked:
        name = "passage, question and “A:”: the right answer is chosen among four"
        figures.append(figure(name, share_of(picked), against=1 / _CHOICES, percent=True))
        context, question, _ = questions[0]
        commands = [
            command("polyseme", "generate", room.path("gpt"), f"{context}\n\nQ: {question}\n{_ALONE}")
        ]
    a, b, _ = pairs[0]
    return {
        "commands": [command("polyseme", "score", room.path("gpt"), b, "--context", a), *commands],
        "figures": figures,
        "shown": shown,
        "answered": written,
    }


def _likelier(run: Loaded, context: str, alone: str, choices: Sequence[str]) -> int:
    """The choice that the context makes likelier by the largest factor, over how likely it is after `alone`.

    By its probability alone a frequent sentence would be chosen whatever stands before it.
    """
    after, before = (score_continuations(run, given, list(choices)) for given in (context, alone))
    gains = [a.log_likelihood - b.log_likelihood for a, b in zip(after, before, strict=True)]
    return max(range(len(gains)), key=gains.__getitem__)


def _questions(room: Room, pairs: Sequence[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Questions that have an answer, of the user's file or of these sentences: (passage, question, answer)."""
    given = [one for task, one in room.tasks if task == "qa"]
    articles = json.loads(given[0].read_text("utf-8"))["data"] if given else cloze(room.texts, pairs)
    return [
        (paragraph["context"], question["question"], question["answers"][0]["text"])
        for number, article in enumerate(articles)
        for paragraph in article["paragraphs"]
        for question in (paragraph["qas"] if given else paragraph["qas"][number % 2 :][:1])
        if question["answers"]
    ]


def _chosen(one: Found) -> str:
    return "✓" if one["real"] == one["chosen"] else str(one["chosen"])


def _parts(found: Found, say: Speaker) -> list[Part]:
    return [
        Table(
            [say("text"), say("the real next sentence"), say("chosen")],
            [[one["text"], one["real"], _chosen(one)] for one in found["shown"]],
            say(
                "Chosen is what the text before makes likelier by the largest factor: the real next sentence (✓), or "
                "one of three of other documents."
            ),
            left=(0, 1, 2),
        ),
        *(
            [
                Table(
                    [say("passage"), say("question"), say("it writes"), say("right answer")],
                    [
                        [one["context"], one["question"], one["said"] or "—", one["gold"]]
                        for one in found["answered"]
                    ],
                    say(
                        "What it writes by itself, a word at a time; a model of this size rarely writes the answer."
                    ),
                    left=(0, 1, 2, 3),
                )
            ]
            if found["answered"]
            else []
        ),
    ]


ENTRY = Chapter(
    order=150,
    runs=("gpt",),
    title="Tasks without training",
    claim="A passage, a question and “A:”: a model that has learned to continue texts is asked for an answer, without "
    "an example. No weight is changed.",
    holds="It is right more often than chance, without an example.",
    fails="It is not right more often than chance on each of them.",
    takes="GPT-2 of 1.5 billion parameters and 40 GB of text reached 55 F1 on the questions of CoQA in this way.",
    measure=_measure,
    parts=_parts,
)

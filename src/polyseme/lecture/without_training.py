"""GPT solves tasks that it was never trained for: by prompts, against chance."""

from __future__ import annotations

import json
from typing import Any

from polyseme.core.shell import command
from polyseme.infer.score import score_continuations
from polyseme.infer.zero_shot import reply
from polyseme.lecture.chapter import Chapter, Found, figure, share_of
from polyseme.lecture.material import labelled
from polyseme.lecture.room import Room
from polyseme.report.language import Speaker
from polyseme.report.parts import Part, Table
from polyseme.tasks.metrics.answers import score

_CHOICES, _ASKED, _QUESTIONS, _SHOWN = 4, 200, 60, 4


def _measure(room: Room) -> dict[str, Any]:
    run, texts = room.run("gpt"), room.texts
    pairs = texts.pairs(True)
    if len(pairs) < 20:
        pairs = texts.pairs()
    pairs = list(texts.enough(pairs, 8, "plain sentences in a row"))
    join = " " if room.lang == "en" else ""
    chosen: list[bool] = []
    shown: list[dict[str, str]] = []
    for number, (a, b, source) in enumerate(pairs[: room.scaled(_ASKED, 12)]):
        others = [(other, theirs) for _, other, theirs in pairs[number + 1 :] + pairs[:number] if other != b]
        elsewhere = [other for other, theirs in others if theirs != source] or [other for other, _ in others]
        choices = [b, *elsewhere[: _CHOICES - 1]]
        if len(choices) < _CHOICES:
            continue
        scores = [one.per_token for one in score_continuations(run, a, [join + choice for choice in choices])]
        best = max(range(len(scores)), key=scores.__getitem__)
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
    answered = []
    for one in labelled(room, ("qa",)):
        document = json.loads((one.test or one.train).read_text("utf-8"))
        asked = [
            (paragraph["context"], question["question"], question["answers"][0]["text"])
            for article in document["data"]
            for paragraph in article["paragraphs"]
            for question in paragraph["qas"]
            if question["answers"]
        ][: room.scaled(_QUESTIONS, 6)]
        for context, question, gold in asked:
            (said,) = reply(run, "answer", [context], question=question)
            answered.append(
                {"context": context, "question": question, "gold": gold, "said": said.text.strip()}
            )
        break
    if answered:
        right = [score(one["said"], [one["gold"]])[1] > 0 for one in answered]
        # of two sentences a word at random: one over the number of words
        chance = sum(1 / max(1, len(texts.words_of(one["context"]))) for one in answered) / len(answered)
        name = "passage, question and “A:”: some of the answer is written"
        figures.append(figure(name, share_of(right), against=chance, percent=True))
    a, b, _ = pairs[0]
    return {
        "commands": [command("polyseme", "score", room.path("gpt"), b, "--context", a + join)],
        "figures": figures,
        "shown": shown,
        "answered": answered[:_SHOWN],
    }


def _chosen(one: Found) -> str:
    return "✓" if one["real"] == one["chosen"] else str(one["chosen"])


def _parts(found: Found, say: Speaker) -> list[Part]:
    return [
        Table(
            [say("text"), say("the real next sentence"), say("chosen")],
            [[one["text"], one["real"], _chosen(one)] for one in found["shown"]],
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

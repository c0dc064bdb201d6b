"""One word, two senses: a static model has one dot for all uses of a word, a contextual one a cloud for each sense."""

from __future__ import annotations

from typing import Any

from polyseme.core.shell import command
from polyseme.errors import InputError
from polyseme.lecture.chapter import Chapter, Found, figure
from polyseme.lecture.material import marked_uses
from polyseme.lecture.room import Room
from polyseme.report.language import Speaker
from polyseme.report.parts import Either, Figure, Heading, Part, Table
from polyseme.report.senses import map_chart, senses_parts
from polyseme.study.senses import senses
from polyseme.study.word_uses import uses

_MODELS = ("word2vec", "elmo", "bert")
_DRAWN = 150


def _measure(room: Room) -> dict[str, Any]:
    runs = [room.run(model) for model in _MODELS]
    found: dict[str, Any] = {
        "commands": [],
        "figures": [],
        "labelled": None,
        "own": None,
        "given": bool(room.uses),
    }
    file = room.uses
    if file is None and (made := marked_uses(room)) is not None:
        file = made[0]
    against = [part for model in _MODELS[1:] for part in ("--against", room.path(model))]
    if file is not None:
        result = senses(
            runs, file, limit=room.scaled(400, 40), balance=True, seed=room.seed, reporter=room.reporter
        )
        for run in result.runs[1:]:
            headline = run["mean"]["best"]["nearest"]["headline"]
            over, of = {"n": headline["n"], **headline["over"]}, run["name"]
            name = "right senses, over what one vector a word could reach"
            found["figures"] += [
                figure(name, over, of=of, against=0.0, percent=True),
                figure("uses get the right sense", headline, of=of, percent=True),
            ]
        found["commands"].append(command("polyseme", "senses", room.path("word2vec"), file, *against))
        found["labelled"] = result.document()
    if room.word is not None:
        drawn = uses(None, room.word, texts=list(room.corpus), limit=_DRAWN, seed=room.seed).uses
        found["own"] = senses(runs, drawn, seed=room.seed, reporter=room.reporter).document()
        found["commands"].append(
            command("polyseme", "senses", room.path("word2vec"), "--word", room.word, *against)
        )
    if not found["commands"]:
        raise InputError(
            "no word of this text is told apart by the word before it",
            fix="--word WORD, or --uses FILE with labelled uses of words",
        )
    return found


def _parts(found: Found, say: Speaker) -> list[Part]:
    parts: list[Part] = []
    if found["labelled"] is not None:
        document = found["labelled"]
        parts.append(
            say("The senses are those of the file.")
            if found["given"]
            else say(
                "The two senses of these words are told by the word before them: after an article a thing, after “to” "
                "or a modal verb an action. A model that does not read the context cannot know it."
            )
        )
        for place, word in enumerate(document["words"][:2]):
            parts.append(Heading(word["word"], 3))
            caption = say(
                "Every point is a use of the word; the sentence shows when the pointer rests on it. A representation "
                "that does not look at the context has one point for all uses that are written alike: such points are "
                "numbered."
            )
            described = say("Map of the uses of {word}", word=word["word"])
            parts.append(
                Figure(
                    f"senses_{place}",
                    map_chart(document, place, say),
                    caption if place == 0 else "",
                    described,
                )
            )
        wanted = [
            p
            for p in senses_parts(document, say)
            if isinstance(p, Figure) and p.name.endswith("senses_layers")
        ]
        parts += wanted
    if found["own"] is not None:
        parts.append(say("The word that was asked for, by groups that no label names:"))
        own = senses_parts(found["own"], say, "own_")
        parts += [p for p in own if isinstance(p, Figure | Table | Either)][:3]
    return parts


ENTRY = Chapter(
    order=40,
    runs=_MODELS,
    title="One word, two senses",
    claim="The bank of the river and the bank with the money: one vector a word cannot tell them apart, whatever the "
    "vector is. A vector of the word in its sentence can.",
    holds="Contextual vectors give uses their sense more often than any one vector a word could.",
    fails="Not every contextual model tells the senses apart better than one vector a word could.",
    takes="BERT of 110 million parameters and 3.3 billion words is right in more than nine of ten labelled uses of "
    "bank, apple and their like (Loureiro et al. 2021).",
    measure=_measure,
    parts=_parts,
)

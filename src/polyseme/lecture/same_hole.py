"""Words that fit the same hole have near vectors."""

from __future__ import annotations

from typing import Any

from polyseme.core.rng import Random
from polyseme.core.shell import command
from polyseme.lecture.chapter import Chapter, Found, figure
from polyseme.lecture.room import Room
from polyseme.report.holes import holes_page
from polyseme.report.language import Speaker
from polyseme.report.parts import Part, Table, figures_of
from polyseme.study.holes import holes, words_that_fit

_HOLES, _TOP, _TRIED = 60, 4, 3


def _measure(room: Room) -> dict[str, Any]:
    texts, content, run = room.texts, set(room.texts.content), room.run("bert")
    holed: list[str] = []
    for number, sentence in enumerate(texts.sentences(True) or texts.sentences()):
        # of Chinese, whose tokens are characters: a word of one character, which a mask can stand for
        places = [
            (a, b)
            for a, b in texts.words_of(sentence)
            if (b == a + 1 if room.lang == "zh" else sentence[a:b].lower() in content)
        ]
        if places:
            a, b = places[int(Random(room.seed, "holes").integers(len(places), number))]
            holed.append(f"{sentence[:a]}[MASK]{sentence[b:]}")
    holed = holed[: _TRIED * room.scaled(_HOLES, 6)]
    fitting = words_that_fit(run, holed, _TOP)
    several = [text for text, found in zip(holed, fitting, strict=True) if all(len(w) >= 2 for _, w in found)]
    sentences = several[: room.scaled(_HOLES, 6)]
    texts.enough(sentences, 5, "sentences with a word to hide")
    result = holes(
        run,
        sentences,
        top=_TOP,
        against=[room.run("word2vec"), room.run("elmo")],
        seed=room.seed,
    )
    document = result.document()
    name = "cosine of words of one hole, less that of words of others"
    figures = [
        # bert's own vectors chose the words, so that theirs are near is built in: told, and held against nothing
        figure(name, run["difference"], of=run["name"], against=None if run["model"] == "bert" else 0.0)
        for run in document["runs"]
    ]
    for run in document["runs"]:
        del run["cosines"]  # of every two words of all holes: the page shows the means
    return {
        "commands": [
            command(
                "polyseme", "holes", room.path("bert"), *sentences[:3], "--against", room.path("word2vec")
            )
        ],
        "figures": figures,
        "holes": document,
    }


def _parts(found: Found, say: Speaker) -> list[Part]:
    document = {**found["holes"], "runs": [{**run, "cosines": []} for run in found["holes"]["runs"]]}
    standing = [f for f in figures_of(holes_page(document, say.lang).parts) if f.name == "holes"]
    rows = [[hole["text"], ", ".join(hole["candidates"])] for hole in document["holes"][:6]]
    return [
        *standing,
        Table([say("sentence"), say("candidates")], rows, left=(0, 1)),
        say(
            "The words are BERT's own guesses, so that its own vectors of them are near is built in; word2vec and ELMo "
            "had no part in the choice."
        ),
    ]


ENTRY = Chapter(
    order=80,
    runs=("bert", "word2vec", "elmo"),
    title="Words of the same hole",
    claim="If two words fit the same hole, their vectors are near: that is why guessing hidden words makes good "
    "vectors.",
    holds="Words that BERT finds for one hole have nearer vectors in models that had no part in the choice than words "
    "of different holes.",
    fails="Words of one hole are not surely nearer to each other in every model.",
    takes="It holds as soon as the guesses are more than the most frequent words.",
    measure=_measure,
    parts=_parts,
)

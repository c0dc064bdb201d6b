"""Masked language model: a seventh of the words is hidden, and the model learns to guess them from both sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from polyseme.core.rng import Random
from polyseme.core.shell import command
from polyseme.infer.fill import fill
from polyseme.infer.loaded import word_ids
from polyseme.infer.mask import mask
from polyseme.lecture.chapter import Chapter, Found, figure, mean_of, share_of
from polyseme.lecture.room import Room
from polyseme.report.charts import Axis, bars
from polyseme.report.language import Speaker
from polyseme.report.parts import Figure, Part, Table

_SENTENCES, _MASKED, _SHOWN, _TOP = 300, 40, 8, 5


def _measure(room: Room) -> dict[str, Any]:
    run, texts = room.run("bert"), room.texts
    sentences = list(texts.enough(texts.sentences(True) or texts.sentences(), 8, "plain sentences"))
    guesses = []
    for number, sentence in enumerate(sentences[: room.scaled(_SENTENCES)]):
        places = [
            (a, b) for a, b in texts.words_of(sentence) if len(word_ids(run.tokenizer, sentence[a:b])) == 1
        ]
        if not places:
            continue
        a, b = places[int(Random(room.seed, "hidden").integers(len(places), number))]
        filling = fill(run, sentence, _TOP, hide=[(a, b)], detail=True)
        for hole in filling.masks[:1]:
            if "original" in hole:
                guesses.append({"text": f"{sentence[:a]}[MASK]{sentence[b:]}", "word": sentence[a:b], **hole})
    texts.enough(guesses, 8, "words that are one token")
    ranks = [guess["original"]["rank"] for guess in guesses]
    frequent = texts.counts.most_common(1)[0][0]
    always = sum(guess["word"].lower() == frequent for guess in guesses) / len(guesses)
    rates: list[float] = []
    for sentence in sentences[: room.scaled(_MASKED)]:
        (line,) = mask(run, sentence, seed=room.seed + len(rates)).lines[-1:]
        rates.append(line["hidden"] / max(1, line["tokens"]))
    first = share_of([rank == 1 for rank in ranks])
    figures = [
        figure("hidden words guessed first", first, against=always, percent=True),
        figure(
            "among the first five", share_of([rank <= _TOP for rank in ranks]), against=always, percent=True
        ),
        figure("nats of a hidden word", mean_of([guess["original"]["nats"] for guess in guesses])),
        figure("tokens that training hides", mean_of(rates), percent=True),
    ]
    shown = [
        {
            "text": guess["text"],
            "word": guess["word"],
            "rank": guess["original"]["rank"],
            "candidates": [[c["token"], c["probability"]] for c in guess["candidates"]],
        }
        for guess in guesses[:_SHOWN]
    ]
    return {
        "commands": [
            command("polyseme", "mask", room.path("bert"), sentences[0]),
            command("polyseme", "fill", room.path("bert"), shown[0]["text"]),
        ],
        "figures": figures,
        "guesses": shown,
        "always": always,
        "frequent": frequent,
    }


def _parts(found: Found, say: Speaker) -> list[Part]:
    first = found["guesses"][0]
    rows = [
        {"word": token.strip(), "share": share, "shown": f"{share:.2f}"}
        for token, share in first["candidates"]
    ]
    chart = bars(
        rows,
        Axis("word"),
        Axis("share", say("probability"), ".3f", (0.0, max(row["share"] for row in rows))),
        text="shown",
        title=first["text"] if len(first["text"]) < 70 else "",
    )
    table = Table(
        [say("sentence"), say("hidden"), say("rank"), say("guesses")],
        [
            [
                one["text"],
                one["word"],
                str(one["rank"]),
                ", ".join(f"{t.strip()} {p:.2f}" for t, p in one["candidates"][:3]),
            ]
            for one in found["guesses"]
        ],
        say(
            "Sentences and words are drawn by the seed alone. Always “{word}” is right {share} % of the time.",
            word=found["frequent"],
            share=f"{100 * found['always']:.1f}",
        ),
        left=(0, 1, 3),
    )
    described = say("Bars of the likeliest words at the first mask")
    return [Figure("guesses", chart, say("What it guesses in the first sentence below."), described), table]


def _guesses(candidates: Sequence[Sequence[Any]]) -> str:
    return ", ".join(f"{token.strip()} {share:.2f}" for token, share in candidates[:3])


ENTRY = Chapter(
    order=70,
    runs=("bert",),
    title="Guessing hidden words",
    claim="BERT hides a part of the tokens, 15 % in its paper and more in our recipe, which learns faster from it, and "
    "fills them in from both sides. To do so it has to know which words fit there.",
    holds="It finds hidden words in sentences that it never read far more often than the most frequent word would.",
    fails="It does not find hidden words more often than the most frequent word would be right.",
    takes="BERT of 2018 read 128 billion tokens, its 3.3 billion words forty times over.",
    measure=_measure,
    parts=_parts,
)

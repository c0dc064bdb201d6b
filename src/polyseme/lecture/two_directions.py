"""ELMo: one half of a word's vector has read what stands before, the other what stands behind; and it has layers."""

from __future__ import annotations

from typing import Any

from polyseme.core.shell import command
from polyseme.lecture.chapter import Chapter, Found, figure, mean_of
from polyseme.lecture.room import Room
from polyseme.report.charts import Axis, Series, lines
from polyseme.report.directions import directions_page
from polyseme.report.language import Speaker
from polyseme.report.parts import Figure, Part, figures_of
from polyseme.study.cosines import cosines
from polyseme.study.directions import directions
from polyseme.text.labelled.senses import Use

_USES, _SENTENCES = 60, 60


def _measure(room: Room) -> dict[str, Any]:
    run, texts = room.run("elmo"), room.texts
    heldout = list(texts.enough(texts.sentences(True) or texts.sentences(), 8, "plain sentences"))
    word = room.word or next(
        (w for w in texts.content if sum(w in s.lower() for s in heldout) >= 8), texts.content[0]
    )
    drawn: list[Use] = []
    for sentence in texts.sentences():
        for a, b in texts.words_of(sentence):
            if sentence[a:b].lower() == word.lower():
                drawn.append(Use(str(len(drawn)), sentence, a, b, None, word))
                break
    drawn = list(texts.enough(drawn, 4, f"sentences with {word}"))[: room.scaled(_USES)]
    near = cosines(run, drawn, layer="all")
    layers, curve = near.runs[0]["layers"], []
    for layer in layers:
        # the mean over the others of each use: a value a use, so that uses are drawn again
        rows = [
            [v for j, v in enumerate(row) if j != i and v is not None]
            for i, row in enumerate(layer["cosines"])
        ]
        curve.append({"layer": layer["layer"]} | mean_of([sum(row) / len(row) for row in rows if row]))
    shown = texts.first_readable(drawn, lambda use: use.text)
    text = f"{shown.text[: shown.start]}*{shown.form}*{shown.text[shown.end :]}"
    asked = heldout[: room.scaled(_SENTENCES)]
    nats: dict[str, list[float]] = {"left": [], "right": []}
    for sentence in asked:
        tokens = directions(run, sentence, top=1).tokens
        for side, values in nats.items():
            values.append(sum(token[side]["nats"] for token in tokens) / len(tokens))
    figures = [
        figure("cosine of uses of one word at the top layer, less than 1 by", _less(curve[-1]), against=0.0),
        figure(
            "the same at layer 0, which reads the word alone",
            _less(curve[0]),
            holds=curve[0]["value"] > 0.999,
        ),
        figure("nats of a word from the left", mean_of(nats["left"])),
        figure("nats of a word from the right", mean_of(nats["right"])),
    ]
    return {
        "commands": [
            command("polyseme", "directions", room.path("elmo"), text),
            command("polyseme", "cosines", room.path("elmo"), "--word", word, "--layer", "all"),
        ],
        "figures": figures,
        "directions": directions(run, text).document(),
        "word": word,
        "curve": curve,
    }


def _less(figure: dict[str, Any]) -> dict[str, Any]:
    """1 minus a figure."""
    low, high = figure["low"], figure["high"]
    return {
        "value": 1 - figure["value"],
        "low": None if high is None else 1 - high,
        "high": None if low is None else 1 - low,
        "n": figure["n"],
    }


def _parts(found: Found, say: Speaker) -> list[Part]:
    rows = [
        {"of": found["word"], **{key: one[key] for key in ("layer", "value", "low", "high")}}
        for one in found["curve"]
    ]
    curve = lines(
        rows,
        Axis("layer", say("layer (0 = embeddings)"), integers=True),
        Axis("value", say("cosine"), ".3f", (min(0.0, *(row["value"] for row in rows)), 1.02)),
        Series("of", [found["word"]]),
        size=(420, 260),
    )
    page = directions_page(found["directions"], say.lang)
    return [
        *figures_of(page.parts),
        Figure(
            "layers",
            curve,
            say("Mean cosine of every two uses of {word}, layer by layer.", word=found["word"]),
            say("Line of the mean cosine of uses over layers"),
        ),
    ]


ENTRY = Chapter(
    order=50,
    runs=("elmo",),
    title="ELMo reads from both sides",
    claim="Two language models read a sentence, one from the left and one from the right. A word's vector is both "
    "beside each other, so it depends on all that stands around it; every layer gives another one.",
    holds="Uses of one word have one vector at layer 0, and different ones above it.",
    fails="The layers do not behave as they should: above layer 0, uses of a word should differ.",
    takes="It holds at any size that has learned something.",
    measure=_measure,
    parts=_parts,
)

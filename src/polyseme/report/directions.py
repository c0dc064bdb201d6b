"""ELMo's two directions for people: nats of every word from the left and from the right, and what each side expects."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from polyseme.report.charts import Axis, Chart, Series, bars, beside
from polyseme.report.language import Speaker
from polyseme.report.page import Page
from polyseme.report.parts import Either, Figure, Heading, Notes, Part, Table

__all__ = ["directions_page"]

_SIDES = {"left": "from the left", "right": "from the right"}


def directions_page(document: Mapping[str, Any], lang: str = "en") -> Page:
    """The whole page.

    Raises:  ConfigError: another language.
    """
    say = Speaker(lang)
    lead = say(
        "Two language models that share their words: one reads from the left, one from the right. A word's vector is "
        "both beside each other. Each word is predicted twice, and neither side has seen it or what lies behind it."
    )
    parts: list[Part] = []
    if document["chosen"] is not None:
        parts += _place(document, document["tokens"][document["chosen"]], say)
    parts += [Heading(say("Every word from both sides")), *_every(document, say)]
    parts.append(Either(page=[Notes([say.note(note) for note in document["notes"]])]))
    name = Path(document["run"]).name
    return Page(say("The two directions of {run}", run=name), lead, parts, lang)


def _place(document: Mapping[str, Any], token: Mapping[str, Any], say: Speaker) -> list[Part]:
    """What the two halves have read at a place, and expect there."""
    text = document["text"]
    halves = [
        [
            say(_SIDES[side]),
            " ".join(text[slice(*token[side]["read"])].split()) or "—",
            f"{token[side]['rank']:,}",
            f"{token[side]['nats']:.2f}",
        ]
        for side in _SIDES
    ]
    figure = Figure(
        "directions_place",
        _candidates(token, say),
        say("The likeliest words at the place of “{token}”, from each side.", token=token["token"]),
        say("Bars of the likeliest words from the left and from the right"),
    )
    both = zip_longest(token["left"]["candidates"], token["right"]["candidates"])
    wide = [
        [cell for one in pair for cell in ((one["token"], f"{one['probability']:.3f}") if one else ("", ""))]
        for pair in both
    ]
    head = [say("from the left"), "P", say("from the right"), "P"]
    return [
        Heading(say("At “{token}”", token=token["token"])),
        Table(["", say("has read"), say("rank"), say("nats")], halves, left=(0, 1)),
        Either(page=[figure]),
        Table(head, wide, left=(0, 2)),
    ]


def _candidates(token: Mapping[str, Any], say: Speaker) -> Chart:
    most = max(one["probability"] for side in _SIDES for one in token[side]["candidates"])
    charts = [
        bars(
            [
                {"word": one["token"], "share": one["probability"], "shown": f"{one['probability']:.3f}"}
                for one in token[side]["candidates"]
            ],
            Axis("word"),
            Axis("share", say("probability"), ".3f", (0.0, most)),
            text="shown",
            size=(300, 26 * len(token[side]["candidates"])),
            title=say(words),
        )
        for side, words in _SIDES.items()
    ]
    return beside(charts, 2)


def _every(document: Mapping[str, Any], say: Speaker) -> list[Part]:
    """Nats of every token from each side."""
    names = [say(words) for words in _SIDES.values()]
    labels = [f"{n}  {token['token']}" for n, token in enumerate(document["tokens"], 1)]
    rows = [
        {"word": label, "side": name, "nats": token[side]["nats"]}
        for label, token in zip(labels, document["tokens"], strict=True)
        for side, name in zip(_SIDES, names, strict=True)
    ]
    chart = bars(rows, Axis("word"), Axis("nats", say("nats"), ".2f"), labels, Series("side", names))
    figure = Figure(
        "directions",
        chart,
        say("-log P of every word: short bars were expected from that side."),
        say("Bars of nats of every word, from the left and from the right"),
    )
    head = [say("word"), *names, say("expected from the left"), say("expected from the right")]
    table = Table(
        head,
        [
            [
                token["token"],
                *(f"{token[side]['nats']:.2f}" for side in _SIDES),
                *(token[side]["candidates"][0]["token"] for side in _SIDES),
            ]
            for token in document["tokens"]
        ],
        say("Nats, and the likeliest word from each side."),
        (0, 3, 4),
    )
    return [Either(page=[figure]), table]

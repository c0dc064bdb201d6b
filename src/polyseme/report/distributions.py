"""Distributions over tokens: what may stand at a [MASK], and what may come next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polyseme.report.language import Speaker
from polyseme.report.page import Page
from polyseme.report.parts import Heading, Notes, Part, Table

__all__ = ["fill_page", "generate_page", "next_page"]

_BAR_WIDTH = 20


def fill_page(document: Sequence[Mapping[str, Any]], lang: str = "en") -> Page:
    """For every mask its candidates, how sure the model is, and where it ranks what stood there."""
    say, parts = Speaker(lang), list[Part]()
    for mask in document:
        at = mask["position"]
        several = mask.get("masks", 1) > 1
        parts += [
            Heading(
                say("{n} masks at character {at}", n=mask["masks"], at=at)
                if several
                else say("[MASK] at character {at}", at=at)
            ),
            say.sentences(_entropy(mask, say), _original(mask, say)),
            Table([""] * 4, [_row(one) for one in mask["candidates"]], left=(0, 2, 3)),
        ]
    if any("masks" in mask for mask in document):
        parts.append(
            Notes(
                [
                    say(
                        "Masks side by side are filled one by one, the most certain first; the share is a "
                        "pseudo-likelihood: the product of each token's probability when it was put in, which "
                        "depends on the order."
                    )
                ]
            )
        )
    return Page(say("What may stand at the masks"), "", parts, lang)


def next_page(document: Mapping[str, Any], lang: str = "en") -> Page:
    """What may follow a text, and how sure the model is."""
    say = Speaker(lang)
    table = Table([""] * 4, [_row(one) for one in document["candidates"]], left=(0, 2, 3))
    return Page(say("What may come next"), _entropy(document, say), [table], lang)


def generate_page(document: Mapping[str, Any], lang: str = "en") -> Page:
    """A continuation, and for every step what else could have been written."""
    say = Speaker(lang)
    texts = [document, *document.get("others", ())]
    return Page(
        say("Continuation"),
        "",
        [part for one in texts for part in (document["prompt"] + one["text"], *steps_parts(one, say))],
        lang,
    )


def steps_parts(document: Mapping[str, Any], say: Speaker) -> list[Part]:
    """The table of the steps, where their alternatives were asked for."""
    tokens = document["tokens"]
    if not any("alternatives" in token for token in tokens):
        return []
    rows = [
        [
            visible(token["token"]),
            f"{token['probability']:.1%}",
            f"{token['entropy']:.2f}",
            " · ".join(f"{visible(a['token'])} {a['probability']:.1%}" for a in token["alternatives"]),
        ]
        for token in tokens
    ]
    head = [say("token"), say("probability"), say("entropy, nats"), say("likeliest tokens")]
    return [Table(head, rows, left=(0, 3))]


def _row(candidate: Mapping[str, Any]) -> list[str]:
    share = candidate["probability" if "probability" in candidate else "pseudo_likelihood"]
    return [visible(candidate["token"]), f"{share:.1%}", bar(share), _in_a_line(candidate["sequence"])]


def visible(token: str) -> str:
    """A token without the space before it; one of nothing but space is shown by a sign."""
    return token.strip() or _in_a_line(token).replace(" ", "␣") or "∅"


def _in_a_line(text: str) -> str:
    """A text whose ends of lines and tabs are signs, since they would break a table."""
    return text.replace("\r\n", "⏎").replace("\n", "⏎").replace("\r", "⏎").replace("\t", "⇥")


def bar(share: float) -> str:
    """A share as a bar of blocks."""
    return "█" * round(share * _BAR_WIDTH)


def _entropy(mask: Mapping[str, Any], say: Speaker) -> str:
    if "entropy" in mask:
        return say("Entropy {nats} nats.", nats=f"{mask['entropy']:.2f}")
    return say("Entropy {nats} nats.", nats=" + ".join(f"{nats:.2f}" for nats in mask["entropies"]))


def _original(mask: Mapping[str, Any], say: Speaker) -> str:
    stood = mask.get("original")
    if not stood:
        return ""
    token = stood["token"].strip()
    if stood["nats"] is None:
        return say("“{token}” stood there, which the vocabulary does not know.", token=token)
    nats = f"{stood['nats']:.2f}"
    if stood["rank"] is None:
        return say(
            "“{token}” stood there: {nats} nats, none of the candidates that were followed.",
            token=token,
            nats=nats,
        )
    return say(
        "“{token}” stood there: rank {n}, {nats} nats.", token=token, n=f"{stood['rank']:,}", nats=nats
    )

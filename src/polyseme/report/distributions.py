"""Distributions over tokens: what may stand at a [MASK], and what may come next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polyseme.report.language import Speaker
from polyseme.report.page import Page
from polyseme.report.parts import Heading, Notes, Part, Table

__all__ = ["fill_page"]

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


def _row(candidate: Mapping[str, Any]) -> list[str]:
    share = candidate["probability" if "probability" in candidate else "pseudo_likelihood"]
    return [candidate["token"].strip(), f"{share:.1%}", bar(share), candidate["sequence"]]


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

"""How probable a text is, token by token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polyseme.report.language import Speaker
from polyseme.report.page import Page
from polyseme.report.parts import Either, Strip

__all__ = ["follows_page", "score_page", "scored_strip"]

_MOST = 12.0
"""Nats at which a token is shaded most: one chance in 160,000."""


def score_page(document: Mapping[str, Any], lang: str = "en") -> Page:
    """The sum of one text, and the nats of each of its tokens below it."""
    say = Speaker(lang)
    per_token = f"{document['per_token']:.2f}"
    lead = say(
        "{kind}: {nats} nats over {n} tokens, {each} a token.",
        kind=say(_KINDS[document["kind"]]),
        nats=f"{document['log_likelihood']:.2f}",
        n=f"{document['tokens']:,}",
        each=per_token,
    )
    return Page(say("How probable the text is"), lead, [scored_strip(document, say)], lang)


def follows_page(document: Mapping[str, Any], lang: str = "en") -> Page:
    """Yes or no, and the probability."""
    say, p = Speaker(lang), document["follows"]
    answer = (
        say("Yes: the second text follows the first")
        if p > 0.5
        else say("No: the second text is from elsewhere")
    )
    lead = say("{answer} (probability that it follows {p}).", answer=answer, p=f"{p:.3f}")
    page_alone = Either(page=[document["text"], document["text_b"]])
    return Page(say("Does the text follow?"), lead, [page_alone], lang)


_KINDS = {
    "log-likelihood": "Log-likelihood",
    "pseudo-log-likelihood": "Pseudo-log-likelihood",
    "two-way log-likelihood": "Two-way log-likelihood",
}


def scored_strip(document: Mapping[str, Any], say: Speaker) -> Strip:
    """A text cut into its tokens; what is no token that counts stands without a figure."""
    text, pieces, at = document["text"], list[tuple[str, str, float]](), 0
    for token in document["token_scores"]:
        start, end, nats = token["start"], token["end"], token["nats"]
        if text[at:start].strip():
            pieces.append((text[at:start], "", 0.0))
        piece = text[start:end] if end > start else say("(end)")
        pieces.append((piece, f"{nats:.1f}", nats / _MOST))
        at = max(at, end)
    if text[at:].strip():
        pieces.append((text[at:], "", 0.0))
    return Strip(pieces)

"""A text cut into the tokens that a model reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polyseme.report.distributions import visible
from polyseme.report.language import Speaker
from polyseme.report.page import Page
from polyseme.report.parts import Strip

__all__ = ["tokens_page"]

_SHADES = {"unknown": 1.0, "goes on": 0.25}


def tokens_page(document: Mapping[str, Any], lang: str = "en") -> Page:
    """The tokens with their ids below; what goes on a word is shaded a little, what is unknown most."""
    say, tokens = Speaker(lang), document["tokens"]
    unknown = sum(token["unknown"] for token in tokens)
    lead = say.sentences(
        say(
            "{n} tokens, {characters} characters.",
            n=f"{len(tokens):,}",
            characters=f"{len(document['text']):,}",
        ),
        say("Unknown to the vocabulary: {n}.", n=f"{unknown:,}") if unknown else "",
        say("More than the model reads: the last {n}.", n=f"{document['cut']:,}") if document["cut"] else "",
    )
    pieces = [(_piece(token, document["text"]), str(token["id"]), _shade(token)) for token in tokens]
    return Page(say("What the model reads"), lead, [Strip(pieces)], lang)


def _piece(token: Mapping[str, Any], text: str) -> str:
    """The token; of what is unknown also the characters that it stands for."""
    written = visible(token["token"])
    return f"{written}({text[token['start'] : token['end']]})" if token["unknown"] else written


def _shade(token: Mapping[str, Any]) -> float:
    if token["unknown"]:
        return _SHADES["unknown"]
    return 0.0 if token["word_start"] else _SHADES["goes on"]

"""What a masking objective hides in a text: the text as the model sees it, and what was chosen and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polyseme.report.language import Speaker
from polyseme.report.page import Page
from polyseme.report.parts import Heading, Part, Table

__all__ = ["mask_page"]

_MARKS = {"entity": ("⟦", "⟧"), "phrase": ("⟨", "⟩"), "basic": ("‹", "›")}
_SOURCES = {
    "lexicon": "from the lexicon",
    "segmenter": "a word of the segmenter",
    "name": "a name to the segmenter",
    "capitals": "capitalised in the text",
    "mined": "words that go together in the text",
}
_OUTCOMES = {"masked": "hidden", "random": "replaced", "kept": "kept as it is"}


def mask_page(document: Mapping[str, Any], lang: str = "en") -> Page:
    """Every line's text as the model sees it, and below it the chosen units."""
    say, parts = Speaker(lang), list[Part]()
    for line in document["lines"]:
        hidden = say("{hidden} of {n} tokens", hidden=line["hidden"], n=line["tokens"])
        parts += [
            Heading(f"{line['model']}: {line['stage']} ({hidden})"),
            _cut(document["text"], line["cut"]) if line["cut"] else "",
            line["masked"],
            Table([""] * 4, [_row(unit, say) for unit in line["units"]], left=(0, 1, 2, 3)),
        ]
    return Page(say("What is hidden"), "", parts, lang)


def _row(unit: Mapping[str, Any], say: Speaker) -> list[str]:
    becomes = "" if unit["outcome"] == "kept" else " ".join(unit["shown"])
    return [unit["text"], say(_OUTCOMES[unit["outcome"]]), becomes, _reason(unit, say)]


def _reason(unit: Mapping[str, Any], say: Speaker) -> str:
    source = "name" if unit["source"] == "segmenter" and unit["kind"] == "entity" else unit["source"]
    kind = f"{unit['kind']} ({unit['type']})" if unit["type"] not in ("", unit["kind"]) else unit["kind"]
    return f"{kind}, {say(_SOURCES[source])}" if source in _SOURCES else kind


def _cut(text: str, cut: Sequence[Sequence[Any]]) -> str:
    """The text with brackets around its units of several tokens."""
    parts, at = [], 0
    for start, end, kind in cut:
        opening, closing_mark = _MARKS[kind]
        parts += [text[at:start], opening, text[start:end], closing_mark]
        at = end
    return "".join([*parts, text[at:]]).replace("\n", " ")

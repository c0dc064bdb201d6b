"""Word vectors beside what people say: a table of similarity sets, and one of analogies by section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polyseme.report.language import Speaker
from polyseme.report.page import Page
from polyseme.report.parts import Table

__all__ = ["analogy_page", "similarity_page"]


def similarity_page(document: Sequence[Mapping[str, Any]], lang: str = "en") -> Page:
    """Spearman's correlations, a row a file."""
    say = Speaker(lang)
    head = [say("set"), "Spearman", say("95 % interval"), say("pairs covered")]
    rows = [
        [
            Path(one["file"]).name,
            _figure(one["spearman"], "{:.3f}", say),
            _interval(one["spearman"], "{:.3f}"),
            say("{n} of {all}", n=f"{one['covered']:,}", all=f"{one['pairs']:,}"),
        ]
        for one in document
    ]
    return Page(say("Similarity of words"), "", [Table(head, rows)], lang)


def analogy_page(document: Mapping[str, Any], lang: str = "en") -> Page:
    """Accuracies, a row a section, the total last."""
    say = Speaker(lang)
    rows = [
        [
            name,
            *(_share(one[rule], say) for rule in _RULES),
            say("{n} of {all}", n=f"{one['covered']:,}", all=f"{one['questions']:,}"),
        ]
        for name, one in {**document["sections"], say("total"): document["total"]}.items()
    ]
    head = [say("section"), "3CosAdd", "3CosMul", say("questions covered")]
    return Page(say("Analogies"), "", [Table(head, rows)], lang)


_RULES = ("cos_add", "cos_mul")


def _share(one: Mapping[str, Any], say: Speaker) -> str:
    return "\n".join(filter(None, [_figure(one, "{:.1%}", say), _interval(one, "{:.1%}")]))


def _figure(one: Mapping[str, Any], form: str, say: Speaker) -> str:
    return say("none") if one["value"] is None else form.format(one["value"])


def _interval(one: Mapping[str, Any], form: str) -> str:
    if one["value"] is None or one["low"] is None:
        return ""
    return f"{form.format(one['low'])} … {form.format(one['high'])}"

"""Every kind of result as text, as HTML and as files: what verbs print and write, and what results show of themselves.

A kind has a page, `PAGES`; its text is the page's, and -o writes the document, the page and its charts.
"""

from __future__ import annotations

import html
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from polyseme.core.result import Result, written
from polyseme.report.files import write_study
from polyseme.report.page import Page
from polyseme.report.parts import Table

__all__ = ["PAGES", "html_of", "page_of", "page_of_document", "text_of", "write"]

PAGES = {
    "analogy": "word_vectors.analogy_page",
    "attention": "attention.attention_page",
    "cka": "cka.cka_page",
    "compare": "compare.compare_page",
    "cosines": "cosines.cosines_page",
    "directions": "directions.directions_page",
    "evaluate": "evaluation.evaluation_page",
    "fill": "distributions.fill_page",
    "follows": "score.follows_page",
    "generate": "distributions.generate_page",
    "holes": "holes.holes_page",
    "inspect": "run_summary.inspect_page",
    "mask": "mask.mask_page",
    "neighbours": "neighbours.neighbours_page",
    "next": "distributions.next_page",
    "pairs": "pairs.pairs_page",
    "probe": "probe.probe_page",
    "score": "score.score_page",
    "senses": "senses.senses_page",
    "tokenize": "tokens.tokens_page",
    "similarity": "word_vectors.similarity_page",
    "units": "units.units_page",
    "tree": "tree.tree_page",
    "uses": "uses.uses_page",
}
"""Kind -> what makes its page of a document and a language; the page of another kind is its table."""
WRITERS = {
    "attention": "attention.write_attention",
    "compare": "compared.write_compared",
    "evaluate": "evaluation.write_evaluation",
    "pairs": "pairs.write_pairs",
    "uses": "uses.write_uses",
}
"""Kind -> what writes a result into a path, in a language, where there is more than the study's three forms of file."""


def page_of(result: Result, lang: str = "en") -> Page:
    """The page of a result.

    Raises:  ConfigError: no such language.
    """
    if result.kind in PAGES:
        return page_of_document(result.kind, result.document(), lang)
    rows = result.rows()
    head = list(rows[0]) if rows else []
    words = [at for at, name in enumerate(head) if any(isinstance(row[name], str) for row in rows)]
    table = Table(head, [[written(value) for value in row.values()] for row in rows], left=words)
    return Page(type(result).__name__, result.headline(), [table], lang)


def page_of_document(kind: str, document: Any, lang: str = "en") -> Page:
    """The page of what a verb printed with --json.

    Args:
        kind: one of `PAGES`.
    Raises:  ConfigError: no such language.
    """
    page: Page = _named(PAGES[kind])(document, lang)
    return page


def text_of(result: Result) -> str:
    """What a terminal shows of a result."""
    return page_of(result).text()


def html_of(result: Result) -> str:
    """The page of a result inside another page, such as a notebook: a frame of its own, so that no style leaks.

    It grows to the page's height, up to a screen; in a notebook that is not trusted, and so runs no handler, it has
    room for 32 lines.
    """
    return (
        f'<iframe srcdoc="{html.escape(page_of(result).html(), quote=True)}" '
        "onload=\"this.style.height=Math.min(this.contentDocument.documentElement.scrollHeight+8,900)+'px'\" "
        'style="width:100%;height:32em;border:0" loading="lazy"></iframe>'
    )


def write(result: Result, path: Path, lang: str = "en") -> tuple[list[Path], list[str]]:
    """Write a result's files.

    Returns the files, and what a person should know of them.
    Raises:  StorageError: they cannot be written.  ConfigError: no such language, or nothing is written of this kind.
    """
    if result.kind in WRITERS:
        files, notes = _named(WRITERS[result.kind])(result, path, lang)
        return list(files), list(notes)
    files, note = write_study(result.kind, result.document(), page_of(result, lang), path)
    return files, [note] if note else []


def _named(place: str) -> Callable[..., Any]:
    """A function of this package, imported when it is needed."""
    module, _, name = place.partition(".")
    function: Callable[..., Any] = getattr(importlib.import_module(f"polyseme.report.{module}"), name)
    return function

"""English sentences in a report that should be Chinese."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any

from polyseme.report.page import Page

_SENTENCE = re.compile(r"[A-Za-z][A-Za-z'’-]*(?:[,;:]? [A-Za-z][A-Za-z'’-]*){3,}")
"""Four English words in a row."""


def english_in(page: Page, document: Any) -> list[str]:
    """Runs of four or more English words on a page, in its charts and in its text, which its document does not hold.

    Commands, and what comes from the document (texts, labels, names), may be English; its notes may not.
    """
    whole = re.sub(r"(?s)<(script|style|pre)\b.*?</\1>", " ", page.html())
    charts = [text for figure in page.figures for text in _texts(json.loads(json.dumps(figure.chart.spec)))]
    said = [html.unescape(re.sub(r"<[^>]*>", "\n", whole)), page.text(80), *charts]
    said += map(html.unescape, re.findall(r'(?:title|aria-label)="([^"]*)"', whole))
    given = "\n".join(_texts(document))
    runs = [run for text in said for run in _SENTENCE.findall(re.sub("`[^`]*`", "", text))]
    return [run for run in runs if run not in given]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _texts(one) if key != "notes" else ()
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)

"""Articles as wikiextractor writes them: of every page a block, in files AA/wiki_00, AA/wiki_01 …

    <doc id="12" url="https://…" title="Anarchism">
    Anarchism

    Its text, in which < > & are written &lt; &gt; &amp;
    </doc>

With its option --json each line is a record instead, whose "text" holds the text; the files are called the same.

Source:  github.com/attardi/wikiextractor, version 3.0.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from polyseme.text.clean import CleaningReport
from polyseme.text.split import LIMIT, Piece, lines, split

__all__ = ["article_pieces", "begins_with_article", "is_extracted"]

_NAME = re.compile(r"wiki_\d+(\.gz|\.zst)?")
_BEGIN = re.compile(r'<doc id="[^"]*"[^\n]*>\s*$')
_END = "</doc>"


def is_extracted(path: Path | str) -> bool:
    """Whether a file is called as wikiextractor calls its files, which have no suffix."""
    return _NAME.fullmatch(Path(path).name) is not None


def begins_with_article(head: str) -> bool:
    """Whether a text begins as wikiextractor's files do."""
    return _BEGIN.match(head.lstrip().partition("\n")[0]) is not None


def article_pieces(chunks: Iterable[str], report: CleaningReport, source: str) -> Iterator[Piece]:
    """One piece an article (more of a very long one); offsets are numbers of lines, from 1.

    An article that the end of the file or another one's beginning cuts off is read and counted; lines between articles
    are left out and counted.
    """
    begun: int | None = None  # the line after the beginning of the article that is being read
    parts: list[str] = []
    size, cut = 0, False

    def finish() -> Iterator[Piece]:
        nonlocal parts, size, cut
        text, number = html.unescape("\n".join(parts)), begun or 0
        if (not text or text.isspace()) and not cut:
            yield Piece("", number, False)  # an empty document, which the reader counts
        for piece in split([text], "file"):
            yield Piece(piece.text, number, piece.cut)
        parts, size, cut = [], 0, False

    for number, line in enumerate(lines(chunks), 1):
        if line is None:
            report.add("record_too_long", 1, f"{source}, line {number}")
        elif _BEGIN.match(line):
            if begun is not None:
                report.add("article_cut", 1, f"{source}, line {begun}")
                yield from finish()
            begun = number
        elif begun is None:
            if line and not line.isspace():
                report.add("between_articles", 1, f"{source}, line {number}")
        elif line.rstrip() == _END:
            yield from finish()
            begun = None
        else:
            parts.append(line)
            size += len(line) + 1
            if (
                size > 8 * LIMIT and not line
            ):  # let go of a very long one at a blank line, without waiting for its end
                yield from finish()
                cut = True
    if begun is not None:
        report.add("article_cut", 1, f"{source}, line {begun}")
        yield from finish()

"""Parts of a report as Markdown: paragraphs, headings and tables; charts and what only a page can show are left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from polyseme.report.parts import Commands, Heading, Notes, Part, Strip, Table, shown

__all__ = ["markdown"]


def markdown(parts: Sequence[Part]) -> str:
    r"""Parts as Markdown.

    Example:
        >>> print(markdown([Table(["run", "f1"], [["bert", "0.5\n0.4–0.6"]])]), end="")
        | run | f1 |
        |---|---|
        | bert | 0.5<br>0.4–0.6 |
    """
    return (
        "\n\n".join(written for part in shown(parts, page=False) for written in _blocks(part) if written)
        + "\n"
    )


def _blocks(part: Part) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, Heading):
        yield f"{'#' * part.level} {part.text}"
    elif isinstance(part, Table):
        yield "\n".join(_lines(part))
        yield part.caption
    elif isinstance(part, Strip):
        yield " ".join(f"{piece.strip()}({figure})" for piece, figure, _ in part.pieces)
        yield part.caption
    elif isinstance(part, Notes):
        yield "\n".join(f"- {note if isinstance(note, str) else ': '.join(note)}" for note in part.lines)
    elif isinstance(part, Commands):
        yield "\n".join(["```", *part.lines, "```"])


def _lines(table: Table) -> Iterator[str]:
    yield _row(table.head)
    yield "|" + "---|" * len(table.head)
    for row, cells in enumerate(table.rows):
        yield _row(
            [f"**{cell}**" if (row, column) in table.strong else cell for column, cell in enumerate(cells)]
        )


def _row(cells: Sequence[str]) -> str:
    return "|" + "|".join(f" {cell} " if cell else " " for cell in _escaped(cells)) + "|"


def _escaped(cells: Sequence[str]) -> list[str]:
    return [cell.replace("|", "\\|").replace("\n", "<br>") for cell in cells]

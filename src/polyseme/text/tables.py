"""The text column of tables: .csv and .tsv with a header that names it, a document a row.

What parts the fields and what the quotes mean is told as of labelled tables: labelled/dialects.py. A row that cannot
be used is left out and counted; no other row is lost with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from polyseme.errors import CorpusError
from polyseme.text.clean import CleaningReport
from polyseme.text.labelled.dialects import are_row_names, dialect_of, sample_of, table_rows
from polyseme.text.labelled.opening import peek
from polyseme.text.records import likely_field, pieces_of, typed_field
from polyseme.text.split import Piece, lines

__all__ = ["table_pieces"]


def table_pieces(
    chunks: Iterable[str], field: str, report: CleaningReport, source: str, suffix: str
) -> Iterator[Piece]:
    """One piece a row of a .csv or .tsv, from the column that the header calls `field`; offsets are lines.

    Raises:  CorpusError: there is no such column, or no row can be used.
    """
    sample, numbered = sample_of(_numbered(chunks, report, source))
    dialect = dialect_of(
        sample, "\t" if suffix == ".tsv" else ",", lambda names: field in [name.strip() for name in names]
    )
    for _ in range(dialect.skipped):
        number, line = next(numbered)
        if line.startswith("#"):
            report.add("comment", 1, f"{source}, line {number}")
    rows = table_rows(
        numbered, dialect, lambda number, _: report.add("empty_row", 1, f"{source}, line {number}")
    )
    _, header, _ = next(rows, (1, None, ""))
    names = [name.strip() for name in header or ()]
    head, rows = peek(rows)
    below = [fields for _, fields, _ in head if fields]
    if field not in names:
        sizes = {
            name: len(value) for name, value in zip(names, below[0] if below else (), strict=False) if name
        }
        fix = "leave the table out, or write its texts to a .txt file"
        if sizes:
            fix = f"--field {typed_field(likely_field(field, sizes))}"
        raise CorpusError(
            f"no column {field!r} in the table",
            got="columns " + ", ".join(names[:10]) if names else "an empty file",
            expected="a header that names the column of the texts",
            where=source,
            fix=fix,
        )
    place, width = names.index(field), len(names)
    if are_row_names(below, width + 1):  # as R's write.table writes them
        place, width = place + 1, width + 1
    used, bad = False, ""
    for number, fields, _ in rows:
        where = f"{source}, line {number}"
        if fields is None:
            kind = "bad_quotes"
        elif len(fields) <= place:
            kind = "no_field"
        elif any(fields[width:]):  # which of the fields is the text nobody can tell
            kind = "too_many_fields"
        else:
            used = True
            yield from pieces_of(fields[place], number)
            continue
        report.add(kind, 1, where)
        bad = bad or where
    if bad and not used:
        raise CorpusError(
            "no row of the table can be used",
            got="; ".join(
                f"{report.counts[kind]:,} {kind.replace('_', ' ')}" for kind in _BAD if report.counts[kind]
            ),
            expected="as many fields in each row as the header has, and every quote within a field doubled",
            where=bad,
            fix="write the table again, with a csv writer",
        )


_BAD = ("bad_quotes", "no_field", "too_many_fields")


def _numbered(chunks: Iterable[str], report: CleaningReport, source: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines(chunks), 1):
        if line is None:
            report.add("record_too_long", 1, f"{source}, line {number}")
        else:
            yield number, line

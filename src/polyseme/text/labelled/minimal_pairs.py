"""Minimal pairs: two texts that differ in one thing, of which the first is good and the second is not.

.jsonl      BLiMP's form (Warstadt et al. 2020): sentence_good, sentence_bad, UID, linguistics_term, field, pairID
.tsv .csv   a header with good and bad, perhaps paradigm and phenomenon; or `columns`: names, or numbers from 1
others      as the above, or a good and a bad text a line with a tab between

A paradigm is a set of pairs made by one pattern; a phenomenon has one paradigm or several. A missing paradigm is filled
by the phenomenon, or by the name of the file; a missing phenomenon by the paradigm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from polyseme.errors import CorpusError
from polyseme.text.labelled.opening import (
    LabelledFile,
    Row,
    checked_columns,
    form_suffix,
    name_of,
    records_of,
    sound,
)
from polyseme.text.labelled.records import Problems
from polyseme.text.labelled.rows import Form, field_text, texts_in
from polyseme.text.labelled.tables import rows_of
from polyseme.text.sources import RECORDS, STDIN, TABLES, is_description

__all__ = ["MinimalPair", "pair_files", "read_minimal_pairs"]

_FORM = Form(
    needed=(
        (
            {"good": "good", "bad": "bad"},
            {"good": "sentence_good", "bad": "sentence_bad"},
            {"good": "good_sentence", "bad": "bad_sentence"},
            {"good": "grammatical", "bad": "ungrammatical"},
            {"good": "acceptable", "bad": "unacceptable"},
        ),
    ),
    optional=(
        ({"paradigm": "paradigm"}, {"paradigm": "uid"}),
        ({"phenomenon": "phenomenon"}, {"phenomenon": "linguistics_term"}),
        ({"id": "id"}, {"id": "pairid"}),
    ),
)
_SUFFIXES = (*RECORDS, *TABLES)


@dataclass(frozen=True, slots=True)
class MinimalPair:
    """A good text and a bad one.

    Args:
        good, bad: the texts.
        paradigm: the set of similar pairs to which this pair belongs.
        phenomenon: the phenomenon that the paradigm tests.
        id: the file's own id, else the number of the line.
        where: FILE:LINE.
    """

    good: str
    bad: str
    paradigm: str
    phenomenon: str
    id: str
    where: str


def pair_files(paths: Sequence[Path | str]) -> list[Path]:
    """The files to read: those named, and the .jsonl, .json, .tsv and .csv of a folder, also .gz and .zst.

    A file that is named twice, or by itself and by its folder, is read once.
    Raises:  CorpusError: a folder holds none.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if path == STDIN or not path.is_dir():
            files.append(path)
            continue
        inside = [
            file
            for file in sorted(path.rglob("*"))
            if file.is_file()
            and form_suffix(file) in _SUFFIXES
            and not is_description(file.name)
            and not any(part.startswith(".") for part in file.relative_to(path).parts)
        ]
        if not inside:
            raise CorpusError(
                "no file of minimal pairs in this folder",
                expected="files that end in " + ", ".join(_SUFFIXES) + ", perhaps with .gz or .zst",
                where=path,
            )
        files += inside
    once: dict[Path, Path] = {}
    for file in files:
        once.setdefault(file if file == STDIN else file.resolve(), file)
    return list(once.values())


def read_minimal_pairs(
    path: Path | str,
    *,
    columns: Mapping[str, str] | None = None,
    encoding: str = "auto",
    problems: Problems | None = None,
    separator: str = "auto",
) -> Iterator[MinimalPair]:
    r"""Read a file of minimal pairs, row by row.

    Args:
        path: the file, also as .gz or .zst; "-" for the standard input.
        columns: ours to theirs: {"good": "1", "bad": "2", "phenomenon": "3"}, numbers for a file without a header; our
            names are good, bad, paradigm, phenomenon, id.
        encoding: a name, or "auto" to detect it.
        problems: receives the counts of problems; bad rows are left out.
        separator: what stands between the fields of a table; "auto" = as the file shows.
    Raises:  ConfigError: the columns are missing or not clear; CorpusError: the file is missing, empty, binary,
             or more than half of its first 100 rows are bad.
    Source:  Warstadt et al. (2020), section 3, for the form of the JSON lines.
    Example:
        >>> import pathlib, tempfile
        >>> file = pathlib.Path(tempfile.mkdtemp(), "number.tsv")
        >>> _ = file.write_text("good\tbad\nthe cat sits\tthe cat sit\n")
        >>> [(pair.good, pair.bad, pair.paradigm) for pair in read_minimal_pairs(file)]
        [('the cat sits', 'the cat sit', 'number')]
    """
    problems = Problems() if problems is None else problems
    file = LabelledFile(path, problems, checked_columns(columns, _FORM.known), False, separator, encoding)
    name = _stem(path)
    records = records_of(file, rows_of(file, _FORM), lambda row: _pair(file, row, name))
    return sound(records, file, "rows with good and bad")


def _stem(path: Path | str) -> str:
    """The name of a file without its suffixes."""
    if Path(path) == STDIN:
        return name_of(path)
    plain = Path(path)
    if plain.suffix.lower() in (".gz", ".zst"):
        plain = Path(plain.stem)
    return plain.stem


def _pair(file: LabelledFile, row: Row, name: str) -> MinimalPair:
    values, texts = row.values, texts_in(file, row, ("good", "bad"))
    phenomenon = field_text(values.get("phenomenon"))
    paradigm = field_text(values.get("paradigm")) or phenomenon or name
    id = field_text(values.get("id")) or str(row.number)
    names = [file.scrub(name, row.where) for name in (paradigm, phenomenon or paradigm, id)]
    return MinimalPair(texts[0], texts[1], names[0], names[1], names[2], row.where)

r"""Cleaning of text by fixed rules, every change counted by kind.

In this order:

    line ends       CRLF and a lone CR become \n                                    crlf, cr
    separators      VT, FF, NEL, U+2028 and U+2029 become \n                        line_separator
    NUL             removed                                                         nul
    controls        other C0 and C1 characters, but \n and \t, and DEL: removed     control
    surrogates      a lone surrogate (from a JSON escape) becomes U+FFFD            lone_surrogate
    noncharacters   U+FDD0 … U+FDEF, U+FFFE, U+FFFF, U+1FFFE …: removed             noncharacter
    stray BOM       U+FEFF inside the text: removed                                 zero_width_no_break
    trailing space  at the end of a line: removed (counted by line)                 trailing_space
    normal form     NFC unless NFKC or none is asked for (counted by document)      not_nfc, not_nfkc
    edges           blank lines at the start, white space at the end: removed       (not counted)

What readers count beside these is listed in `KINDS`. The common case, clean text, costs a few scans and
returns the string it was given. Cleaning what is clean changes nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import Any, Literal

__all__ = ["KINDS", "CleaningReport", "clean", "replace_surrogates", "unify_line_ends"]

KINDS: dict[str, str] = {
    "bom": "files that begin with a byte order mark (removed)",
    "broken_bytes": "bytes that are wrong in the file's encoding (each became U+FFFD)",
    "crlf": "CRLF line ends (became LF)",
    "cr": "lone CR line ends (became LF)",
    "cr_inside": "lone CR inside lines, where rows are counted (kept: lines end at LF or CRLF)",
    "line_separator": "VT, FF, NEL, U+2028 or U+2029 (became LF)",
    "nul": "NUL characters (removed)",
    "control": "other control characters (removed)",
    "lone_surrogate": "lone surrogates (became U+FFFD)",
    "noncharacter": "Unicode noncharacters (removed)",
    "zero_width_no_break": "byte order marks inside the text (removed)",
    "trailing_space": "lines with trailing space (removed)",
    "not_nfc": "documents that were not in NFC (normalised)",
    "not_nfkc": "documents that were not in NFKC (normalised)",
    "empty_document": "empty documents (dropped)",
    "cut_document": "documents too long to hold (cut into parts)",
    "duplicate": "exact duplicates of an earlier document (dropped)",
    "held_out": "training documents that are also in the held-out files (dropped)",
    "near_duplicate": "near-duplicates of an earlier document (dropped)",
    "not_json": "lines that are not a JSON object (dropped)",
    "no_field": "records without the text field (dropped)",
    "field_not_text": "records whose text field is not a string (dropped)",
    "bad_quotes": "rows of tables with a quote that is never closed (dropped; the lines after them are read)",
    "too_many_fields": "rows of tables with more fields than the header (dropped)",
    "empty_row": "rows of tables whose fields are all empty (dropped)",
    "comment": "lines above the header of tables that begin with # (dropped)",
    "article_cut": "articles that <doc> begins and no </doc> ends (read as far as they go)",
    "between_articles": "lines between articles (dropped)",
    "record_too_long": "records of more than 64 million characters (dropped)",
    "skipped_description": "LICENSE, README, SOURCE.txt and the like in folders (skipped)",
    "skipped_suffix": "files in folders that are not .txt or .jsonl (skipped)",
    "skipped_hidden": "hidden files and folders (skipped)",
    "skipped_binary": "binary files in folders (skipped)",
    "skipped_dangling": "links in folders that lead nowhere (skipped)",
    "skipped_again": "folders that a link leads to a second time (skipped)",
    "skipped_special": "pipes, sockets and devices in folders (skipped)",
    "skipped_unreadable": "files and folders in folders that may not be read (skipped)",
    "markup": "files in HTML or XML (their tags are read as text)",
    "unknown_mark": "<unk>, which a corpus has in place of a rare word (read as these letters)",
    "named_twice": "files that were named twice (read once)",
    "encoding_utf-16": "files in UTF-16 (converted)",
    "encoding_utf-32": "files in UTF-32 (converted)",
    "encoding_gb18030": "files in GB18030, GBK or GB2312 (converted)",
    "encoding_big5": "files in Big5 (converted)",
    "encoding_cp1252": "files in Windows-1252 or Latin-1 (converted)",
    "encoding_other": "files in another encoding that was asked for (converted)",
}


class CleaningReport:
    """What was found and changed in a corpus, by kind (see `KINDS`).

    Args:
        counts: how often each kind was met.
        examples: where each kind was met first: "FILE, character N"; for records "FILE, line N".
        suffixes: of the files that were skipped for their suffix, how many have each, and the first of them.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.suffixes: dict[str, tuple[int, str]] = {}

    def add(self, kind: str, n: int = 1, place: str = "") -> None:
        """Count `n` more of a kind; the first place of each kind is kept."""
        self.counts[kind] += n
        if place:
            self.examples.setdefault(kind, place)

    def skip_suffix(self, suffix: str, path: str) -> None:
        """Count a file that is left out because of its suffix."""
        self.add("skipped_suffix", 1, path)
        n, first = self.suffixes.get(suffix, (0, path))
        self.suffixes[suffix] = n + 1, first

    def as_dict(self) -> dict[str, Any]:
        """A JSON-able copy: {"counts": {kind: n}, "examples": {kind: place}, "suffixes": {suffix: [n, place]}}.

        Suffixes are there where a file was skipped for its suffix.
        """
        written = {
            "counts": dict(sorted(self.counts.items())),
            "examples": dict(sorted(self.examples.items())),
        }
        if self.suffixes:
            written["suffixes"] = {suffix: list(example) for suffix, example in sorted(self.suffixes.items())}
        return written

    @classmethod
    def from_dict(cls, written: dict[str, Any]) -> CleaningReport:
        """The report that `as_dict` wrote; an empty one has no keys."""
        report = cls()
        report.counts.update(written.get("counts", {}))
        report.examples = dict(written.get("examples", {}))
        report.suffixes = {suffix: (n, first) for suffix, (n, first) in written.get("suffixes", {}).items()}
        return report

    def merge(self, other: CleaningReport) -> None:
        """Add another report's counts; our own examples win."""
        self.counts.update(other.counts)
        self.examples = other.examples | self.examples
        for suffix, (n, first) in other.suffixes.items():
            before, example = self.suffixes.get(suffix, (0, first))
            self.suffixes[suffix] = before + n, example


_TO_NEWLINE = "\x0b\x0c\x85\u2028\u2029"
_CLEAN_ASCII = bytes([9, 10, 13, *range(32, 127)])
# Of most text a few scans at memory speed tell that it is clean: of the bytes that begin dirt it has only two, which
# begin Chinese punctuation and quotes, too, and none of the dirt that they begin.
_HARMLESS = bytes([*_CLEAN_ASCII, *(byte for byte in range(0x80, 0xF0) if byte not in (0xC2, 0xE2, 0xEF))])
_SUSPECT = b"\xe2\xef"
_RARE, _RARE_BLOCK = "\u2028\u2029\ufeff\ufffe\uffff", b"\xef\xb7"  # the block: U+FDC0 ... U+FDFF
# The same set twice: in UTF-8 without the clean ASCII, and in characters.
_DIRTY_BYTES = re.compile(
    rb"[\x00-\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]|\xef(?:\xbb\xbf|\xb7[\x90-\xaf]|\xbf[\xbe\xbf])"
    rb"|[\xf0-\xf4][\x8f\x9f\xaf\xbf]\xbf[\xbe\xbf]"
)
_DIRT = re.compile(
    "[^\t\n\r -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufdcf\ufdf0-\ufefe\uff00-\ufffd"
    + "".join(f"{chr(plane << 16)}-{chr(plane << 16 | 0xFFFD)}" for plane in range(1, 17))
    + "]"
)
_SPACES = " \t\xa0\u3000"


def clean(
    text: str,
    report: CleaningReport,
    *,
    normalize: Literal["NFC", "NFKC", "none"] = "NFC",
    source: str = "",
    offset: int = 0,
    unit: Literal["character", "line", "record"] = "character",
) -> str:
    r"""Apply the rules at the head of this file to one document.

    Args:
        text: the document.
        report: receives the counts.
        normalize: the Unicode normal form.
        source, offset, unit: where the document begins, for the report's examples.

    Example:
        >>> report = CleaningReport()
        >>> clean("one\r\ntwo\x00 ", report), dict(report.counts)
        ('one\ntwo', {'crlf': 1, 'nul': 1})
    """

    def place(position: int = 0) -> str:
        return f"{source}, {unit} {offset + position * (unit == 'character')}" if source else ""

    if "\r" in text:
        text = unify_line_ends(text, report, source, offset, unit)
    if _is_dirty(text):

        def replace(match: re.Match[str]) -> str:
            kind, becomes = _classify(match[0])
            report.add(kind, 1, place(match.start()))
            return becomes

        text = _DIRT.sub(replace, text)
    trailing = sum(text.count(space + "\n") for space in _SPACES)
    if trailing:
        report.add("trailing_space", trailing, place())
        text = "\n".join([line.rstrip(_SPACES) for line in text.split("\n")])
    if normalize != "none" and not unicodedata.is_normalized(normalize, text):
        report.add(f"not_{normalize.lower()}", 1, place())
        text = unicodedata.normalize(normalize, text)
    return text.rstrip().lstrip("\n")


def unify_line_ends(
    text: str, report: CleaningReport, source: str = "", offset: int = 0, unit: str = "character"
) -> str:
    """Turn CRLF and lone CR into LF and count them."""
    pairs = text.count("\r\n")
    for kind, end, n in (("crlf", "\r\n", pairs), ("cr", "\r", text.count("\r") - pairs)):
        if n:
            place = offset + text.find(end) * (unit == "character")
            report.add(kind, n, f"{source}, {unit} {place}" if source else "")
            text = text.replace(end, "\n")
    return text


def replace_surrogates(text: str) -> str:
    """Put U+FFFD for lone surrogates, as in a word from the command line, which no library takes; same length."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return re.sub("[\ud800-\udfff]", "\ufffd", text)
    return text


def _is_dirty(text: str) -> bool:
    try:
        data = text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return True
    suspects = data.translate(None, _HARMLESS)
    if not suspects:
        return False
    if not suspects.strip(_SUSPECT) and not any(rare in text for rare in _RARE) and _RARE_BLOCK not in data:
        return False
    return _DIRTY_BYTES.search(data.translate(None, _CLEAN_ASCII)) is not None


def _classify(character: str) -> tuple[str, str]:
    """The kind of a dirty character and what it becomes."""
    if character == "\x00":
        return "nul", ""
    if character in _TO_NEWLINE:
        return "line_separator", "\n"
    if "\ud800" <= character <= "\udfff":
        return "lone_surrogate", "\ufffd"
    if character == "\ufeff":
        return "zero_width_no_break", ""
    return ("control", "") if character < "\xa0" else ("noncharacter", "")

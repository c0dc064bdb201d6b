"""Uses of words in texts, with or without sense labels.

a folder        of one word in the form of CoarseWSD-20, or of several such folders: train.data.txt (and test.data.txt)
                with "target index TAB sentence of tokens" a line, train.gold.txt with a sense's number a line,
                classes_map.txt with their names in JSON; the index counts tokens between white space from 0
.tsv .csv       a header with text and, where there are labels, sense; and start, end (characters of the text) or word;
.jsonl .json    objects with these keys. Optional: id, part (train or test)
chinese-senses  where no file is called so: ten Chinese words of two senses, twenty sentences each, written for polyseme
other text      as a corpus for pretraining is given: files, folders, python-docs. Unlabelled: every occurrence of the
                words that are asked for, in its sentence and those beside it

A word of a table without start and end is searched as a whole word, upper and lower case alike; of several places the
first is taken and the row counted. Words with Chinese characters are found anywhere, a single character only where the
segmenter leaves it a word of its own: 水 in 河里的水很深, not in 水平 or 喝水.

A place without a word belongs to the word that stands there. Where one word is asked for, a place may hold another form
of it (banks) that begins the same; other places belong to other words, and are left out and counted.

Source:  Loureiro, Rezaee, Pilehvar and Camacho-Collados (2021) for the folders.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from polyseme.errors import ConfigError, CorpusError
from polyseme.text.clean import CleaningReport
from polyseme.text.config import TextConfig
from polyseme.text.corpus import Corpus
from polyseme.text.labelled.opening import (
    BadRecord,
    LabelledFile,
    Row,
    checked_columns,
    form_suffix,
    numbered_lines,
    read_whole,
    records_of,
    scrub,
    sound,
)
from polyseme.text.labelled.records import Problems
from polyseme.text.labelled.rows import Form, delimited_rows, field_text, json_rows, texts_in
from polyseme.text.sentences import sentence_spans
from polyseme.text.sources import RECORDS, TABLES
from polyseme.text.words import LETTER, cjk_share, has_cjk, is_cjk, word_spans

__all__ = [
    "BUILTINS",
    "Use",
    "context_around",
    "in_text",
    "no_word",
    "occurrences",
    "read_uses",
    "uses_in_text",
]

CONTEXT = 500
"""Fewest characters of context for a use in running text: shorter sentences get their neighbours."""
BUILTINS = {"chinese-senses": Path(__file__).with_name("chinese-senses.tsv")}
"""Files that come with polyseme, by their names: 苹果 小米 杜鹃 黄牛 包袱 骄傲 病毒 窗口 仪表 潜水."""
LONGEST = 2000
"""Most characters of a sentence in running text that are kept around the use."""


@dataclass(frozen=True, slots=True)
class Use:
    """One occurrence of a word in a text.

    Args:
        id: the file's own, or its place.
        text: the text around it.
        start, end: offsets of the word in characters of the text.
        sense: the annotated sense; None = unlabelled.
        word: the word whose senses are studied; the text may hold another form of it (banks).
        part: "train", "test" or "".
    """

    id: str
    text: str
    start: int
    end: int
    sense: str | None = None
    word: str = ""
    part: str = ""

    @property
    def form(self) -> str:
        """The word as the text spells it."""
        return self.text[self.start : self.end]


def occurrences(text: str, word: str) -> list[tuple[int, int]]:
    """Places of a word in a text: whole words, upper and lower case alike, Chinese characters may stand beside them;
    Chinese words anywhere, but a single character only where the segmenter leaves it a word of its own.

    Example:
        >>> occurrences("Bank by bank, no banker", "bank"), occurrences("河里的水很深，水平高", "水")
        ([(0, 4), (8, 12)], [(3, 4)])
        >>> occurrences("用Java写，不是JavaScript", "java")
        [(1, 5)]
    """
    if not word:
        return []
    before = "" if is_cjk(word) else f"(?<!{LETTER})"
    behind = "" if is_cjk(word[-1:]) else f"(?!{LETTER})"
    # slow, and not needed for Chinese characters
    cased = re.NOFLAG if word.upper() == word.lower() else re.IGNORECASE
    pattern = re.compile(f"{before}{re.escape(word)}{behind}", cased)
    places = [match.span() for match in pattern.finditer(text)]
    if len(word) > 1 or not is_cjk(word) or not places:
        return places
    alone = set(word_spans(text, "zh"))
    return [place for place in places if place in alone]


def no_word(path: Path) -> ConfigError:
    """The error for unlabelled text without a word to search."""
    return ConfigError(
        "no word is named whose uses to look for",
        where=path,
        fix="--word WORD, repeatable, with unlabelled text",
    )


def uses_in_text(path: Path, words: Sequence[str], encoding: str) -> list[Use]:
    """Every occurrence of words in running text; a repeated context is used once.

    Raises:  ConfigError: no word.  CorpusError: there is no such file.
    """
    if not words:
        raise no_word(path)
    corpus = Corpus([str(path)], TextConfig.of({"encoding": encoding}, "--encoding"))
    language = corpus.language()
    uses: dict[tuple[str, str, int], Use] = {}
    for document in corpus.documents(CleaningReport()):
        for word in words:
            for use in in_text(document.text, word, f"{document.source} {document.index + 1}", language):
                uses.setdefault((word, use.text, use.start), use)
    return sorted(uses.values(), key=lambda use: words.index(use.word))


def in_text(text: str, word: str, source: str, language: str) -> Iterator[Use]:
    """The uses of a word in a text: each in its sentence and, where that is short, in those beside it."""
    places = occurrences(text, word)
    if not places:
        return
    spans = sentence_spans(text, language)
    at = 0
    for start, end in places:
        while at + 1 < len(spans) and spans[at + 1][0] <= start:
            at += 1
        low, high = context_around(spans, at, start, end)
        context = text[low:high].replace("\n", " ")
        yield Use(f"{source}: {start}", context, start - low, end - low, None, word)


def context_around(spans: Sequence[tuple[int, int]], at: int, start: int, end: int) -> tuple[int, int]:
    """Where a use's context begins and ends: sentences before and after are added while there is room."""
    low, high = (min(spans[at][0], start), max(spans[at][1], end)) if spans else (start, end)
    first = last = at
    while True:
        grown = False
        if first > 0 and high - spans[first - 1][0] <= CONTEXT:
            first, low, grown = first - 1, spans[first - 1][0], True
        if last + 1 < len(spans) and spans[last + 1][1] - low <= CONTEXT:
            last, high, grown = last + 1, spans[last + 1][1], True
        if not grown:
            return max(low, start - LONGEST // 2), min(high, end + LONGEST // 2)


_TOKEN = re.compile(r"\S+")
_FORM = Form(
    (tuple({"text": name} for name in ("text", "sentence", "context", "example", "content")),),
    (
        tuple({"sense": name} for name in ("sense", "label", "gloss", "meaning")),
        tuple({"start": a, "end": b} for a, b in (("start", "end"), ("begin", "end"))),
        tuple({"word": name} for name in ("word", "target", "lemma")),
        ({"id": "id"},),
        ({"part": "part"}, {"part": "split"}),
    ),
)
_PARTS = {"train": "train", "training": "train", "test": "test", "testing": "test"}


def read_uses(
    path: Path | str,
    words: Sequence[str] = (),
    *,
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
    encoding: str = "auto",
    problems: Problems | None = None,
    separator: str = "auto",
) -> list[Use]:
    r"""Read the uses of words from a folder, a table or running text; see the head of this file.

    Args:
        path: the file or folder, or one of `BUILTINS`.
        words: the words whose uses are wanted; empty = all words of the file. Running text needs one.
        columns: our names of a table's columns to the file's: {"text": "sentence", "sense": "gloss"}.
        limit: at most this many uses of each word, drawn by a hash of text and place.
        encoding: a name, or "auto" to detect it.
        problems: receives the counts of problems; bad rows are left out.
        separator: what stands between the fields of a table; "auto" = as the file shows.

    Raises:  CorpusError: there is no such file, it has not the form that is described above, or a word is nowhere in
             it; ConfigError: a word of no letter, running text and no word, or columns that are not there.
    Example:
        >>> import pathlib, tempfile
        >>> file = pathlib.Path(tempfile.mkdtemp(), "bank.tsv")
        >>> _ = file.write_text("text\tword\tsense\nthe bank of the Rhine\tbank\triver\n")
        >>> [(use.form, use.start, use.sense) for use in read_uses(file)]
        [('bank', 4, 'river')]
    """
    problems = Problems() if problems is None else problems
    if not all(word.strip() for word in words):
        raise ConfigError("an empty word", got=list(words), where="--word")
    path = Path(path) if os.path.lexists(path) else BUILTINS.get(str(path), Path(path))
    suffix = form_suffix(path)
    if path.is_dir() and (folders := _word_folders(path)):
        uses = _from_folders(path, folders, words, encoding, problems)
    elif suffix in TABLES or suffix in RECORDS:
        columns = checked_columns(columns, _FORM.known)
        file = LabelledFile(path, problems, columns, False, separator, encoding, task="classify")
        uses = _from_table(file, words)
    else:
        uses = uses_in_text(path, words, encoding)
    folded_words = {word.casefold() for word in words}
    kept = [use for use in uses if not folded_words or use.word.casefold() in folded_words]
    missing = [word for word in words if all(use.word.casefold() != word.casefold() for use in kept)]
    if missing or not kept:
        known = sorted({use.word for use in uses})
        raise CorpusError(
            f"no use of {missing[0]!r}" if missing else "no use of any word",
            got=f"uses of {', '.join(known[:12])}" if known else None,
            where=path,
            fix="another --word; whole words are searched, upper and lower case alike" if missing else None,
        )
    return _drawn(kept, limit)


def _drawn(uses: Sequence[Use], limit: int | None) -> list[Use]:
    """At most `limit` uses of each word: those with the lowest hashes, in the order of the file."""
    if limit is None:
        return list(uses)
    words: dict[str, list[tuple[bytes, int]]] = {}
    for number, use in enumerate(uses):
        key = hashlib.blake2b(f"{use.start} {use.text}".encode("utf-8", "surrogatepass"), digest_size=8)
        words.setdefault(use.word, []).append((key.digest(), number))
    drawn = sorted(number for keys in words.values() for _, number in sorted(keys)[:limit])
    return [uses[number] for number in drawn]


def _word_folders(path: Path) -> list[Path]:
    """The folders of single words: the folder itself or those inside; empty where it is of another kind."""
    if any((path / f"{part}.data.txt").is_file() for part in ("train", "test")):
        return [path]
    inside = sorted(folder for folder in path.iterdir() if folder.is_dir())
    return [f for f in inside if any((f / f"{part}.data.txt").is_file() for part in ("train", "test"))]


def _from_folders(
    path: Path, folders: Sequence[Path], words: Sequence[str], encoding: str, problems: Problems
) -> list[Use]:
    folded_words = {word.casefold() for word in words}
    chosen = [folder for folder in folders if not folded_words or _word_of(folder).casefold() in folded_words]
    if not chosen:
        raise CorpusError(
            f"no folder of the word {words[0]!r}",
            got=", ".join(_word_of(folder) for folder in folders),
            where=path,
            fix=f"--word {_word_of(folders[0])}",
        )
    return [use for folder in chosen for use in _from_folder(folder, encoding, problems)]


def _word_of(folder: Path) -> str:
    return folder.resolve().name


def _from_folder(folder: Path, encoding: str, problems: Problems) -> Iterator[Use]:
    word = _word_of(folder)
    names = _sense_names(folder / "classes_map.txt", word, encoding, problems)
    for part in ("train", "test"):
        data, gold = folder / f"{part}.data.txt", folder / f"{part}.gold.txt"
        if not data.is_file():
            continue
        lines = [numbered for numbered in numbered_lines(data, encoding, problems) if numbered[1]]
        numbers = [numbered for numbered in numbered_lines(gold, encoding, problems) if numbered[1]]
        if len(lines) != len(numbers):
            raise CorpusError(
                "sentences and senses do not go together",
                got=f"{len(lines):,} sentences and {len(numbers):,} senses",
                where=f"{data} and {gold.name}",
            )
        for (at, line), (gold_at, number) in zip(lines, numbers, strict=True):
            index, tab, text = line.partition("\t")
            places = [match.span() for match in _TOKEN.finditer(text)]
            if not (tab and index.strip().isdecimal() and int(index) < len(places)):
                raise CorpusError(
                    "not a target and a sentence",
                    got=line[:80],
                    expected="the index of a token, from 0, a tab, and tokens with spaces between",
                    where=f"{data}:{at}",
                )
            if number.strip() not in names:
                raise CorpusError(
                    "a sense without a name",
                    got=number[:80],
                    expected=", ".join(names),
                    where=f"{gold}:{gold_at}",
                )
            start, end = places[int(index)]
            id, sense = f"{word} {part} {at}", scrub(names[number.strip()], problems, f"{gold}:{gold_at}")
            yield Use(id, scrub(text, problems, f"{data}:{at}"), start, end, sense, word, part)


def _sense_names(file: Path, word: str, encoding: str, problems: Problems) -> dict[str, str]:
    """The names of senses by number, without their common prefix, the word itself."""
    try:
        names = json.loads(read_whole(file, encoding, problems))
    except (ValueError, RecursionError) as error:
        raise CorpusError("broken JSON", got=str(error), where=file) from None
    if not isinstance(names, dict) or not names or not all(isinstance(v, str) for v in names.values()):
        raise CorpusError("not a map of senses", expected='{"0": "bank_river", "1": …}', where=file)
    short = {key: name.removeprefix(f"{word}_").replace("_", " ") for key, name in names.items()}
    return short if len(set(short.values())) == len(names) else dict(names)


def _from_table(file: LabelledFile, words: Sequence[str]) -> list[Use]:
    read = json_rows if file.suffix in RECORDS else delimited_rows
    rows = list(read(file, file.lines(), _FORM))
    columns_there = {name for row in rows for name in row.values}
    if "sense" in columns_there and not (columns_there & {"start", "word"}) and len(words) != 1:
        raise ConfigError(
            "no column says where the word is in its text",
            got="columns " + ", ".join(sorted(columns_there)),
            expected="start and end (characters), or word",
            where=file.path,
            fix="--columns word=NAME, or --word WORD where all rows are about one word",
        )
    if not (columns_there & {"sense", "start", "word"}) and columns_there and not words:
        raise no_word(Path(file.path))
    records = records_of(file, rows, lambda row: _row_uses(file, row, words, "sense" in columns_there))
    expected = "rows with text" + (", sense" if "sense" in columns_there else "") + " and start, end or word"
    return [use for uses in sound(records, file, expected) for use in uses]


def _row_uses(file: LabelledFile, row: Row, words: Sequence[str], labelled: bool) -> list[Use]:
    """The use in a row; without labels and a place, all uses of the words in it.

    Raises:  BadRecord: a field is missing.
    """
    values, where, problems = row.values, row.where, file.problems
    text = texts_in(file, row, ("text",))[0]
    id = scrub(str(values["id"]), problems, where) if values.get("id") else where
    part = _PARTS.get(str(values.get("part") or "").strip().lower(), "")
    word = scrub(_word(values, words), problems, where)
    sense = None
    if labelled:
        sense = field_text(values.get("sense"))
        if not sense:
            raise BadRecord("missing_label")
        sense = scrub(sense, problems, where)
    if values.get("start") not in (None, "") or values.get("end") not in (None, ""):
        place = _place(values, text)
        form = text[slice(*place)].casefold()
        if not values.get("word") and word and not _alike(form, word.casefold()):
            problems.add("other_word", where, form)
            return []
        return [Use(id, text, *place, sense, word or form, part)]
    if word:
        places = occurrences(text, word)
        if not places:
            if not labelled and "word" not in values:
                return []
            raise BadRecord("lost_word", word)
        if labelled or "word" in values:
            if len(places) > 1:
                problems.add("ambiguous_word", where, word)
            return [Use(id, text, *places[0], sense, word, part)]
    if labelled or not words:
        raise BadRecord("missing_field", "start and end, or word")
    return [
        replace(use, part=part)
        for target in words
        for use in in_text(text, target, id, "zh" if has_cjk(target) or cjk_share(text) > 0.2 else "en")
    ]


def _word(values: Mapping[str, Any], words: Sequence[str]) -> str:
    """The word of a row; "" where it names none."""
    word = values.get("word")
    if isinstance(word, str) and word.strip():
        return word.strip()
    return words[0] if len(words) == 1 else ""


def _alike(form: str, word: str) -> bool:
    """Whether a string may be a form of a word: both begin the same, or one contains the other."""
    return form[:3] == word[:3] or form in word or word in form


def _place(values: Mapping[str, Any], text: str) -> tuple[int, int]:
    """The start and end that a row gives.

    Raises:  BadRecord: they lie outside its text.
    """
    try:
        start, end = (int(str(values.get(name)).strip()) for name in ("start", "end"))
    except ValueError:
        raise BadRecord("bad_offsets", f"{values.get('start')} {values.get('end')}") from None
    if not 0 <= start <= end <= len(text):
        raise BadRecord("span_outside", f"{start} … {end}")
    if not text[start:end].strip():
        raise BadRecord("empty_span", f"{start} … {end}")
    return start, end

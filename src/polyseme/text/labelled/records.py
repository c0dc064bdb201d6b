"""The records of labelled files, one for each text, sentence or question; and the counts of problems in them.

All offsets are indices into the Python string of the text (code points), so that models of words, characters and
subwords are trained and scored on the same labels.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from polyseme.text.clean import replace_surrogates

__all__ = [
    "KINDS",
    "Edge",
    "EdgeRecord",
    "Label",
    "Problems",
    "QuestionRecord",
    "ReadFile",
    "TagRecord",
    "TextRecord",
]

Label = str | float | tuple[str, ...]
"""One class; a number; or several classes, possibly none."""

KINDS: dict[str, str] = {
    "ambiguous_answer": "answers without a start stand at several places: the first one is taken",
    "ambiguous_number": "labels such as 1,000 may be thousands or decimals: the rows are skipped; write 1000 or 1.000",
    "ambiguous_word": "words without a start stand at several places of their text: the first one is taken",
    "bad_json": "lines are not a JSON object: skipped",
    "bad_label": "labels are neither a string, a number nor a list of strings: the rows are skipped",
    "bad_marks": "sentences do not mark one <e1>…</e1> and one <e2>…</e2>: skipped",
    "bad_offsets": "spans or tokens do not have the form that is wanted: the records are skipped",
    "bad_quotes": "rows have a quote that is never closed: skipped, the lines after them are read",
    "bad_tag": "tags have no legal form: the sentences are skipped",
    "binary_spans": "texts were asked for one span only: their other tokens are read as O",
    "blank_token": "tokens are nothing but white space: left out",
    "broken_bytes": "bytes are wrong in the file's encoding: each became U+FFFD",
    "byte_offsets": "texts count their offsets in bytes of UTF-8: turned into characters",
    "cancelled": "texts have only annotations that were cancelled: left out",
    "comment": "lines begin with #, above the header or with too few fields: taken for comments",
    "comment_line": "lines that begin with # before a sentence are comments: not read",
    "comma_numbers": "labels are numbers with a comma, taken for names: kind=number reads decimals, "
    "separator=, several classes (settings of the task)",
    "cr_lines": "files end their lines with CR alone, as old Macs wrote them: split there",
    "differing_annotations": "texts are annotated differently by several people: the ground truth or the first is read",
    "doubtful_label": "labels are None, NA, N/A, - or ?: kept as classes; take the rows out where nothing is meant",
    "doubtful_text": "texts are None, NA, N/A, - or ?: kept; take the rows out where nothing is meant",
    "empty_row": "rows have nothing in any field: left out",
    "empty_span": "spans are empty or cover only white space: left out",
    "empty_text": "texts are empty: the rows are skipped",
    "gap_in_span": "spans have a gap, which tags cannot write down: left out",
    "header_row": "first lines name the columns, though they are given by number: left out",
    "ignored": "texts were ignored by their annotator: left out",
    "impossible_with_answers": "questions are marked as unanswerable but have answers: taken as unanswerable",
    "inclusive_ends": "texts count the last character as the end of a span: one added",
    "iob1_tags": "spans begin with I-, as in IOB1: read as B- (BIO)",
    "joined_label": "labels have # inside, as doccano joins several: one class each (classify.separator parts them)",
    "line_too_long": "lines have more than 64 million characters: skipped",
    "lone_surrogate": "texts hold half a surrogate pair: it became U+FFFD",
    "lost_answer": "answers are nowhere in the text: left out",
    "lost_question": "questions have only answers that are nowhere in the text: skipped",
    "lost_span": "spans hold a text that is nowhere in theirs: left out",
    "lost_word": "words are nowhere in their text: the rows are skipped",
    "missing_answer": "questions have no answer and are not marked as unanswerable: skipped",
    "missing_field": "records lack a field: skipped",
    "missing_label": "rows have no label: skipped",
    "missing_label_mark": "labels are nan, NULL or the like, which programs write for nothing: the rows are skipped",
    "missing_text_mark": "texts are nan, NULL or the like, which programs write for nothing: the rows are skipped",
    "moved_answer": "answers are not at their place in the text: found again elsewhere",
    "moved_span": "spans are not at their place in the text: found again elsewhere",
    "no_answer_word": "contexts end with the word that stands for no answer: cut off",
    "no_head": "words have a head that has no place of its own in the text: left out",
    "no_span": "texts have no span: all of their tokens are read as O",
    "no_surface": "words have no place of their own in the text: left out",
    "not_a_number": "labels are not a number, as the others are: the rows are skipped",
    "not_annotated": "texts have no annotation: left out",
    "not_the_only_label": "texts were rejected for the only label: read as a class of their own",
    "numbered_tags": "tags are numbers without names (dataset_info.json has them): plain classes, no entity F1",
    "odd_tags": "tags are of no scheme, unlike the others: so all are read as plain classes, without entity F1",
    "other_word": "places hold another word than the one that is asked for: left out",
    "outside_mark": "tags that mean no span are read as O",
    "overlapping_span": "spans overlap a longer or earlier one: left out",
    "rejected": "texts were rejected by their annotator: left out",
    "relations": "relations or events between spans: not read",
    "repeated_id": "questions have an id that came before: numbered",
    "sentence_numbers": "sentences begin with a number of their own, such as 19980101-01-001-001: left out",
    "second_tags": "sentences have a second column of tags, of nested spans: the first is read",
    "several_annotations": "texts are annotated several times: the ground truth or the first is read",
    "span_outside": "spans reach outside the text: left out",
    "tag_spelling": "tags are spelt in another way: read as B-KIND, I-KIND, O",
    "text_mismatch": "sentences whose text is not that of their words: joined anew from the words",
    "too_few_fields": "lines have too few fields: skipped, in tagged files with their sentence",
    "too_many_fields": "lines have more fields than the first one: skipped, in tagged files with their sentence",
    "utf16_offsets": "texts count their offsets in UTF-16 units, an emoji as two: turned into characters",
    "word_brackets": "brackets join words to a name, as [中央/n 人民/n]nt: not read, the words keep their tags",
}

_EXAMPLES = 5
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class TextRecord:
    """A text, or a pair of texts, and its class.

    Args:
        id: the file's own id, else the number of the line.
        text: the text.
        text_b: the second text of a pair.
        label: a class; several classes (a JSON list); a value (a JSON number with a fraction); None = unlabelled.
        where: FILE:LINE.
    """

    id: str
    text: str
    text_b: str | None = None
    label: Label | None = None
    where: str = ""


@dataclass(frozen=True, slots=True)
class TagRecord:
    """A text and a tag for each of its tokens.

    Args:
        id: the file's own id, else the number of its first line. text: the text. tokens: [start, end) of each token, in
            order, without overlaps.
        tags: one for each token, such as "B-PER", "O" or "NOUN"; None = unlabelled.
        where: FILE:LINE.
    """

    id: str
    text: str
    tokens: tuple[tuple[int, int], ...]
    tags: tuple[str, ...] | None = None
    where: str = ""

    @property
    def words(self) -> list[str]:
        """The tokens as strings."""
        return [self.text[start:end] for start, end in self.tokens]


@dataclass(frozen=True, slots=True)
class QuestionRecord:
    """A question on a text, and where the text answers it.

    Args:
        id: unique in its file.
        question: the question.
        context: the text.
        answers: (text, start), where context[start : start + len(text)] == text; () = known to have no answer in
            the text; None = unlabelled.
        group: the article, for splits that keep articles together; may be "".
        where: FILE:LINE or "FILE: question ID".
    """

    id: str
    question: str
    context: str
    answers: tuple[tuple[str, int], ...] | None = ()
    group: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """A labelled span, or a labelled pair of spans.

    Args:
        span1: [start, end) in characters of the text.
        span2: the other one; None = there is none.
        labels: the labels of the target; usually one.
    """

    span1: tuple[int, int]
    span2: tuple[int, int] | None
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EdgeRecord:
    """A text and its labelled spans or pairs of spans.

    Args:
        id: the file's own id, else the number of its first line.
        text: the text.
        targets: in the order of the file; may be empty.
        where: FILE:LINE.
    """

    id: str
    text: str
    targets: tuple[Edge, ...]
    where: str = ""


@dataclass(slots=True)
class ReadFile:
    """How a file was read, for a line of report.

    Args:
        form: the detected form, such as "semicolons between fields, quoted cells" or "CoNLL columns, tag = 4".
        encoding: its name where it is not UTF-8.
        rows: rows, sentences or questions that were read.
        left_out: how many of them were left out.
        not_accepted: how many were left out that are no problem: in a tool's export texts that were not annotated or
            not accepted; in a table rows of empty fields.
    """

    form: str = ""
    encoding: str = ""
    rows: int = 0
    left_out: int = 0
    not_accepted: int = 0

    def described(self, rows: str = "rows", kind: str = "") -> str:
        """One line without the file's name.

        Args:
            rows: the noun for the records.
            kind: the kind of their labels, such as "2 classes: bad, good" or "BIO tags of 4 kinds".

        Example:
            >>> ReadFile("tabs between fields", "gb18030", 60, 1).described(kind="2 classes: bad, good")
            'tabs between fields, gb18030; 2 classes: bad, good; 60 rows read, 1 left out'
        """
        form = ", ".join(part for part in (self.form, self.encoding) if part)
        counts = f"{self.rows:,} {rows} read, {self.left_out + self.not_accepted:,} left out"
        return "; ".join(part for part in (form, kind, counts) if part)


class Problems:
    """Counts of the problems in files, by kind (see `KINDS`), with the first five places of each.

    Attributes:
        files: how each file was read, by its name.

    Example:
        >>> problems = Problems()
        >>> problems.add("missing_label", "a.tsv:7")
        >>> problems.counts, problems.summary()
        ({'missing_label': 1}, ['1 rows have no label: skipped (a.tsv:7)'])
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[dict[str, str]]] = {}
        self.files: dict[str, ReadFile] = {}

    def file(self, name: str) -> ReadFile:
        """The `ReadFile` of a file, which its reader fills in; its name is `opening.name_of(path)`."""
        return self.files.setdefault(name, ReadFile())

    @property
    def counts(self) -> dict[str, int]:
        """How often each kind occurred."""
        return dict(sorted(self._counts.items()))

    def add(self, kind: str, where: str = "", got: str = "", n: int = 1) -> None:
        """Count a problem of a kind, or `n` of them; the first five places and values are kept."""
        self._counts[kind] += n
        examples = self._examples.setdefault(kind, [])
        if len(examples) < _EXAMPLES:
            short = got if len(got) <= _SHOWN else got[: _SHOWN - 1] + "…"
            examples.append({"where": replace_surrogates(where), "got": replace_surrogates(short)})

    def forget(self, kind: str) -> None:
        """Remove the count of a kind: it was no problem after all, or is counted as another kind."""
        self._counts.pop(kind, None)
        self._examples.pop(kind, None)

    def report(self) -> dict[str, dict[str, Any]]:
        """A JSON-able copy: {kind: {"count", "examples": [{"where", "got"}]}}."""
        return {
            kind: {"count": count, "examples": [dict(example) for example in self._examples[kind]]}
            for kind, count in self.counts.items()
        }

    def summary(self) -> list[str]:
        """A line for people on each kind, the most frequent first, with its first place."""
        lines = []
        for kind, count in self._counts.most_common():
            first = self._examples[kind][0]
            shown = first["where"] + (f": {first['got']!r}" if first["got"] else "")
            text = KINDS.get(kind, kind.replace("_", " "))
            lines.append(f"{count:,} {text}" + (f" ({shown})" if shown else ""))
        return lines

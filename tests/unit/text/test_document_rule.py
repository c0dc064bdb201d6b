"""What parts a file into documents, on stand-ins for the kinds of text that people have."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from polyseme.text.clean import CleaningReport
from polyseme.text.config import TextConfig
from polyseme.text.corpus import Corpus
from polyseme.text.document_rule import Cohesion, choose_mode, reading_lines

ENGLISH = [
    f"{a}{b}{c}" for a in "bdfgklmnprst" for b in ("a", "e", "io", "u") for c in ("l", "nt", "rd", "sh", "m")
]
CHINESE = [chr(0x4E00 + 3 * i) + chr(0x6000 + 7 * i) for i in range(240)]


class Writer:
    """Writes sentences about a subject: half of the words are anybody's, half are the subject's own."""

    def __init__(self, words: list[str], seed: int = 5) -> None:
        self._random = np.random.default_rng(seed)
        self._words, self._joint = words, "" if words is CHINESE else " "
        self.end = "。" if words is CHINESE else "."
        self.change_subject()

    def change_subject(self) -> None:
        self._subject = list(self._random.choice(self._words, 12))

    def sentence(self, n: int = 10) -> str:
        usual = self._random.choice(self._words[:30], n // 2)
        own = self._random.choice(self._subject, n - n // 2)
        return self._joint.join(self._random.permutation([*usual, *own]).tolist()) + self.end

    def text(self, sentences: int) -> str:
        return " ".join(self.sentence() for _ in range(sentences))


def apart(write: Writer, n: int, make: Callable[[], str]) -> list[str]:
    """Texts each of which has a subject of its own."""
    found = []
    for _ in range(n):
        write.change_subject()
        found.append(make())
    return found


def together(write: Writer, n: int, make: Callable[[], str], long: int = 15) -> list[str]:
    """Paragraphs of one text, whose subject lasts for `long` of them."""
    found = []
    for i in range(n):
        if i % long == 0:
            write.change_subject()
        found.append(make())
    return found


@pytest.fixture(params=["en", "zh"])
def write(request: pytest.FixtureRequest) -> Writer:
    return Writer(ENGLISH if request.param == "en" else CHINESE)


def test_reviews(write: Writer) -> None:
    reviews = apart(write, 400, lambda: write.text(3))
    assert choose_mode("\n\n".join(reviews)) == "blank"
    assert choose_mode("\n".join(reviews)) == "line"
    assert choose_mode("\n".join([*reviews[:200], "", *reviews[200:], ""])) == "line"  # a stray blank line


def test_headlines(write: Writer) -> None:
    headlines = apart(write, 400, lambda: write.sentence(6).rstrip(".。"))
    assert choose_mode("\n".join(headlines)) == "line"
    assert choose_mode("\n\n".join(headlines)) == "blank"


def test_dialogues(write: Writer) -> None:
    dialogues = apart(write, 120, lambda: "\n".join(write.sentence(8) for _ in range(6)))
    assert choose_mode("\n\n".join(dialogues)) == "blank"


def test_a_book(write: Writer) -> None:
    paragraphs = together(write, 300, lambda: write.text(5))
    assert choose_mode("\n\n".join(paragraphs)) == "file"
    assert choose_mode("\n".join(paragraphs)) == "file"
    indented = "\n".join("\u3000\u3000" + p for p in paragraphs)
    assert choose_mode(indented) == "file"


@pytest.mark.parametrize("width", [60, 72, 79])
def test_a_book_with_hard_line_ends(width: int) -> None:
    write = Writer(ENGLISH)
    wrapped = [textwrap.fill(p, width) for p in together(write, 300, lambda: write.text(5))]
    assert choose_mode("\n\n".join(wrapped)) == "file"
    assert choose_mode("\n".join(wrapped)) == "file"
    # even where nothing says that the paragraphs hold together
    assert choose_mode("\n\n".join(textwrap.fill(write.text(5), width) for _ in range(300))) == "file"


def test_a_book_whose_lines_end_at_many_widths() -> None:
    """As scanned pages do: what tells is that a line goes on with a small letter where the sentence is open."""
    write, random = Writer(ENGLISH), np.random.default_rng(1)

    def scanned() -> str:
        words = [word for _ in range(5) for word in write.sentence().capitalize().split()]
        lines: list[str] = []
        while words:
            n = int(random.integers(3, 12))
            lines, words = [*lines, " ".join(words[:n])], words[n:]
        return "\n".join(lines)

    book = [scanned() for _ in apart(write, 200, lambda: "")]
    assert choose_mode("\n".join(book)) == "file"
    # lines in small letters alone, each a text: how the one before ended says nothing
    small = apart(write, 300, lambda: write.text(2)[:-1])
    assert choose_mode("\n".join(small)) == "line"


def test_chapters() -> None:
    write = Writer(ENGLISH)
    chapters = ["\n".join(together(write, 20, lambda: write.text(6))) for _ in range(12)]
    assert choose_mode("\n\n".join(chapters)) == "blank"


def test_articles_below_headings() -> None:
    write = Writer(ENGLISH)

    def article() -> str:
        return f" = Title {write.sentence(3)[:-1]} = \n \n {write.text(9)} \n\n = = Part = = \n\n {write.text(9)} \n"

    text = " \n" + " \n".join(apart(write, 30, article))
    assert choose_mode(text) == "heading"
    lines = [f"A line about a = {i} = c." for i in range(9)]
    assert choose_mode("\n\n".join(lines)) == "file"
    assert choose_mode("== Part ==\n\nSome text.\n\n== Other ==\n\nMore text.\n") == "file"  # of one article


def test_articles_one_a_file() -> None:
    """Short files among several are one text, also where their few paragraphs happen to differ or are long."""
    write = Writer(ENGLISH)
    article = "\n\n".join(apart(write, 60, lambda: write.text(4)))
    assert choose_mode(article) == "blank"
    assert choose_mode(article, of_many=True) == "file"
    speech = "\n\n".join(together(write, 12, lambda: write.text(22)))
    assert len(speech) >= 12_000
    assert choose_mode(speech, of_many=True) == "file"


def test_cohesion_of_texts_apart_and_together(write: Writer) -> None:
    def of(texts: list[str]) -> Cohesion:
        return Cohesion.of([[text] for text in texts])[1]

    assert abs(of(apart(write, 400, lambda: write.text(3))).mean) < 0.1
    assert of(together(write, 400, lambda: write.text(3))).mean > 0.4
    assert of(["same words here"] * 50) == (0.0, 0)  # nothing can be said
    assert of([]) == (0.0, 0)


def test_reviews_are_read_as_reviews_and_it_is_said(tmp_path: Path) -> None:
    write = Writer(ENGLISH)
    (tmp_path / "reviews.txt").write_text("\n\n".join(apart(write, 300, lambda: write.text(3))))
    (tmp_path / "book.txt").write_text("\n\n".join(together(write, 300, lambda: write.text(5))))
    (tmp_path / "more.jsonl").write_text('{"text": "One."}\n{"text": "Two."}\n')
    named = str(tmp_path / "reviews.txt")
    corpus = Corpus([named, str(tmp_path)], TextConfig())
    found = list(corpus.documents(CleaningReport()))
    parts = sum(d.source.endswith("book.txt") for d in found)
    assert sum(d.source == named for d in found) == 300
    assert corpus.reading() == [
        {"source": named, "rule": "blank", "found": True, "files": 1, "documents": 300},
        {"source": str(tmp_path), "rule": "file", "found": True, "files": 1, "documents": parts},
        {"source": str(tmp_path), "rule": "record", "found": False, "files": 1, "documents": 2},
    ]
    first, second, third = reading_lines(corpus.reading())
    assert first == (
        f"{named}: 1 file → 300 documents, parted by blank lines"
        " (found out; if they are paragraphs of one text, --documents file)"
    )
    assert "--documents blank" in second
    assert "--documents" not in third
    asked = Corpus([named], TextConfig(documents="line"))
    assert len(list(asked.documents(CleaningReport()))) == 300
    assert asked.reading()[0]["found"] is False
    assert "--documents" not in reading_lines(asked.reading())[0]


def test_the_rule_of_most_of_the_text_is_the_corpus_s_rule(tmp_path: Path) -> None:
    write = Writer(ENGLISH)
    (tmp_path / "reviews.txt").write_text("\n\n".join(apart(write, 300, lambda: write.text(3))))
    (tmp_path / "note.txt").write_text("A note.")
    assert Corpus([str(tmp_path)], TextConfig()).rule() == "blank"
    assert Corpus([str(tmp_path)], TextConfig(documents="file")).rule() == "file"
    assert Corpus(["python-docs"], TextConfig()).rule() == "auto"


def test_many_sources_are_said_in_a_few_lines() -> None:
    entry = {"source": "a.txt", "rule": "line", "found": True, "files": 1, "documents": 10}
    lines = reading_lines([entry] * 20)
    assert len(lines) == 8
    assert lines[-1] == "13 other sources: 13 files → 130 documents"

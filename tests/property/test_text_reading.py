"""For any text: cleaning is idempotent, splitting loses nothing, sentences cover, decoding is faithful."""

from __future__ import annotations

import re
import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from polyseme.text.clean import CleaningReport, clean
from polyseme.text.encodings import decode_stream, detect
from polyseme.text.sentences import sentence_spans
from polyseme.text.split import split
from polyseme.text.words import word_spans

DIRT = st.sampled_from(
    [
        "\r\n",
        "\r",
        "\x00",
        "\x85",
        "\u2028",
        "\ufeff",
        "\ud800",
        " \n",
        "\n\n",
        "e\u0301",
        "\U0001ffff",
        "。",
        "“",
        "”",
        ". ",
        "Mr. ",
        "北京大学",
    ]
)
ANY = st.lists(st.one_of(st.text(st.characters(), max_size=10), DIRT), max_size=30).map("".join)
CLEAN = ANY.map(lambda text: clean(text, CleaningReport()))


@settings(deadline=None)
@given(ANY)
def test_cleaning(text: str) -> None:
    report = CleaningReport()
    once = clean(text, report)
    again = CleaningReport()
    assert clean(once, again) == once
    assert not again.counts
    assert once.encode().decode() == once
    assert unicodedata.is_normalized("NFC", once)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]|[ \t]\n", once)
    if once != text.rstrip().lstrip("\n"):
        assert report.counts  # nothing is changed silently


@settings(deadline=None)
@given(st.lists(ANY, max_size=5), st.sampled_from(["blank", "line", "file"]))
def test_splitting_loses_no_character_but_white_space(chunks: list[str], mode: str) -> None:
    pieces = list(split(chunks, mode))  # type: ignore[arg-type]
    text = "".join(chunks)
    assert "".join("".join(piece.text for piece in pieces).split()) == "".join(text.split())
    assert all(text.startswith(piece.text, piece.offset) for piece in pieces)


@settings(deadline=None)
@given(ANY, st.sampled_from(["en", "zh"]))
def test_sentences_cover_the_text_in_order(text: str, language: str) -> None:
    end = 0
    for start, stop in sentence_spans(text, language):
        assert not text[end:start].strip()
        assert start < stop
        assert text[start:stop] == text[start:stop].strip()
        end = stop
    assert not text[end:].strip()


@settings(deadline=None)
@given(CLEAN, st.sampled_from(["en", "zh"]))
def test_words_hold_every_letter_once(text: str, language: str) -> None:
    spans = word_spans(text, language)
    covered = [i for start, end in spans for i in range(start, end)]
    assert covered == sorted(set(covered))
    assert {i for i, c in enumerate(text) if c.isalnum()} <= set(covered)


@settings(deadline=None)
@given(CLEAN, st.integers(1, 9), st.sampled_from(["utf-8", "utf-16-le", "gb18030"]))
def test_decoding_in_pieces(text: str, size: int, codec: str) -> None:
    data, report = text.encode(codec), CleaningReport()
    assert (
        "".join(decode_stream((data[i : i + size] for i in range(0, len(data), size)), codec, report, "f"))
        == text
    )
    assert not report.counts


@given(st.binary(max_size=300))
def test_any_bytes_are_detected_or_refused(data: bytes) -> None:
    found = detect(data)
    if found is not None:
        codec, mark = found
        "".join(decode_stream([data[mark:]], codec, CleaningReport(), "f")).encode()


@given(CLEAN)
def test_clean_utf8_is_detected(text: str) -> None:
    data = text.encode()
    if not data.startswith(
        (b"PK\x03\x04", b"BZh", b"GIF8", b"ID3", b"RIFF", b"OggS", b"PAR1", b"{\\rtf", b"%PDF-", b"wOF")
    ):
        assert detect(data) == ("utf-8", 0)

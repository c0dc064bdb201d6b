from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from polyseme.text.clean import CleaningReport
from polyseme.text.config import TextConfig
from polyseme.text.corpus import Corpus
from polyseme.text.pieces import pieces

PARAGRAPHS = [f"Line {n} of the text, 第{n}行。\nIt goes on{' and on' * (n % 7)}.  " for n in range(120)]
TEXTS = {
    "blank": "\n\n".join(PARAGRAPHS) + "\n \n\n\u3000\n" + "The last one.\n",
    "line": "\n".join(PARAGRAPHS),
    "heading": "".join(f" = Title {n} = \n\n{p}\n = = Part = = \n{p}\n" for n, p in enumerate(PARAGRAPHS)),
}


def texts_of(corpus: Corpus) -> list[str]:
    return [document.text for document in corpus.documents(CleaningReport())]


def texts_of_pieces(corpus: Corpus, size: int) -> list[str]:
    found = []
    for piece in pieces(corpus, size):
        part = Corpus(corpus.sources, corpus.config, piece=piece, of_many=corpus.of_many)
        found += [document.text for document in part.documents_of_piece(CleaningReport())]
    return found


@pytest.mark.parametrize("size", [97, 1000, 2501])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("rule", TEXTS)
def test_documents_of_pieces_are_those_of_the_corpus(tmp_path: Path, rule: str, end: str, size: int) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(TEXTS[rule].replace("\n", end).encode())
    corpus = Corpus([path], TextConfig(documents=rule))
    assert len(list(pieces(corpus, size))) >= path.stat().st_size // (2 * size + 400)
    assert texts_of_pieces(corpus, size) == texts_of(corpus)


def test_records_and_the_rule_of_the_whole_file(tmp_path: Path) -> None:
    records = [{"id": 1}, *({"text": text} for text in PARAGRAPHS), {"text": ""}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, records)), "utf-8")
    (tmp_path / "b.txt").write_text("\n\n".join(PARAGRAPHS), "gb18030")
    (tmp_path / "c.txt").write_text("\ufeffOne.\n\nTwo.", "utf-8")
    corpus = Corpus([tmp_path], TextConfig())
    # a text in one piece knows no place between documents but line ends
    cut = texts_of_pieces(corpus, 3000)
    assert [text for text in cut if text.startswith("Line")][: len(PARAGRAPHS)] == texts_of(corpus)[
        : len(PARAGRAPHS)
    ]
    assert "".join("".join(cut).split()) == "".join("".join(texts_of(corpus)).split())


def test_small_files_share_a_piece_and_some_are_never_cut(tmp_path: Path) -> None:
    for n in range(10):
        (tmp_path / f"{n}.txt").write_text("A small text.\n" * 10)
    with gzip.open(tmp_path / "a.txt.gz", "wt") as file:
        file.write("\n\n".join(PARAGRAPHS))
    (tmp_path / "b.jsonl").write_text(json.dumps([{"text": text} for text in PARAGRAPHS]))
    (tmp_path / "c.txt").write_text("\n\n".join(PARAGRAPHS), "utf-16")
    corpus = Corpus([tmp_path], TextConfig(documents="blank"))
    cut = list(pieces(corpus, 500))
    assert [file for piece in cut for file in piece] == list(corpus.files)
    assert [len(piece) for piece in cut] == [3, 3, 3, 1, 1, 1, 1]
    assert texts_of_pieces(corpus, 500) == texts_of(corpus)


def test_reports_and_errors_name_the_part_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("\n\n".join(PARAGRAPHS) + "\n\nA stray\x00 NUL.")
    corpus = Corpus([path], TextConfig(documents="blank"))
    (*_, last) = pieces(corpus, 1000)
    report = CleaningReport()
    list(Corpus([path], corpus.config, piece=last).documents_of_piece(report))
    assert report.examples["nul"].startswith(f"{path} from byte {last[0].begin:,}, character ")

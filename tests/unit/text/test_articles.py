"""wikiextractor's output, in both of its forms, and tables in Parquet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from polyseme.errors import CorpusError
from polyseme.text.clean import KINDS, CleaningReport
from polyseme.text.config import TextConfig
from polyseme.text.corpus import Corpus

PAGES = [
    ("Anarchism", "Anarchism is a <b>political</b> & social idea.\n\nIt is old."),
    ("中文", "第二篇文章。"),
]


def doc(title: str, text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f'<doc id="12" url="https://en.wikipedia.org/wiki?curid=12" title="{title}">\n{title}\n\n{text}\n</doc>\n'


def read(path: Path, **changes: Any) -> tuple[list[str], CleaningReport, Corpus]:
    report, corpus = CleaningReport(), Corpus([str(path)], TextConfig(**changes))
    texts = [document.text for document in corpus.documents(report)]
    assert set(report.counts) <= set(KINDS)
    return texts, report, corpus


@pytest.fixture
def extracted(tmp_path: Path) -> Path:
    folder = tmp_path / "extracted" / "AA"
    folder.mkdir(parents=True)
    (folder / "wiki_00").write_text("".join(doc(*page) for page in PAGES), "utf-8")
    (folder / "wiki_01").write_text(doc("Empty", "") + doc("Last", "The end."), "utf-8")
    return tmp_path / "extracted"


def test_a_folder_of_articles(extracted: Path) -> None:
    texts, report, corpus = read(extracted)
    assert texts == [
        *(f"{title}\n\n{text}" for title, text in PAGES),
        "Empty",
        "Last\n\nThe end.",
    ]
    assert report.counts == {}
    assert [(r["rule"], r["files"], r["documents"]) for r in corpus.reading()] == [("article", 2, 4)]
    assert corpus.rule() == "auto"


def test_a_file_of_articles_by_its_beginning(tmp_path: Path) -> None:
    (tmp_path / "dump.txt").write_text(doc("A", "First.") + doc("B", "Second."), "utf-8")
    assert read(tmp_path / "dump.txt", documents="blank")[0] == ["A\n\nFirst.", "B\n\nSecond."]


def test_the_json_form(tmp_path: Path) -> None:
    (tmp_path / "wiki_07").write_text(
        "".join(json.dumps({"id": "1", "title": t, "text": text}) + "\n" for t, text in PAGES), "utf-8"
    )
    for source in (tmp_path, tmp_path / "wiki_07"):
        texts, _, corpus = read(source)
        assert texts == [text for _, text in PAGES]
        assert corpus.reading()[0]["rule"] == "record"


def test_broken_articles_are_counted(tmp_path: Path) -> None:
    whole = doc("A", "First.") + "stray\n" + doc("B", "Second.").replace("</doc>\n", "") + doc("C", "Third.")
    (tmp_path / "wiki_00").write_text(whole + '<doc id="9" url="" title="D">\nD\n\nCut', "utf-8")
    texts, report, _ = read(tmp_path)
    assert texts == ["A\n\nFirst.", "B\n\nSecond.", "C\n\nThird.", "D\n\nCut"]
    assert report.counts == {"article_cut": 2, "between_articles": 1}
    assert report.examples["between_articles"].endswith("wiki_00, line 6")


def test_a_long_article_is_cut_and_nothing_lost(tmp_path: Path) -> None:
    paragraphs = [f"paragraph {n} " + "word " * 200 for n in range(1000)]
    (tmp_path / "wiki_00").write_text(doc("Long", "\n\n".join(paragraphs)) + doc("Short", "End."), "utf-8")
    texts, report, _ = read(tmp_path)
    assert [n for n in range(1000) if not any(f"paragraph {n} " in text for text in texts)] == []
    assert texts[-1] == "Short\n\nEnd."
    assert max(map(len, texts)) <= 32_000
    assert "empty_document" not in report.counts


@pytest.fixture
def table(tmp_path: Path) -> Path:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = [{"body": {"text": f"Text number {n}."}, "title": f"Title {n}", "n": n} for n in range(2500)]
    rows[7]["title"] = None  # type: ignore[assignment]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "texts.parquet", row_group_size=700)
    return tmp_path / "texts.parquet"


def test_a_column_of_parquet(table: Path) -> None:
    texts, report, corpus = read(table, field="title")
    assert texts == [f"Title {n}" for n in range(2500) if n != 7]
    assert report.counts == {"field_not_text": 1}
    assert report.examples["field_not_text"].endswith("texts.parquet, record 8")
    assert corpus.reading()[0]["rule"] == "row"
    assert corpus.estimated_bytes() > 0
    assert read(table, field="body.text")[0][2499] == "Text number 2499."


def test_a_pattern_reads_parquet_and_a_folder_says_how(table: Path) -> None:
    assert len(read(table.with_name("*.parquet"), field="title")[0]) == 2499
    with pytest.raises(CorpusError) as error:
        read(table.parent)
    assert str(table.with_name("*.parquet")) in str(error.value.fix)


def test_what_is_wrong_with_parquet_is_said(table: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no record has text in the field 'text'") as error:
        read(table)
    assert error.value.fix == "--field body.text"
    (tmp_path / "broken.parquet").write_bytes(table.read_bytes()[:500])
    with pytest.raises(CorpusError, match="not a table in the form Parquet"):
        read(tmp_path / "broken.parquet")

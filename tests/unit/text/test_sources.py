"""What of a folder is read, and that what is not read is counted and said."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from polyseme.errors import CorpusError
from polyseme.text.clean import CleaningReport
from polyseme.text.config import TextConfig
from polyseme.text.corpus import Corpus
from polyseme.text.sources import skipped_suffixes


def read(*sources: object) -> tuple[list[str], CleaningReport]:
    report = CleaningReport()
    documents = Corpus([str(source) for source in sources], TextConfig()).documents(report)
    return [document.text for document in documents], report


def test_suffixes_that_are_left_out_are_counted_and_said_with_what_to_type(tmp_path: Path) -> None:
    for name in (
        "a.txt", "B.TXT", "c.text", "wiki.train.tokens", "wiki.valid.tokens", "d.md", "e.raw", "none", "t.csv",
        "x.pdf", "y.docx", "z.zip", "w.html", "d.json", "p.parquet", "q.tokens.gz",
    ):  # fmt: skip
        (tmp_path / name).write_text(f"This is {name}")
    texts, report = read(tmp_path)
    assert texts == ["This is B.TXT", "This is a.txt", "This is c.text"]
    assert report.counts["skipped_suffix"] == 13
    assert {suffix: n for suffix, (n, _) in report.suffixes.items()} == {
        ".tokens": 3, ".md": 1, ".raw": 1, "": 1, ".csv": 1, ".pdf": 1, ".docx": 1, ".zip": 1, ".html": 1, ".json": 1,
        ".parquet": 1,
    }  # fmt: skip
    said = {line.split(" ")[3]: line for line in skipped_suffixes(report.as_dict()["suffixes"])}
    assert f"3 .tokens files ({tmp_path / 'q.tokens.gz'} …)" in said[".tokens"]
    assert f"as {tmp_path / '*.md'}" in said[".md"]
    assert "unpack" in said[".zip"]
    assert "--field" in said[".csv"]
    assert ".txt file first" in said[".pdf"]
    named = [tmp_path / name for name in ("wiki.train.tokens", "d.md", "e.raw", "none")]
    assert read(*named)[0] == [f"This is {path.name}" for path in named]
    assert read(tmp_path / "*.tokens")[0] == ["This is wiki.train.tokens", "This is wiki.valid.tokens"]
    assert read(tmp_path / "w.html")[1].counts == {"markup": 1}


def test_a_folder_without_text_says_what_it_has(tmp_path: Path) -> None:
    for name in ("a.tokens", "b.tokens", ".hidden"):
        (tmp_path / name).write_text("x")
    with pytest.raises(CorpusError, match="no text files here") as caught:
        read(tmp_path)
    assert "2 .tokens" in str(caught.value.got)
    assert "hidden" in str(caught.value.got)
    assert str(tmp_path / "*.tokens") in str(caught.value.fix)


@pytest.mark.skipif(os.name != "posix", reason="links and pipes")
def test_links_are_followed_once_and_what_is_no_file_is_counted(tmp_path: Path) -> None:
    corpus, outside = tmp_path / "corpus", tmp_path / "outside"
    (corpus / "inner").mkdir(parents=True)
    outside.mkdir()
    (corpus / "inner" / "a.txt").write_text("One.")
    (outside / "b.txt").write_text("Two.")
    (corpus / "linked").symlink_to(outside)
    (corpus / "again").symlink_to(outside)
    (corpus / "inner" / "up").symlink_to(corpus)
    (corpus / "same.txt").symlink_to(corpus / "inner" / "a.txt")
    (corpus / "dangling.txt").symlink_to(corpus / "nothing.txt")
    (corpus / "round.txt").symlink_to(corpus / "round.txt")
    os.mkfifo(corpus / "pipe.txt")
    texts, report = read(corpus)
    assert sorted(texts) == ["One.", "Two."]
    assert report.counts == {
        "skipped_again": 2,
        "skipped_dangling": 2,
        "skipped_special": 1,
        "named_twice": 1,
    }
    with pytest.raises(CorpusError, match="leads nowhere"):
        read(corpus / "dangling.txt")
    with pytest.raises(CorpusError, match="neither a file nor a folder"):
        read(corpus / "pipe.txt")
    assert read(str(corpus / "*.txt"))[1].counts["skipped_special"] == 1


@pytest.mark.skipif(os.name != "posix", reason="permissions")
def test_what_may_not_be_read_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("One.")
    (tmp_path / "secret.txt").write_text("Two.")
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "secret" not in str(path) and allowed(path, mode))
    texts, report = read(tmp_path)
    assert texts == ["One."]
    assert report.counts == {"skipped_unreadable": 1}


def test_archives_and_papers_that_are_named_say_what_to_do(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.docx", "w") as file:
        file.writestr("word/document.xml", "<w>Text</w>")
    (tmp_path / "b.pdf").write_bytes(b"%PDF-1.7\n" + bytes(200))
    for name, mode in (("c.tar", "w"), ("d.tar.gz", "w:gz")):
        with tarfile.open(tmp_path / name, mode) as archive:
            member = tarfile.TarInfo("a.txt")
            member.size = 4
            archive.addfile(member, io.BytesIO(b"One."))
    for name, advice in (
        ("a.docx", "to a .txt file"),
        ("b.pdf", "to a .txt file"),
        ("c.tar", "unpack"),
        ("d.tar.gz", "unpack"),
    ):
        with pytest.raises(CorpusError, match="not a text file") as caught:
            read(tmp_path / name)
        assert advice in str(caught.value.fix)


def test_marks_of_a_cut_vocabulary_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.tokens").write_text("The <unk> sat on the <unk> .")
    texts, report = read(tmp_path / "a.tokens")
    assert texts == ["The <unk> sat on the <unk> ."]
    assert report.counts == {"unknown_mark": 2}

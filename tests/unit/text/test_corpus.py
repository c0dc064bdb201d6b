"""A corpus as users name it: files, folders, patterns, encodings, dirt, errors, the split."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from polyseme.errors import ConfigError, CorpusError
from polyseme.text.clean import KINDS, CleaningReport
from polyseme.text.config import TextConfig
from polyseme.text.corpus import Corpus, Document, Fingerprint, is_heldout
from polyseme.text.sources import read_lines
from stand_in import SHARED_DATA

FOX = "The quick brown fox jumps over the lazy dog."
LANGUAGE = "我们在这个城市里生活了很多年，每一天都有新的事情发生。"


def config(**values: object) -> TextConfig:
    return TextConfig.of(values, "test")


def read(*sources: object, **values: object) -> tuple[list[str], CleaningReport]:
    report = CleaningReport()
    corpus = Corpus([str(source) for source in sources], config(**values))
    texts = [document.text for document in corpus.documents(report)]
    assert set(report.counts) <= set(KINDS)
    return texts, report


# Files, folders, patterns


def test_plain_and_compressed_files_read_the_same(tmp_path: Path) -> None:
    data = f"{FOX}\n{LANGUAGE}\n".encode()
    frames = zstandard.compress(data[:20]) + zstandard.compress(data[20:])
    for name, content in (
        ("a.txt", data),
        ("a.txt.gz", gzip.compress(data)),
        ("a.txt.zst", frames),
        ("b", data),
    ):
        (tmp_path / name).write_bytes(content)
        texts, report = read(tmp_path / name)
        assert texts == [f"{FOX}\n{LANGUAGE}"]
        assert not report.counts
    (tmp_path / "plain.txt.gz").write_bytes(data)  # not compressed in spite of its name
    assert read(tmp_path / "plain.txt.gz")[0] == texts


def test_folders_are_walked_in_order_and_what_is_skipped_is_counted(tmp_path: Path) -> None:
    for name in (
        "b.txt",
        "a/z.txt",
        "a/README.txt",
        "LICENSE",
        "SOURCE.txt",
        ".hidden/x.txt",
        ".x.txt",
        "c.md",
        "d.zip",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"This is {name}")
    (tmp_path / "binary.txt").write_bytes(b"\x7fELF" + bytes(100))
    (tmp_path / "e.jsonl").write_text(json.dumps({"text": "This is e"}))
    texts, report = read(tmp_path)
    assert texts == ["This is b.txt", "This is e", "This is a/z.txt"]
    assert report.counts == {
        "skipped_description": 3, "skipped_hidden": 2, "skipped_suffix": 2, "skipped_binary": 1
    }  # fmt: skip
    assert read(tmp_path / "c.md", tmp_path / "SOURCE.txt")[0] == ["This is c.md", "This is SOURCE.txt"]
    assert read(str(tmp_path / "*.md"))[0] == ["This is c.md"]
    assert read(str(tmp_path / "**" / "?.txt"))[0] == ["This is a/z.txt", "This is b.txt"]


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(FOX)
    texts, report = read(tmp_path, tmp_path / "a.txt")
    assert texts == [FOX]
    assert report.counts == {"named_twice": 1}


def test_sizes_and_signature(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(FOX.encode() * 100))
    (tmp_path / "b.txt").write_text(FOX)
    corpus = Corpus([str(tmp_path), "python-docs"], config())
    assert [file.path.name for file in corpus.files] == ["a.txt.gz", "b.txt", "python-docs"]
    assert json.loads(json.dumps(corpus.signature())) == corpus.signature()
    assert corpus.signature()[1][1] == len(FOX)
    assert corpus.estimated_bytes() == 101 * len(FOX) + 2_000_000


# Documents


def test_document_modes(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n\nthree\n")
    assert read(tmp_path)[0] == ["one\ntwo\n\nthree"]
    assert read(tmp_path, documents="blank")[0] == ["one\ntwo", "three"]
    assert read(tmp_path, documents="line")[0] == ["one", "two", "three"]
    (tmp_path / "a.txt").write_text("\n\n".join([FOX * 40] * 3))
    assert read(tmp_path)[0] == [FOX * 40] * 3


def test_long_documents_are_cut_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text((FOX + "\n") * 2000)
    report = CleaningReport()
    documents = list(Corpus([str(tmp_path)], config()).documents(report))
    assert report.counts == {"cut_document": 1}
    assert [d.index for d in documents] == [0, 1, 2]
    assert all(len(d.text) <= 32_000 for d in documents)
    assert "\n".join(d.text for d in documents) == "\n".join([FOX] * 2000)


def test_records(tmp_path: Path) -> None:
    lines = [
        {"text": FOX}, {"text": ""}, {"body": "x"}, {"text": 3}, "a string", {"text": "lone \ud800 surrogate"},
        {"text": "two\u2028lines"},
    ]  # fmt: skip
    content = "\n".join(json.dumps(line) for line in lines) + "\nnot json\n\n" + "[" * 100_000
    (tmp_path / "a.jsonl").write_text(content)
    texts, report = read(tmp_path)
    assert texts == [FOX, "lone \ufffd surrogate", "two\nlines"]
    assert report.counts == {
        "empty_document": 1, "no_field": 1, "field_not_text": 1, "not_json": 3, "lone_surrogate": 1, "line_separator": 1
    }  # fmt: skip
    assert report.examples["no_field"] == f"{tmp_path / 'a.jsonl'}, line 3"
    assert read(tmp_path, field="body")[0] == ["x"]


def test_records_without_the_field_are_an_error_that_names_the_fields(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"sentence": "x", "id": 1}\n')
    with pytest.raises(CorpusError, match=r"'text'(.|\n)*sentence(.|\n)*--field sentence"):
        read(tmp_path)


def test_duplicates_are_removed_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"{FOX}\nother\n{FOX}  \n{FOX}\r\n")
    texts, report = read(tmp_path, documents="line", deduplicate="exact")
    assert texts == [FOX, "other"]
    assert report.counts["duplicate"] == 2
    assert len(read(tmp_path, documents="line")[0]) == 4


# Encodings and dirt


@pytest.mark.parametrize(
    ("codec", "kinds"),
    [
        ("utf-8", {}),
        ("utf-8-sig", {"bom": 1}),
        ("utf-16", {"bom": 1, "encoding_utf-16": 1}),
        ("utf-16-le", {"encoding_utf-16": 1}),
        ("utf-16-be", {"encoding_utf-16": 1}),
        ("gb18030", {"encoding_gb18030": 1}),
    ],
)
def test_encodings(codec: str, kinds: dict[str, int], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes((LANGUAGE * 5).encode(codec))
    texts, report = read(tmp_path)
    assert texts == [LANGUAGE * 5]
    assert report.counts == kinds
    if codec != "utf-16":
        assert read(tmp_path, encoding=codec.removesuffix("-sig"))[0] == texts


def test_big5_latin1_and_others_that_are_named(tmp_path: Path) -> None:
    traditional, french, russian = (
        "我們在這個城市裡生活了很多年。",
        "Où est le café? Près de la forêt, là-bas.",
        "Привет, мир",
    )
    for text, codec, asked in (
        (traditional, "big5", "auto"),
        (french, "latin-1", "auto"),
        (russian, "koi8-r", "koi8-r"),
    ):
        (tmp_path / "a.txt").write_bytes(text.encode(codec))
        assert read(tmp_path / "a.txt", encoding=asked)[0] == [text]
    with pytest.raises(ConfigError, match="gb18030"):
        config(encoding="gb1803")


def test_every_kind_of_dirt_goes_through_and_is_counted(tmp_path: Path) -> None:
    dirt = (
        b"\xef\xbb\xbfone\r\ntwo\rthree\x00\x07 \n"
        + "four\u2028five\x85\ufeff\uffff cafe\u0301\n".encode()
        + b"\xff\xfe six\n"
    )
    (tmp_path / "a.txt").write_bytes(dirt + FOX.encode() * 20)
    (tmp_path / "empty.txt").write_bytes(b"\xef\xbb\xbf \n")
    (tmp_path / "none.txt").write_bytes(b"")
    texts, report = read(tmp_path)
    assert texts == ["one\ntwo\nthree\nfour\nfive\n caf\xe9\n\ufffd\ufffd six\n" + FOX * 20]
    assert report.counts == {
        "bom": 2, "crlf": 1, "cr": 1, "nul": 1, "control": 1, "trailing_space": 1, "line_separator": 2,
        "zero_width_no_break": 1, "noncharacter": 1, "not_nfc": 1, "broken_bytes": 2, "empty_document": 2,
    }  # fmt: skip
    assert all(str(tmp_path) in place for place in report.examples.values())


# Errors


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    (tmp_path / "novels.txt").write_text(FOX)
    (tmp_path / "empty").mkdir()
    (tmp_path / "zero.txt").write_text("")
    (tmp_path / "blank.txt").write_text(" \n\n")
    (tmp_path / "archive.zip").write_bytes(b"PK\x03\x04" + bytes(50))
    (tmp_path / "noise").write_bytes(zlib.compress(bytes(range(256)) * 99))
    cut = gzip.compress(FOX.encode() * 1000)
    (tmp_path / "cut.txt.gz").write_bytes(cut[: len(cut) // 2])
    (tmp_path / "cut.txt.zst").write_bytes(zstandard.compress(FOX.encode() * 1000)[:20])
    for source, message in (
        ("novel.txt", "did you mean novels.txt"),
        ("empty", "no text files"),
        ("zero.txt", "empty"),
        ("blank.txt", "no text"),
        ("archive.zip", "not a text file"),
        ("noise", "not a text file"),
        ("cut.txt.gz", "damaged"),
        ("cut.txt.zst", "damaged"),
        ("*.nothing", "no text files"),
    ):
        with pytest.raises(CorpusError, match=message) as caught:
            read(tmp_path / source)
        assert caught.value.exit_code == 2
        assert source in str(caught.value)
    with pytest.raises(CorpusError):
        Corpus([], config())


# Split, fingerprint, samples, language


def test_the_split_is_stable_when_the_corpus_grows(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n".join(f"{FOX} {i}" for i in range(2000)))
    before = {
        d.text: is_heldout(d.key, 0.05)
        for d in Corpus([str(tmp_path)], config(documents="line")).documents(CleaningReport())
    }
    assert 60 <= sum(before.values()) <= 140
    (tmp_path / "0.txt").write_text("\n".join(f"{i} {FOX}" for i in range(500)))
    after = {
        d.text: is_heldout(d.key, 0.05)
        for d in Corpus([str(tmp_path)], config(documents="line")).documents(CleaningReport())
    }
    assert before.items() <= after.items()
    assert not is_heldout(0, 0.0)
    assert {t for t, held in before.items() if held} <= {
        d for d in before if is_heldout(Document(d, "elsewhere", 9).key, 0.1)
    }


def above_the_share(n: int, share: float) -> list[str]:
    """So many texts that the hash does not hold out, the lowest key first."""
    documents = [Document(f"{FOX} {i}", "", 0) for i in range(n + 50)]
    chosen = [d for d in documents if not is_heldout(d.key, share)][:n]
    return [d.text for d in sorted(chosen, key=lambda d: d.key)]


@pytest.mark.parametrize("n", [2, 3, 9])
def test_of_a_few_documents_the_one_with_the_lowest_key_is_held_out(tmp_path: Path, n: int) -> None:
    few = above_the_share(n, 0.05)

    def heldout(texts: list[str], share: float = 0.05) -> list[str]:
        (tmp_path / "a.txt").write_text("\n".join(texts))
        corpus = Corpus([str(tmp_path)], config(documents="line", valid_share=share))
        samples = set(corpus.samples(10**6, 1))
        held = [d.text for d in corpus.documents(CleaningReport()) if corpus.is_heldout(d.key)]
        assert samples == set(texts) - set(held)  # the tokenizer is trained on the others
        return held

    assert heldout(few) == heldout([*reversed(few)]) == few[:1]
    assert heldout([*few, few[0]]) == [few[0]] * 2  # the same text is on one side alone
    grown = [f"{FOX} {i}" for i in range(400)]
    above = [t for t in grown if not is_heldout(Document(t, "", 0).key, 0.05) and t not in few]
    higher = [t for t in above if Document(t, "", 0).key > Document(few[0], "", 0).key]
    assert heldout([*higher[:5], *few]) == few[:1]  # it stays held out when higher ones come
    assert set(heldout(grown)) == {t for t in grown if is_heldout(Document(t, "", 0).key, 0.05)}
    assert heldout(few, share=0.0) == []
    assert heldout(few[:1]) == heldout([few[0]] * 3) == []  # nothing would be left to train on


def test_the_fingerprint_ignores_order_and_sees_every_change() -> None:
    def of(*texts: str) -> str:
        fingerprint = Fingerprint()
        for text in texts:
            fingerprint.add(Document(text, "", 0).key, len(text))
        return fingerprint.value

    assert of("a", "b", "c") == of("c", "a", "b")
    assert len({of(), of("a"), of("a", "a"), of("a", "b"), of("a", "a", "b", "b")}) == 5


def test_samples_are_spread_capped_and_without_the_heldout(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / f"{name}.txt").write_text("\n".join(f"{FOX} {name} {i}" for i in range(4000)))
    corpus = Corpus([str(tmp_path)], config(documents="line"))
    sample = list(corpus.samples(100_000, 1))
    assert 80_000 < sum(map(len, sample)) < 110_000
    assert {text.split()[-2] for text in sample} == set("abcd")
    assert not any(is_heldout(Document(text, "", 0).key, 0.05) for text in sample)
    assert sample == list(corpus.samples(100_000, 1))
    assert sample != list(corpus.samples(100_000, 2))
    everything = list(corpus.samples(10**9, 1))
    assert 16_000 * 0.93 < len(everything) < 16_000 * 0.97


def test_language(tmp_path: Path) -> None:
    (tmp_path / "en.txt").write_text(FOX * 100)
    (tmp_path / "zh.txt").write_text((LANGUAGE + "Python 3 code") * 100)
    assert Corpus([str(tmp_path / "en.txt")], config()).language() == "en"
    assert Corpus([str(tmp_path / "zh.txt")], config()).language() == "zh"
    assert Corpus([str(tmp_path / "zh.txt")], config(language="en")).language() == "en"
    assert Corpus(["python-docs"], config()).language() == "en"


# Streaming


def test_memory_does_not_grow_with_one_endless_line(tmp_path: Path) -> None:
    path = tmp_path / "line.txt"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(40):
            file.write(b"word " * 200_000)  # 40 MB in one line
    tracemalloc.start()
    n = sum(len(document.text) + 1 for document in Corpus([str(path)], config()).documents(CleaningReport()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n == 40_000_000
    assert peak < 16_000_000


def test_documents_come_out_before_the_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_so_far = 0

    def chunks(path: Path, size: int = 0) -> Iterator[bytes]:
        nonlocal read_so_far
        while True:
            read_so_far += 1
            yield b"word " * 20_000

    (tmp_path / "a.txt").write_text(FOX)
    monkeypatch.setattr("polyseme.text.sources.read_chunks", chunks)
    corpus = Corpus([str(tmp_path)], config())
    assert len(next(corpus.documents(CleaningReport())).text) > 10_000
    assert read_so_far <= 3


# Lines for embedding


def test_read_lines_keeps_every_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(f"one\r\n\r\n{LANGUAGE}\u2028x\rx\nlast".encode())
    (tmp_path / "b.jsonl").write_text('{"text": "one"}\n{"no": 1}\n{"text": "two"}\n')
    report = CleaningReport()
    assert list(read_lines(tmp_path / "a.txt", config(), report)) == [
        "one",
        "",
        f"{LANGUAGE}\u2028x\rx",
        "last",
    ]
    assert list(read_lines(tmp_path / "b.jsonl", config(), report)) == ["one", "", "two"]
    assert report.counts == {"cr_inside": 1, "no_field": 1}
    with pytest.raises(CorpusError):
        list(read_lines(tmp_path / "none.txt", config(), report))


# Whole folders


@pytest.mark.parametrize(
    ("folder", "language"), [("en/tinyshakespeare", "en"), ("zh/laws", "zh"), ("en/wikitext2_valid", "en")]
)
def test_folders_as_they_were_fetched(folder: str, language: str, any_data: Path) -> None:
    path = any_data / "text" / folder
    texts, report = read(path)
    assert sum(map(len, texts)) > (1_000_000 if any_data == SHARED_DATA else 10_000)
    assert report.counts["skipped_description"] >= 1
    assert Corpus([str(path)], config()).language() == language


# Duplicates


@pytest.mark.parametrize(
    ("mode", "kept"), [("none", ["a", "b", "a", "c"]), ("exact", ["a", "b", "c"]), ("near", ["a", "b", "c"])]
)
def test_the_first_of_equal_documents_stays(tmp_path: Path, mode: str, kept: list[str]) -> None:
    if mode == "near":
        pytest.importorskip("rensa")
    (tmp_path / "a.txt").write_text("a\n\nb\n\na\n\nc\n", "utf-8")
    texts, report = read(tmp_path, documents="blank", deduplicate=mode)
    assert texts == kept
    assert report.counts["duplicate"] == 4 - len(kept)

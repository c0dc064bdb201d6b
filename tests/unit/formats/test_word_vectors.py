"""Files of word vectors are read as they are meant, and runs written from them answer like any other."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from polyseme.cli import main
from polyseme.errors import CheckpointError
from polyseme.formats import word_vectors
from polyseme.formats.registry import export_model, import_model
from polyseme.formats.runs import write_run
from polyseme.formats.static import export_word2vec
from polyseme.formats.word_vectors import detect, import_word_vectors, parse_decimals, read_word_vectors
from polyseme.infer.embed import embed
from polyseme.infer.model import load
from polyseme.infer.neighbours import neighbours

WORDS = ["the", ",", "new", "york", "good", "fine", "bad", "new_york", "u.s.", "don't", "naïve", "12"]
WIDTH = 7


def vectors_of(n: int, width: int = WIDTH, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((n, width)).astype(np.float32)


def text_of(
    words: list[str], vectors: npt.NDArray[np.float32], header: bool = True, end: str = "\n"
) -> bytes:
    head = f"{len(words)} {vectors.shape[1]}{end}" if header else ""
    lines = (f"{w} {' '.join(map(str, v))}{end}" for w, v in zip(words, vectors, strict=True))
    return (head + "".join(lines)).encode()


def binary_of(words: list[str], vectors: npt.NDArray[np.float32], newline: bytes) -> bytes:
    head = f"{len(words)} {vectors.shape[1]}\n".encode()
    entries = (w.encode() + b" " + v.tobytes() + newline for w, v in zip(words, vectors, strict=True))
    return head + b"".join(entries)


VECTORS = vectors_of(len(WORDS))
FILES = {
    "word2vec text": text_of(WORDS, VECTORS),
    "word2vec text, \\r\\n": text_of(WORDS, VECTORS, end="\r\n"),
    "word2vec text, a space at the end of lines": text_of(WORDS, VECTORS, end=" \n"),
    "word2vec text, tabs": text_of(WORDS, VECTORS).replace(b" ", b"\t"),
    "word2vec text, no end of line at the end": text_of(WORDS, VECTORS)[:-1],
    "word2vec text, empty lines at the end": text_of(WORDS, VECTORS) + b"\n\n",
    "GloVe text": text_of(WORDS, VECTORS, header=False),
    "word2vec binary": binary_of(WORDS, VECTORS, b""),
    "word2vec binary, the original's": binary_of(WORDS, VECTORS, b"\n"),
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", FILES)
def test_every_form_gives_the_same_words_and_vectors(
    name: str, zipped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(word_vectors, "_BLOCK", 100)  # several blocks, cut anywhere
    file = tmp_path / "vectors"
    file.write_bytes(gzip.compress(FILES[name]) if zipped else FILES[name])
    assert detect(file)
    found = read_word_vectors(file)
    assert found.kind == name.partition(",")[0]
    assert (found.words, found.repeated) == (WORDS, 0)
    assert found.table[5:].tobytes() == VECTORS.tobytes()
    assert not found.table[:5].any()


def test_of_a_word_that_is_there_twice_the_first_vector_counts(tmp_path: Path) -> None:
    words = ["a", "b", "a", "c", "b"]
    vectors = vectors_of(5)
    (tmp_path / "f").write_bytes(text_of(words, vectors))
    found = read_word_vectors(tmp_path / "f")
    assert (found.words, found.repeated) == (["a", "b", "c"], 2)
    assert np.array_equal(found.table[5:], vectors[[0, 1, 3]])


def test_a_word_may_hold_spaces_but_no_numbers(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"the 0.5 1 2\nat name 1 2 3\n. . . 3 4 5\n")
    assert read_word_vectors(tmp_path / "f").words == ["the", "at_name", "._._."]
    (tmp_path / "f").write_bytes(b"the 0.5 1 2\nword 7 1 2 3\n")
    with pytest.raises(CheckpointError, match="word and its vector") as caught:
        read_word_vectors(tmp_path / "f")
    assert str(caught.value.where).endswith("f:2")


def test_a_known_special_token_keeps_its_vector(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"3 2\na 1 2\n[UNK] 3 4\nb 5 6\n")
    found = read_word_vectors(tmp_path / "f")
    assert found.words == ["a", "b"]
    assert found.table.tolist() == [[0, 0], [3, 4], [0, 0], [0, 0], [0, 0], [1, 2], [5, 6]]


def test_an_imported_file_is_a_run_that_answers(tmp_path: Path) -> None:
    vectors = VECTORS.copy()
    vectors[WORDS.index("fine")] = vectors[WORDS.index("good")] * 1.1
    (tmp_path / "f.txt").write_bytes(text_of(WORDS, vectors, header=False))
    write_run(import_word_vectors(tmp_path / "f.txt"), tmp_path / "run")
    loaded = load(tmp_path / "run")
    assert neighbours(loaded, "good", top=1)[0]["word"] == "fine"
    assert (
        neighbours(loaded, "Good", top=1)[0]["word"] == "fine"
    )  # no word has capitals: texts are lower-cased
    assert neighbours(loaded, "u.s.", top=1)
    assert loaded.tokenizer.encode("Don't go to New York, naïve").ids.count(loaded.tokenizer.unk_id) == 2
    phrase = embed(loaded, ["new york"])[0]
    assert np.array_equal(phrase, vectors[WORDS.index("new_york")])
    assert np.allclose(embed(loaded, ["good bad"])[0], vectors[[4, 6]].mean(0))


def test_words_that_would_fall_apart_are_cut_at_spaces(tmp_path: Path) -> None:
    words = [f"a.{i}/b" for i in range(30)] + ["Paris"]
    (tmp_path / "f").write_bytes(text_of(words, vectors_of(31)))
    tokenizer = import_word_vectors(tmp_path / "f").tokenizer
    assert tokenizer.spelling == "spaces"
    assert tokenizer.encode("a.3/b Paris paris").ids == [8, 35, tokenizer.unk_id]


@pytest.mark.parametrize("name", ["v.txt", "v.txt.gz", "v.bin", "v.bin.gz"])
def test_out_and_in_again_is_bit_equal(name: str, tmp_path: Path) -> None:
    vectors = np.frombuffer(np.random.default_rng(1).bytes(4 * 40 * WIDTH), np.float32).copy()
    vectors[~np.isfinite(vectors)] = -0.0
    words = [f"w{i}" for i in range(38)] + ["w0_w1", "漢字"]
    first = tmp_path / "first.bin"
    first.write_bytes(binary_of(words, vectors.reshape(-1, WIDTH), b""))
    imported = import_word_vectors(first)
    write_run(imported, tmp_path / "run")
    assert list(export_model(tmp_path / "run", "word2vec", tmp_path / name).files) == [name]
    again = import_word_vectors(tmp_path / name)
    assert read_word_vectors(tmp_path / name).words == words
    assert again.tokenizer.fingerprint == imported.tokenizer.fingerprint
    weight = "encoder.word_embeddings.weight"
    assert again.tensors[weight].numpy().tobytes() == imported.tensors[weight].numpy().tobytes()
    before = (tmp_path / name).read_bytes()
    export_word2vec(tmp_path / "run", tmp_path / "again" / name)
    assert (tmp_path / "again" / name).read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["again", "first.bin", "run", name])


def test_the_projector_gets_a_line_a_word(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(text_of(WORDS, VECTORS))
    write_run(import_word_vectors(tmp_path / "f"), tmp_path / "run")
    export_model(tmp_path / "run", "projector", tmp_path / "out")
    assert (tmp_path / "out" / "metadata.tsv").read_text("utf-8").split("\n") == [*WORDS, ""]
    table = np.loadtxt(tmp_path / "out" / "vectors.tsv", np.float32, delimiter="\t")
    assert np.array_equal(table, VECTORS)


@pytest.mark.parametrize("form", ["%.9g", "%.17g", "%.6f", "%.3e", "%s"])
def test_numbers_are_read_as_python_reads_them(form: str) -> None:
    numbers = np.frombuffer(np.random.default_rng(2).bytes(40_000), np.float32)
    numbers = [0.0, -0.0, 1e-45, 3.4e38, *numbers[np.isfinite(numbers)].tolist()]
    text = " ".join(form % number for number in numbers)
    expected = np.array([float(word) for word in text.split()]).astype(np.float32)
    for found in (form(text.encode(), len(numbers)) for form in (parse_decimals.fast, parse_decimals.plain)):
        assert found is not None
        assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1 2 3",
        "1  2",
        " 1 2",
        "1 2 ",
        "1 x",
        "1 nan",
        "1e 2",
        "1e+ 2",
        "+ 1",
        "0x1 2",
        ". 2",
        "1.2.3 4",
    ],
)
def test_what_is_not_two_numbers_is_none(text: str) -> None:
    assert parse_decimals.fast(text.encode(), 2) is None
    assert parse_decimals.plain(text.encode(), 2) is None


@pytest.mark.parametrize("header", ["", "2 3\n"])
def test_the_mark_before_utf_8_is_no_part_of_the_first_word(header: str, tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text(f"{header}the 1 2 3\nof 4 5 6\n", "utf-8-sig")
    run = import_model(tmp_path / "v.txt", tmp_path / "run")
    assert load(run.path).tokenizer.id("the") == 5


def test_a_table_of_numbers_alone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "v.tsv").write_text("0.1\t0.2\t0.3\n-1e-05\t0.2\t0.3\n.5\t1\t2\n")
    with pytest.raises(CheckpointError, match="numbers where words should be"):
        import_word_vectors(tmp_path / "v.tsv")
    (tmp_path / "v.tsv").write_text("1990 0.2 0.3\n0.5 0.2 0.3\n")  # a year is a word
    assert read_word_vectors(tmp_path / "v.tsv").words == ["1990", "0.5"]


def test_vectors_have_a_largest_width_with_and_without_a_first_line(tmp_path: Path) -> None:
    wide = (1 << 16) + 1
    for header in ("", f"1 {wide}\n"):
        (tmp_path / "v.txt").write_text(header + "the" + " 1" * wide + "\n")
        with pytest.raises(CheckpointError):
            read_word_vectors(tmp_path / "v.txt")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"0 4\n", "the file holds no words"),
        (b"3 2\na 1 2\nb 3 4\nc 5 6\nd 7 8\n", "more vectors(.|\\n)*a.vec:5"),
        (b"3 2\na 1 2\nb 3 4\n", "fewer vectors"),
        (b"1 1\na \0\0\x80?b \0\0\x80?", "more vectors(.|\\n)*entry 2"),
        ("2 2\n中 1 2\nx 3 4\n".encode("gb18030"), "is not UTF-8(.|\\n)*a.vec:2(.|\\n)*--encoding gb18030"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.vec").write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        import_model(tmp_path / "a.vec", tmp_path / "run", "word2vec")
    assert re.search(message, str(caught.value))


def test_words_in_another_encoding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.vec").write_bytes("2 2\n中国 1 2\n好 3 4\n".encode("gb18030"))
    command = ["import", str(tmp_path / "a.vec"), "-o", str(tmp_path / "run")]
    assert main(command) == 1
    assert "--encoding gb18030" in capsys.readouterr().err
    assert main([*command, "--encoding", "gb18030"]) == 0
    assert load(tmp_path / "run").tokenizer.id("中国") is not None


def test_what_is_left_out_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"w{i} {i} 1".encode() for i in range(300)]
    lines[7] = b"w1 9 9"  # a word that is there twice
    lines[8] = "中".encode()[:2] + b" 1 2"  # cut within a character
    lines[9] = b"new york 1 2"
    (tmp_path / "a.vec").write_bytes(b"300 2\n" + b"\n".join(lines) + b"\n")
    assert main(["import", str(tmp_path / "a.vec"), "-o", str(tmp_path / "run")]) == 0
    err = capsys.readouterr().err
    assert "note: 1 entries were left out: the same word had come before" in err
    assert f"({tmp_path / 'a.vec'}:10)" in err
    assert "note: 1 words held spaces, which became _" in err
    assert load(tmp_path / "run").tokenizer.vocab_size == 5 + 298

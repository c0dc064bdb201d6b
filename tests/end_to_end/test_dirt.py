"""A corpus with every kind of dirt goes through pretrain and embed, and the report counts each kind."""

from __future__ import annotations

import gzip
import json
import unicodedata
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import pytest
import zstandard

import polyseme
from polyseme.cli import main
from polyseme.text.clean import KINDS

from .conftest import tiny

ENGLISH = topics["class"] + topics["with"]
CHINESE = "北京是中华人民共和国的首都，也是全国的政治中心和文化中心。银行位于河岸旁边的街道上。" * 20
FRENCH = "L'été dernier, la forêt était très belle où nous étions allés à côté du château. " * 20


def write_dirty_corpus(folder: Path) -> None:
    """One file or more for every entry of `KINDS` that a folder can hold."""
    folder.mkdir()

    def put(name: str, data: str | bytes) -> None:
        (folder / name).write_bytes(
            data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")
        )

    put("bom.txt", "\ufeff" + ENGLISH)
    put("crlf.txt", ENGLISH.replace("\n", "\r\n") + " crlf")
    put("cr.txt", ENGLISH.replace("\n", "\r") + " cr")
    put("separators.txt", ENGLISH.replace(". ", ".\u2028", 5).replace(". ", ".\x85", 5) + "\x0b \x0c")
    put("controls.txt", ENGLISH.replace("class", "cl\x00ass", 3).replace("with", "wi\x07th", 3) + "\x9f")
    put("nonchar.txt", ENGLISH + " \ufdd0 \uffff a\ufeffb")
    put("trailing.txt", ENGLISH.replace("\n", "  \t\n") + " trailing")
    put("nfd.txt", unicodedata.normalize("NFD", FRENCH))
    put("broken.txt", ENGLISH.encode() + b"\xff\xfe\xc3(" + ENGLISH.encode())
    put("utf16.txt", (ENGLISH + " sixteen").encode("utf-16"))
    put("utf32.txt", (ENGLISH + " thirty-two").encode("utf-32"))
    put("gb.txt", CHINESE.encode("gb18030"))
    put(
        "big5.txt",
        "臺灣的銀行位於河岸旁邊的街道上，那裡有許多人在散步，也有學校與圖書館。".encode("big5") * 30,
    )
    put("latin.txt", FRENCH.encode("latin-1"))
    put("packed.txt.gz", gzip.compress((ENGLISH + " gz").encode()))
    put("packed.txt.zst", zstandard.compress((ENGLISH + " zst").encode()))
    put("twice_a.txt", topics["while"] * 3)
    put("twice_b.txt", topics["while"] * 3)
    put("long.txt", "word " * 20_000)
    put("blank.txt", " \n\n\t\n")
    records = [
        json.dumps({"text": ENGLISH}),
        '{"text": "a lone \\ud800 surrogate ' + "and more words " * 20 + '"}',
        "this is not JSON",
        json.dumps({"title": "no text"}),
        json.dumps({"text": 7}),
        json.dumps({"text": "   "}),
    ]
    put("records.jsonl", "\n".join(records))
    put("LICENSE", "words of a licence")
    put("picture.txt", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40)
    put("table.csv", "a,b\n1,2\n")
    put(".hidden.txt", ENGLISH)


COUNTED = {
    *("bom", "crlf", "cr", "line_separator", "nul", "control", "lone_surrogate", "noncharacter"),
    *("zero_width_no_break", "trailing_space", "not_nfc", "broken_bytes", "empty_document", "cut_document"),
    *("duplicate", "not_json", "no_field", "field_not_text", "skipped_description", "skipped_binary"),
    *("skipped_suffix", "skipped_hidden", "encoding_utf-16", "encoding_utf-32", "encoding_gb18030"),
    *("encoding_big5", "encoding_cp1252"),
}


@pytest.mark.parametrize("model", ["bert", "modernbert"])
def test_every_kind_is_counted_by_pretrain(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_dirty_corpus(tmp_path / "dirty")
    run = tmp_path / "run"
    options = tiny(**{"text.deduplicate": "exact", "tokenizer.vocab_size": 1200, "text.valid_share": 0.3})
    assert main(["pretrain", model, str(tmp_path / "dirty"), "-o", str(run), "--steps", "3", *options]) == 0
    capsys.readouterr()
    assert main(["inspect", str(run), "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)["corpus"]["dirt"]
    assert set(counts) >= COUNTED, COUNTED - set(counts)
    assert set(counts) <= set(KINDS)
    assert all(number > 0 for number in counts.values())

    lines = tmp_path / "lines.txt"
    texts = ["a\x00b", "x\u2028y", "é" * 3, "e\u0301", "", "\ufeffstart", "中文 mixed", "a\rb", "a\r"]
    lines.write_bytes("\n".join(texts).encode() + b"\nbroken \xff byte")
    assert main(["embed", str(run), str(lines), "-o", str(tmp_path / "v.npy")]) == 0
    vectors = np.load(tmp_path / "v.npy")
    assert vectors.shape == (10, 32)
    assert np.isfinite(vectors).all()
    alone = polyseme.load(run).embed(
        [*texts[:-1], "a", "broken \ufffd byte"]
    )  # lines are taken as they stand
    np.testing.assert_allclose(vectors, alone, atol=1e-5)
    said = capsys.readouterr().err
    assert "broken_bytes 1" in said
    assert "1 lone carriage returns stand inside lines" in said

"""Files of vectors: windows, resuming after an interruption at any window, complete or absent, every kind of output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polyseme.cli import main
from polyseme.errors import CheckpointError, ConfigError, CorpusError, Interrupted, RunError, StorageError
from polyseme.infer import embed as embedding
from polyseme.infer import embed_file as module
from polyseme.infer.embed import Pooling, embed
from polyseme.infer.embed_file import VectorFile, embed_file
from polyseme.infer.model import Model
from vector_runs import TEXTS, random_run

# long texts are among those of every test here
pytestmark = pytest.mark.filterwarnings("ignore:.* longer than the .* tokens that are read")

LINES = [*TEXTS, *reversed(TEXTS), *TEXTS[3:]]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return random_run(tmp_path_factory.mktemp("runs"), "bert")


@pytest.fixture
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(embedding, "TEXTS_AT_ONCE", 4)
    monkeypatch.setattr(module, "COMMIT_EVERY_S", 0.0)
    (tmp_path / "lines.txt").write_text("\n".join(LINES) + "\n", "utf-8")
    return tmp_path / "lines.txt"


def stopping_after(windows: int, error: type[BaseException]) -> Callable[..., Any]:
    """`VectorFile.append` that fails in the middle of a write after some windows."""
    whole = VectorFile.append
    left = windows

    def append(self: VectorFile, blocks: Any, counts: list[int]) -> None:
        nonlocal left
        if not left:
            self._file.write(b"half a window")
            self._file.flush()
            raise error
        left -= 1
        whole(self, blocks, counts)

    return append


def test_lines_are_rows(bert: Model, lines: Path, tmp_path: Path) -> None:
    written = embed_file(bert, lines, tmp_path / "v.npy")
    found = np.load(tmp_path / "v.npy")
    assert written["lines"] == written["vectors"] == len(LINES)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, embed(bert, LINES), atol=1e-5)
    assert sorted(p.name for p in tmp_path.glob("v*")) == ["v.npy"]


@pytest.mark.parametrize("pool", ["mean", "words"])
@pytest.mark.parametrize("kind", ["npy", "parquet"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_what_was_interrupted_ends_bit_equal(
    bert: Model,
    lines: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pool: Any,
    kind: str,
    error: Any,
) -> None:
    pytest.importorskip("pyarrow")
    whole, output = tmp_path / f"whole.{kind}", tmp_path / f"v.{kind}"
    embed_file(bert, lines, whole, pool)
    for windows in (0, 1, 3):
        with monkeypatch.context() as patch:
            patch.setattr(VectorFile, "append", stopping_after(windows, error))
            with pytest.raises(Interrupted if error is KeyboardInterrupt else MemoryError):
                embed_file(bert, lines, output, pool, resume=True)
        assert not output.exists()
        if windows:
            with pytest.raises(RunError, match="unfinished"):
                embed_file(bert, lines, output, pool)
    written = embed_file(bert, lines, output, pool, resume=True)
    assert written["lines"] == len(LINES)
    assert output.read_bytes() == whole.read_bytes()
    if (pool, kind) == ("words", "npy"):
        offsets = [(tmp_path / f"{name}.offsets.npy").read_bytes() for name in ("whole", "v")]
        assert offsets[0] == offsets[1]
    assert not [p for p in tmp_path.iterdir() if "partial" in p.name]


def test_a_kill_leaves_something_to_go_on_from(
    bert: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "many.txt"
    file.write_text("\n".join(f"{text} {i}" for i in range(300) for text in TEXTS) + "\n", "utf-8")
    monkeypatch.setattr(embedding, "TEXTS_AT_ONCE", 64)
    embed_file(bert, file, tmp_path / "whole.npy")
    code = (
        "import sys; from pathlib import Path\n"
        "import polyseme\n"
        "from polyseme.infer import embed as e, embed_file as m\n"
        "e.TEXTS_AT_ONCE, m.COMMIT_EVERY_S = 64, 0.0\n"
        "m.embed_file(polyseme.load(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))\n"
    )
    output, state = tmp_path / "v.npy", tmp_path / "v.npy.partial.json"
    process = subprocess.Popen([sys.executable, "-c", code, str(bert.run.path), str(file), str(output)])
    while not state.exists() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not output.exists()
    assert json.loads(state.read_bytes())["lines"] >= 64
    embed_file(bert, file, output, resume=True)
    assert output.read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_another_making_is_refused(
    bert: Model, lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "v.npy"
    with monkeypatch.context() as patch:
        patch.setattr(VectorFile, "append", stopping_after(2, KeyboardInterrupt))
        with pytest.raises(Interrupted):
            embed_file(bert, lines, output)
    for change in ({"pool": "max"}, {"pool": Pooling(normalize=True)}, {"layer": 1}, {"precision": "int8"}):
        with pytest.raises(RunError, match="in another way"):
            embed_file(bert, lines, output, resume=True, **change)
    text = lines.read_text("utf-8")
    for changed in (text.replace("mat", "hat", 1), "\n".join(LINES[:3])):
        lines.write_text(changed, "utf-8")
        with pytest.raises(CorpusError, match="not the one"):
            embed_file(bert, lines, output, resume=True)
    lines.write_text(text, "utf-8")
    partial = tmp_path / "v.npy.partial"
    os.truncate(partial, 200)
    with pytest.raises(CheckpointError, match="shorter"):
        embed_file(bert, lines, output, resume=True)
    (tmp_path / "v.npy.partial.json").write_text("{")
    with pytest.raises(CheckpointError, match="damaged"):
        embed_file(bert, lines, output, resume=True)


def test_a_table(bert: Model, lines: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    embed_file(bert, lines, tmp_path / "v.parquet")
    table = parquet.read_table(tmp_path / "v.parquet")
    assert table.column_names == ["line", "vector"]
    assert table["line"].to_pylist() == list(range(len(LINES)))
    np.testing.assert_allclose(np.stack(table["vector"].to_pylist()), embed(bert, LINES), atol=1e-5)
    embed_file(bert, lines, tmp_path / "w.parquet", "words")
    words = parquet.read_table(tmp_path / "w.parquet")
    places = [(i, k) for i, rows in enumerate(embed(bert, LINES, "words")) for k in range(len(rows))]
    assert list(zip(words["line"].to_pylist(), words["word"].to_pylist(), strict=True)) == places


def test_an_empty_file(bert: Model, tmp_path: Path) -> None:
    (tmp_path / "none.txt").write_text("")
    for name, pool in (("v.npy", "mean"), ("w.npy", "words"), ("v.parquet", "mean")):
        if name.endswith("parquet"):
            pytest.importorskip("pyarrow")
        written = embed_file(bert, tmp_path / "none.txt", tmp_path / name, pool)  # type: ignore[arg-type]
        assert written["lines"] == 0
    assert np.load(tmp_path / "v.npy").shape == (0, 32)
    assert np.load(tmp_path / "w.offsets.npy").tolist() == [0]


def test_kinds_of_output(bert: Model, lines: Path, tmp_path: Path) -> None:
    for name, what in (("v.txt", "unknown kind"), ("v.npz", "only sparse")):
        with pytest.raises(ConfigError, match=what):
            embed_file(bert, lines, tmp_path / name)


def test_memory_does_not_grow_with_the_file(
    bert: Model, lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    largest = 0
    whole = embedding.Embedder.read

    def read(self: Any, texts: Any) -> Any:
        nonlocal largest
        largest = max(largest, len(texts))
        return whole(self, texts)

    monkeypatch.setattr(embedding.Embedder, "read", read)
    embed_file(bert, lines, tmp_path / "v.npy")
    assert largest == 4


ODD_LINES = [
    "first line",
    "second\rline",
    "",
    "  lead and trail \u3000",
    "word\u2028word",
    "a\x0bb\x0cc\x85d\x1ce",
    "x\x07y\x00z",
    "e\u0301cole",
    "in\ufeffside",
    "last",
]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("kind", ["wordpiece", "byte-bpe"])
def test_a_line_is_the_text_of_a_list_and_row_i_is_line_i(kind: str, end: str, tmp_path: Path) -> None:
    loaded = random_run(tmp_path, "bert", tokenizer=kind)
    (tmp_path / "a.txt").write_bytes(end.join(ODD_LINES).encode())
    written = embed_file(loaded, tmp_path / "a.txt", tmp_path / "v.npy")
    assert written["lines"] == len(ODD_LINES)
    assert written["dirt"]["counts"] == {"cr_inside": 1}
    np.testing.assert_allclose(np.load(tmp_path / "v.npy"), embed(loaded, ODD_LINES), atol=1e-5)
    records = [json.dumps({"text": text}) for text in ODD_LINES]
    (tmp_path / "a.jsonl").write_bytes(end.join(records).encode())
    embed_file(loaded, tmp_path / "a.jsonl", tmp_path / "r.npy")
    np.testing.assert_allclose(np.load(tmp_path / "r.npy"), np.load(tmp_path / "v.npy"), atol=1e-5)


@pytest.mark.parametrize("pool", ["mean", "words"])
def test_what_is_cut_is_counted(
    pool: str, bert: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("the cat " * 500 + "\nshort\n" + "on the mat " * 500 + "\n")
    command = ["embed", str(bert.run.path), str(tmp_path / "a.txt"), "-o", str(tmp_path / "v.npy")]
    assert main([*command, "--pool", pool, "--json"]) == 0
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert document["cut"] == len(document["truncated"]) == 2
    assert document["tokens_lost"] > 2
    assert f"note: 2 of 3 texts are longer than the {bert.max_content:,} tokens that are read" in printed.err


def test_what_is_cut_is_counted_over_an_interruption(
    bert: Model, lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines.write_text("".join("the cat " * n + "\n" for n in (50, 1) * 7))
    whole = embed_file(bert, lines, tmp_path / "whole.npy")
    assert whole["cut"] == 7
    with monkeypatch.context() as patched:
        patched.setattr(VectorFile, "append", stopping_after(2, KeyboardInterrupt))
        with pytest.raises(Interrupted):
            embed_file(bert, lines, tmp_path / "v.npy")
    resumed = embed_file(bert, lines, tmp_path / "v.npy", resume=True)
    for name in ("cut", "truncated", "tokens_lost"):
        assert resumed[name] == whole[name]
    assert len(whole["truncated"]) == 7


def test_the_command(bert: Model, lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "v.npy"
    options = ["--pool", "max", "--normalize", "--separators", "--max-length", "9", "--resume", "--json"]
    assert main(["embed", str(bert.run.path), str(lines), "-o", str(output), *options]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["lines"] == len(LINES)
    assert "embedding" in printed.err
    expected = embed(bert, LINES, Pooling("max", True, 9, True))
    np.testing.assert_allclose(np.load(output), expected, atol=1e-5)
    assert main(["embed", str(bert.run.path), str(lines), "-o", str(output), "--int8"]) == 0
    assert main(["embed", str(bert.run.path), str(lines), "-o", str(output), "--max-length", "2"]) == 2


def test_records_and_encodings(bert: Model, tmp_path: Path) -> None:
    texts = ["the cat sat", "on the mat", "a café"]
    rows = [json.dumps({"id": str(i), "sentence": text}) for i, text in enumerate(texts)]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    (tmp_path / "a.txt").write_text("\n".join(texts), "utf-16-le")
    expected = embed(bert, texts)
    for name, options in (("a.jsonl", ["--field", "sentence"]), ("a.txt", ["--encoding", "utf-16-le"])):
        output = tmp_path / f"{name}.npy"
        command = ["embed", str(bert.run.path), str(tmp_path / name), "-o", str(output), *options]
        assert main(command) == 0
        np.testing.assert_allclose(np.load(output), expected, atol=1e-5)
    with pytest.raises(CorpusError, match=r"no record has text(.|\n)*id, sentence(.|\n)*--field"):
        embed_file(bert, tmp_path / "a.jsonl", tmp_path / "none.npy")
    assert not list(tmp_path.glob("none*"))


def test_outputs_that_cannot_be_are_refused_before_anything_is_computed(
    bert: Model, lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding.Embedder, "vectors", None)
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(RunError, match="the output is a folder"):
        embed_file(bert, lines, tmp_path / "folder.npy")
    with pytest.raises(StorageError):
        embed_file(bert, lines, lines / "v.npy")
    with pytest.raises(CorpusError, match="a folder, where a file is needed"):
        embed_file(bert, tmp_path, tmp_path / "v.npy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.npy", lines.name]


def test_the_folder_of_the_output_is_made(bert: Model, lines: Path, tmp_path: Path) -> None:
    embed_file(bert, lines, tmp_path / "new" / "v.npy", "words")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["v.npy", "v.offsets.npy"]


def test_what_fails_before_anything_counts_leaves_nothing(
    bert: Model, lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VectorFile, "append", stopping_after(0, ValueError))
    with pytest.raises(ValueError):
        embed_file(bert, lines, tmp_path / "v.npy", "words")
    assert [path.name for path in tmp_path.iterdir()] == [lines.name]

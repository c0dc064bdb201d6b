"""The static vectors of a run for other programs: word2vec's text and binary files, the Embedding Projector's tables.

The vectors are the input embeddings, one per vocabulary entry: word2vec's vectors, ELMo's character-based word vectors,
the embedding matrix of a transformer. Special tokens, pieces that only continue a word, and bytes that are no character
are left out. As these files separate by spaces, new york is written new_york.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import torch

from polyseme.core.arrays import Float32Array
from polyseme.core.files import make_folder, new_file, new_folder
from polyseme.core.reporter import NullReporter, Reporter
from polyseme.errors import ConfigError, RunError
from polyseme.formats.registry import Written
from polyseme.formats.runs import Opened, open_run
from polyseme.text.tokenizers import Tokenizer

__all__ = ["export_projector", "export_word2vec", "static_vectors"]

_ROWS = 1 << 11
_WHITE = re.compile(r"[ \t\r\n\v\f]+")


def export_word2vec(run: Path | str, output: Path | str, reporter: Reporter | None = None) -> Written:
    """Write a run's static vectors as a file of word2vec: binary if it is called .bin, else text; .gz on either.

    Text has nine digits, which restore the same float32.

    Args:
        run: the run directory.
        output: the file to write; new.
        reporter: receives the progress.
    Raises:  RunError: there is no run, or the file exists.  ConfigError: its vectors are sparse.
             StorageError: the disk refuses.
    """
    output, reporter = Path(output), reporter or NullReporter()
    _check_new(output)
    words, vectors = static_vectors(open_run(run))
    n, width = vectors.shape
    binary = output.name.removesuffix(".gz").endswith(".bin")
    block = _binary if binary else _text
    with _new_file(output) as file:
        file.write(f"{n} {width}\n".encode())
        for start in range(0, n, _ROWS):
            file.write(block(words[start : start + _ROWS], vectors[start : start + _ROWS]))
            reporter.stage("writing vectors", min(n, start + _ROWS), n)
    return Written(output, [output.name], _notes(words, width))


def export_projector(run: Path | str, output: Path | str, reporter: Reporter | None = None) -> Written:
    """Write a run's static vectors as the two tables that the Embedding Projector loads.

    Args:
        run: the run directory.
        output: a new folder for vectors.tsv and metadata.tsv.
        reporter: receives the progress.
    Raises:  RunError: there is no run, or the folder holds something.  ConfigError: its vectors are sparse.
             StorageError: the disk refuses.
    """
    output, reporter = Path(output), reporter or NullReporter()
    words, vectors = static_vectors(open_run(run))
    n, width = vectors.shape
    line = "\t".join(["%.9g"] * width) + "\n"
    with new_folder(output) as folder:
        with (folder / "vectors.tsv").open("w", encoding="utf-8", newline="\n") as file:
            for start in range(0, n, _ROWS):
                file.writelines(line % tuple(row) for row in vectors[start : start + _ROWS].tolist())
                reporter.stage("writing vectors", min(n, start + _ROWS), n)
        (folder / "metadata.tsv").write_text("".join(f"{word}\n" for word in words), "utf-8", newline="\n")
    return Written(output, ["vectors.tsv", "metadata.tsv"], _notes(words, width))


def _notes(words: list[str], width: int) -> list[str]:
    return [f"{len(words):,} words, {width:,} numbers each; special tokens and word pieces were left out"]


def static_vectors(opened: Opened) -> tuple[list[str], Float32Array]:
    """The words of a run and their input embeddings, in the order of their ids.

    Shapes:  -> N words, (N, dimensions)
    Raises:  ConfigError: the run's vectors are sparse.
    """
    if hasattr(opened.encoder, "active"):
        raise ConfigError(
            "sparse vectors have no form in these files",
            got=opened.recipe.architecture,
            expected="a run of a model with dense vectors, such as word2vec",
            where=opened.run.path,
            fix="polyseme embed RUN FILE -o vectors.npz",
        )
    entries = words_of(opened.tokenizer)
    with torch.no_grad():
        table = opened.encoder.token_embedding().weight[list(entries.values())]
    return list(entries), table.float().numpy()


def words_of(tokenizer: Tokenizer) -> dict[str, int]:
    """The vocabulary's words in the spelling of these files, and their ids; of two with the same spelling the first."""
    left_out = tokenizer.continues.copy()
    left_out[list(tokenizer.special_ids)] = True
    entries: dict[str, int] = {}
    for i in np.flatnonzero(~left_out).tolist():
        if tokenizer.is_word_level:
            word = tokenizer.token(i)
        elif tokenizer.spelling == "bytes":
            word = _decoded(tokenizer.token_bytes(i))
        else:
            word = tokenizer.display(i)
        if word := _WHITE.sub("_", word.strip(" \t\r\n\v\f")):
            entries.setdefault(word, i)
    return entries


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return ""


def _text(words: list[str], vectors: Float32Array) -> bytes:
    line = " ".join(["%.9g"] * vectors.shape[1])
    return "".join(
        f"{word} {line % tuple(row)}\n" for word, row in zip(words, vectors.tolist(), strict=True)
    ).encode()


def _binary(words: list[str], vectors: Float32Array) -> bytes:
    rows = vectors.astype("<f4")
    return b"".join(
        b"%b %b\n" % (word.encode(), row.tobytes()) for word, row in zip(words, rows, strict=True)
    )


def _check_new(path: Path) -> None:
    """Refuse to overwrite a file or folder.

    Raises:  RunError: a folder or a file of that name exists.
    """
    if path.is_dir():
        raise RunError("the output is a folder", where=path, expected="the name of a file")
    if path.exists():
        raise RunError(
            "the output is there already", where=path, fix="another name, or delete this file first"
        )


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that gets its name only when it is complete; gzipped where the name ends in .gz.

    Raises:  StorageError: the disk refuses.
    """
    make_folder(path.parent)
    with new_file(path) as file:
        if path.suffix == ".gz":
            with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=6, mtime=0) as zipped:
                yield cast("BinaryIO", zipped)
        else:
            yield file

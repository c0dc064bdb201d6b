"""Texts to vectors, in batches of similar length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from polyseme.errors import ConfigError, StorageError
from polyseme.infer.load import Loaded, words_of
from polyseme.text.clean import DirtReport, clean
from polyseme.text.corpus import TextConfig
from polyseme.text.sources import read_lines
from polyseme.text.tokenizers import Tokens

Pool = Literal["mean", "cls", "max", "words"]
FloatArray = npt.NDArray[np.float32]

TOKENS_PER_BATCH = 8192
LINES_AT_ONCE = 4096
NUMBERS_AT_ONCE = 1 << 24
"""Of a sparse matrix that is written as a dense one."""


def embed(
    loaded: Loaded, texts: Sequence[str], pool: Pool = "mean", layer: int | Literal["mix"] | None = None
) -> list[FloatArray]:
    """Vectors of texts; what is longer than the model reads is cut; empty texts give zeros (cls: that of [CLS] alone).

    Args:
        loaded: a run.
        texts: any strings.
        pool: how a text's tokens become one vector: mean or max over them, cls; "words" keeps a vector per word.
        layer: 0 = embeddings, … , -1 = last; None = last; "mix" = the mean of all layers.
    Shapes:  -> N arrays of (hidden_size,), or (words, hidden_size) for pool="words"
    Raises:  ConfigError: there is no such layer, or [CLS] says nothing about the text.
    """
    _check_layer(loaded, layer)
    _check_pool(loaded, pool)
    if hasattr(loaded.encoder, "active"):
        whole, counts = sparse_vectors(loaded, texts, pool)
        ends = np.cumsum(counts)
        rows = [whole[end - n : end].toarray() for n, end in zip(counts, ends.tolist(), strict=True)]
        return [row if pool == "words" else row[0] for row in rows]
    tokens = [_cut(t, loaded.room) for t in loaded.tokenizer.encode_batch(list(texts))]
    results: list[FloatArray | None] = [None] * len(texts)
    for indices in _by_length(tokens):
        batch = loaded.batch(
            [tokens[i].ids for i in indices], [words_of(texts[i], tokens[i]) for i in indices]
        )
        with torch.inference_mode():
            hidden = _layer(
                loaded.encoder.encode(batch, keep="last" if layer in (None, -1) else "all").layers, layer
            )
        for row, i in enumerate(indices):
            results[i] = _pool(hidden[row], tokens[i], pool, loaded.lead).numpy()
    return [r for r in results if r is not None]


def embed_file(
    loaded: Loaded,
    file: Path,
    output: Path,
    pool: Pool = "mean",
    layer: int | Literal["mix"] | None = None,
) -> dict[str, Any]:
    """Vectors of every line of a file, written as one .npy array, or as a sparse matrix (scipy's .npz, CSR).

    With pool="words" the array holds the vectors of all words, and OUTPUT.offsets.npy the first row of each line.

    Args:
        loaded, pool, layer: as for `embed`.
        file: one text per line (.gz and .zst too); a line is cleaned by the rules of the corpus reader.
        output: the .npy file to write; .npz for a sparse matrix, where the encoder's vectors are sparse.
    Returns {"lines", "vectors", "hidden_size", "dirt": counts by kind}.
    Shapes:  -> (lines, hidden_size), or (words, hidden_size) and offsets (lines + 1,)
    Raises:  CorpusError: the file is missing or binary.  StorageError: the disk refuses.
             ConfigError: .npz, and the vectors are not sparse; otherwise as for `embed`.
    """
    _check_layer(loaded, layer)
    _check_pool(loaded, pool)
    sparse = hasattr(loaded.encoder, "active")
    if output.suffix == ".npz" and not sparse:
        raise ConfigError(
            "only sparse vectors are written as .npz", got=output, fix=f"-o {output.with_suffix('.npy')}"
        )
    report = DirtReport()
    parts: list[Any] = []
    counts: list[int] = []
    lines = read_lines(file, TextConfig(), report)
    while chunk := [clean(line, report).replace("\n", " ") for line in islice(lines, LINES_AT_ONCE)]:
        if sparse:
            part, numbers = sparse_vectors(loaded, chunk, pool)
            parts.append(part)
            counts += numbers
            continue
        vectors = embed(loaded, chunk, pool, layer)
        counts += [len(v) if pool == "words" else 1 for v in vectors]
        parts.append(np.concatenate(vectors) if pool == "words" else np.stack(vectors))
    width = loaded.encoder.config.hidden_size
    try:
        with output.open("wb") as target:
            if sparse:
                n_vectors = _write_sparse(target, parts, width, output.suffix == ".npz")
            else:
                whole = np.concatenate(parts) if parts else np.zeros((0, width), np.float32)
                n_vectors = len(whole)
                np.save(target, whole)
        if pool == "words":
            with output.with_suffix(".offsets.npy").open("wb") as target:
                np.save(target, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
    except OSError as error:
        raise StorageError("could not write the vectors", got=error.strerror, where=output) from error
    return {"lines": len(counts), "vectors": n_vectors, "hidden_size": width, "dirt": report.as_dict()}


def sparse_vectors(loaded: Loaded, texts: Sequence[str], pool: Pool = "mean") -> tuple[Any, list[int]]:
    """The same vectors as `embed` without the zeros, for encoders that say which numbers are one.

    Returns a scipy CSR matrix, float32, and its rows per text.
    Shapes:  -> (N, hidden_size), or (words, hidden_size) for pool="words"
    """
    from scipy.sparse import csr_matrix

    _check_pool(loaded, pool)
    tokens = loaded.tokenizer.encode_batch(list(texts))
    ids = np.array([i for t in tokens for i in t.ids], np.int64)
    lengths = np.array([len(t) for t in tokens], np.int64)
    row = np.repeat(np.arange(len(tokens)), lengths)  # of the result, for every token
    counts = [1] * len(tokens)
    if pool == "words":
        starts = np.array([word for t in tokens for word in t.word_starts], np.bool_)
        starts[(np.cumsum(lengths) - lengths)[lengths > 0]] = True
        row = np.cumsum(starts) - 1
        counts = [sum(t.word_starts[1:]) + 1 if len(t) else 0 for t in tokens]
    n_rows, width = sum(counts), loaded.encoder.config.hidden_size
    share = np.ones(len(ids)) if pool == "max" else 1.0 / np.bincount(row, minlength=n_rows)[row]
    token, column = (part.numpy() for part in loaded.encoder.active(torch.from_numpy(ids)))
    whole = csr_matrix((share[token], (row[token], column)), (n_rows, width))  # what meets is added
    whole.sum_duplicates()
    if pool == "max":
        whole.data[:] = 1.0
    return whole.astype(np.float32), counts


def _write_sparse(target: BinaryIO, parts: list[Any], width: int, as_sparse: bool) -> int:
    """Write parts of a sparse matrix as it is, or as a dense array a few rows at a time; returns its rows."""
    from scipy.sparse import csr_matrix, save_npz, vstack

    whole = vstack(parts, "csr") if parts else csr_matrix((0, width), dtype=np.float32)
    if as_sparse:
        save_npz(target, whole)
    else:
        head = {"descr": "<f4", "fortran_order": False, "shape": whole.shape}
        np.lib.format.write_array_header_1_0(target, head)
        step = max(1, NUMBERS_AT_ONCE // width)
        for start in range(0, whole.shape[0], step):
            target.write(whole[start : start + step].toarray().astype("<f4").tobytes())
    return int(whole.shape[0])


def _check_layer(loaded: Loaded, layer: Any) -> None:
    n = loaded.encoder.config.num_hidden_layers + 1
    if layer is None or (isinstance(layer, str) and layer == "mix"):
        return
    if isinstance(layer, bool) or not isinstance(layer, int | np.integer) or not -n <= layer < n:
        raise ConfigError(
            "no such layer", got=layer, expected=f"0 … {n - 1}, or -{n} … -1 from the end, or mix"
        )


def _check_pool(loaded: Loaded, pool: Pool) -> None:
    """Refuse unknown pools, and [CLS] where it has seen nothing of the text: it is the same vector for all."""
    if pool not in get_args(Pool):
        raise ConfigError("no such pool", got=repr(pool), expected=", ".join(get_args(Pool)))
    if pool == "cls" and loaded.encoder.reach != "both":
        sees = {"none": "no other token", "left": "only what is before it"}.get(
            loaded.encoder.reach, "too little"
        )
        raise ConfigError(
            "the vector of [CLS] says nothing about a text here",
            got=f"pool cls with {loaded.recipe.architecture}, whose [CLS] sees {sees}",
            expected=", ".join(p for p in get_args(Pool) if p != "cls"),
            fix="--pool mean",
        )


def _cut(tokens: Tokens, room: int) -> Tokens:
    return Tokens(tokens.ids[:room], tokens.offsets[:room], tokens.word_starts[:room])


def _by_length(tokens: Sequence[Tokens]) -> Iterator[list[int]]:
    """Indices of non-empty and empty texts alike, in batches of similar length and bounded size."""
    order = sorted(range(len(tokens)), key=lambda i: len(tokens[i].ids))
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and (len(tokens[order[end]].ids) + 2) * (end + 1 - start) <= TOKENS_PER_BATCH:
            end += 1
        yield order[start:end]
        start = end


def _layer(layers: tuple[Tensor, ...], layer: int | Literal["mix"] | None) -> Tensor:
    if layer == "mix":
        return torch.stack(layers).mean(0)
    return layers[-1 if layer is None else layer]


def _pool(hidden: Tensor, tokens: Tokens, pool: Pool, lead: int) -> Tensor:
    """(T, hidden_size) of a padded row -> one vector, or one per word."""
    n = len(tokens.ids)
    if pool == "cls":
        return hidden[0].float()
    inner = hidden[lead : lead + n].float()
    if not n:
        return inner.new_zeros((0, hidden.size(1)) if pool == "words" else (hidden.size(1),))
    if pool == "max":
        return inner.max(0).values
    if pool == "mean":
        return inner.mean(0)
    starts = torch.tensor(tokens.word_starts)
    starts[0] = True
    word = torch.cumsum(starts.long(), 0) - 1
    sums = inner.new_zeros((int(word[-1]) + 1, inner.size(1))).index_add_(0, word, inner)
    return sums / torch.bincount(word)[:, None]

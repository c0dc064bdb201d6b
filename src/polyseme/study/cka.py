"""How similar the layers of one or two runs represent the same text: linear CKA between every two layers.

    texts ─► each run's hidden states ─► vectors of the same words ─► CKA of layer i of one and layer j of the other

Runs may have different tokenizers and widths: the examples are words, found by their characters alone
(text/words.py), a word's vector is the mean of the tokens that touch it, and words that one of the runs has not read or
does not know are left out for both. Vectors of all layers go to temporary files and come back block by block, so that
memory does not grow with the text. Sparse vectors (onehot, word-classes) stay sparse and exact.

    CKA(X, Y) = HSIC(K, L) / √(HSIC(K, K) HSIC(L, L)),       K = X Xᵀ,  L = Y Yᵀ

plain       HSIC₀ = ‖X_cᵀ Y_c‖²_F, columns centred; it grows with columns per example, even for unrelated X and Y
debiased    with K̃, L̃ = K, L without their diagonals,
            HSIC₁ = [tr K̃L̃ + (1ᵀK̃1)(1ᵀL̃1) / ((n - 1)(n - 2)) - 2 (1ᵀK̃L̃1) / (n - 2)] / (n (n - 3)),
            whose mean is 0 for unrelated X and Y, however many columns they have

No n × n matrix is made: with p_i = x_i · x_i, q_i = y_i · y_i, s = Σ x_i, t = Σ y_i and C = Xᵀ Y,

    tr K̃L̃   = ‖C‖²_F - Σ p_i q_i
    1ᵀK̃1    = s · s - Σ p_i
    1ᵀK̃L̃1  = sᵀ C t - s · Σ x_i q_i - t · Σ y_i p_i + Σ p_i q_i

all of which are sums over examples. Examples come in blocks of whole texts; leaving one block out is subtracting its
sums, which gives the intervals: the delete-a-block jackknife. A bootstrap would draw some texts twice, and a text is
perfectly like itself: the pairs of twins pull the debiased figure up.

Source:  Kornblith et al. (2019), "Similarity of Neural Network Representations Revisited", section 3; Song et al.
(2012), "Feature Selection via Dependence Maximization", equation 5 (the unbiased estimator); Nguyen et al. (2021),
"Do Wide and Deep Networks Learn the Same Things?", section 3.1 (CKA from it); Künsch (1989), section 2, and Busing et
al. (1999) (the jackknife over blocks, of unequal sizes).
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import torch

from polyseme.core.arrays import Float32Array, Float64Array, IntArray
from polyseme.core.files import saving
from polyseme.core.paths import PathLike, path_of
from polyseme.core.protocols import SparseEncoder
from polyseme.core.reporter import NullReporter, Reporter
from polyseme.core.result import Result
from polyseme.errors import InputError
from polyseme.infer.hidden import encode_cut
from polyseme.infer.inputs import at_least_one, one_of, one_text
from polyseme.infer.loaded import Loaded
from polyseme.study import Run, opened, several
from polyseme.study.stats import jackknife_interval
from polyseme.study.word_units import spans_of_words, touched
from polyseme.tasks.metrics.intervals import measured
from polyseme.text.clean import CleaningReport, replace_surrogates
from polyseme.text.config import TextConfig
from polyseme.text.sources import read_lines

__all__ = ["LIMIT", "Cka", "Dependence", "Unit", "alignment", "cka", "dependence"]

Unit = Literal["words", "texts"]

LIMIT = 20_000
"""Words or texts that are compared by default."""

BLOCKS = 20
"""Blocks of the jackknife at least, where there are as many texts."""

BLOCK_ROWS = 8192
"""Examples of a block at most, but for the rest of a text."""

_TEXTS_AT_ONCE = 64
_LEAST = 8


@dataclass(frozen=True, eq=False, repr=False)
class Cka(Result):
    """The similarity of every two layers.

    Args:
        runs: {"run", "model", "layers": how many, with the embedding layer}, one or two.
        unit: what the examples are.
        file: where the texts come from.
        texts, units, blocks: how much was compared, and in how many blocks.
        left_out: words that were not read, and words that one of the runs does not know.
        values: a row a layer of the first run, a column a layer of the second, or of the first again; see
            `alignment`.
    """

    kind = "cka"
    notes = ()

    runs: tuple[dict[str, Any], ...]
    unit: Unit
    file: str | None
    texts: int
    units: int
    blocks: int
    left_out: dict[str, int]
    values: list[list[dict[str, Any]]]

    def document(self) -> dict[str, Any]:
        """Everything as one JSON-able dict."""
        return {
            "runs": list(self.runs),
            "unit": self.unit,
            "file": self.file,
            "texts": self.texts,
            "units": self.units,
            "blocks": self.blocks,
            "left_out": self.left_out,
            "cka": self.values,
        }

    def headline(self) -> str:
        """The runs and how much was compared."""
        names = [f"{Path(run['run']).name} ({run['layers']} layers)" for run in self.runs]
        return f"{' and '.join(names)}, {self.units:,} {self.unit} of {self.texts:,} texts"

    def rows(self) -> list[dict[str, Any]]:
        """A row for every two layers."""
        return [
            {"layer": i, "layer_2": j, **cell}
            for i, row in enumerate(self.values)
            for j, cell in enumerate(row)
        ]


def cka(
    runs: Run | Sequence[Run],
    texts: PathLike | Iterable[str],
    *,
    unit: Unit = "words",
    limit: int = LIMIT,
    field: str = "text",
    encoding: str = "auto",
    reporter: Reporter | None = None,
) -> Cka:
    """Linear CKA of every layer of a run with every layer of another, or of its own, on the same texts.

    Args:
        runs: one or two, of any models.
        texts: the path of a file, a text a line, or .jsonl; or texts themselves. Read until there are `limit` examples.
        unit: "words", or "texts": the mean of a text's tokens.
        limit: examples at most; the last text is read to its end.
        field: the key of the text in .jsonl.
        encoding: of the file; "auto" to detect it.
        reporter: receives the progress.
    Raises:  InputError: too few words or texts, or no run or more than two.  ConfigError: no such unit or limit.
             CorpusError: no such file.  StorageError: no room for temporary files.

    Example:
        cka(["runs/bert", "runs/gpt"], "texts.txt").document()["cka"][0][0]      # {"value", "low", "high", …}
    """
    asked = several(runs)
    if not 1 <= len(asked) <= 2:
        raise InputError("one or two runs are compared", got=f"{len(asked)} runs")
    one_of("unit", unit, ("words", "texts"))
    at_least_one("limit", limit)
    file: Path | None = None
    if isinstance(texts, str | Path) or not isinstance(texts, Iterable):
        file = path_of(texts, "texts")
        config = TextConfig.of({"field": field, "encoding": encoding}, "cka")
        texts = read_lines(file, config, CleaningReport())
    texts = (one_text(text, "a text") for text in texts)
    sides = [opened(run) for run in asked]
    reporter = reporter or NullReporter()
    with saving(Path(tempfile.gettempdir())), tempfile.TemporaryDirectory(prefix="polyseme-cka-") as folder:
        stores = [_Vectors(Path(folder) / str(number), loaded) for number, loaded in enumerate(sides)]
        counted = _read(sides, stores, texts, unit, limit, reporter)
        if sum(counted.per_text) < _LEAST:
            raise InputError(
                f"too few {unit} to compare",
                got=f"{sum(counted.per_text)} {unit} that every run reads and knows",
                expected=f"at least {_LEAST}, and better thousands",
                where=file,
            )
        borders = _borders(counted.per_text)
        layers = [store.finished(borders) for store in stores]
        values = _values(layers, reporter)
    return Cka(
        runs=tuple(
            {
                "run": replace_surrogates(str(loaded.run.path)),
                "model": str(loaded.recipe.architecture),
                "layers": len(layers_of_run),
            }
            for loaded, layers_of_run in zip(sides, layers, strict=True)
        ),
        unit=unit,
        file=None if file is None else str(file),
        texts=sum(n > 0 for n in counted.per_text),
        units=sum(counted.per_text),
        blocks=len(borders) - 1,
        left_out={"not_read": counted.not_read, "unknown": counted.unknown},
        values=values,
    )


def _values(layers: Sequence[Sequence[Any]], reporter: Reporter) -> list[list[dict[str, Any]]]:
    """CKA of every two layers, a row a layer of the first."""
    with_itself = [[dependence(layer, layer) for layer in side] for side in layers]
    rows, columns, one_run = layers[0], layers[-1], len(layers) == 1
    total = len(rows) * len(columns)
    values: list[list[dict[str, Any]]] = []
    for i, x in enumerate(rows):
        values.append([])
        for j, y in enumerate(columns):
            reporter.stage("comparing layers", i * len(columns) + j, total)
            if one_run and j < i:
                values[i].append(dict(values[j][i]))
                continue
            between: Dependence = with_itself[0][i] if one_run and i == j else dependence(x, y)
            values[i].append(alignment(between, with_itself[0][i], with_itself[-1][j]))
    return values


@dataclass
class _Counted:
    """The number of examples of every text, and of the words that were left out."""

    per_text: list[int] = field(default_factory=list)
    not_read: int = 0
    unknown: int = 0


def _read(
    sides: Sequence[Loaded],
    stores: Sequence[_Vectors],
    texts: Iterable[str],
    unit: Unit,
    limit: int,
    reporter: Reporter,
) -> _Counted:
    counted, n_units = _Counted(), 0
    for window in _windows(texts):
        if n_units >= limit:
            break
        encoded_by_run = [_encoded(loaded, window) for loaded in sides]
        for text, *encoded in zip(window, *encoded_by_run, strict=True):
            if n_units >= limit:
                break
            chosen = _units(text, encoded, sides, unit, counted)
            n = chosen[0].shape[0] if chosen else 0
            for store, weights, read in zip(stores, chosen, encoded, strict=False):
                store.add(weights, read)
            counted.per_text.append(n)
            n_units += n
        reporter.stage("reading", min(n_units, limit), limit, f"{n_units:,} {unit}")
    return counted


def _windows(texts: Iterable[str]) -> Iterator[list[str]]:
    window: list[str] = []
    for text in texts:
        if text.strip():
            window.append(text)
        if len(window) == _TEXTS_AT_ONCE:
            yield window
            window = []
    if window:
        yield window


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """A text as a run reads it.  Shapes:  ids: (T,).  offsets: (T, 2).  layers: (L, T, d), None for sparse vectors"""

    ids: IntArray
    offsets: IntArray
    layers: Float32Array | None


def _encoded(loaded: Loaded, texts: list[str]) -> list[_Read]:
    if hasattr(loaded.encoder, "active"):
        encodings = loaded.tokenizer.encode_batch(texts)
        return [
            _Read(np.asarray(t.ids, np.int64), np.asarray(t.offsets, np.int64).reshape(-1, 2), None)
            for t in encodings
        ]
    return [_Read(encoded.ids, encoded.offsets, encoded.layers) for encoded in encode_cut(loaded, texts)[0]]


def _units(
    text: str, encoded: Sequence[_Read], sides: Sequence[Loaded], unit: Unit, counted: _Counted
) -> list[Any]:
    """For each run, the weight of every token in every example of a text; an empty list for a text without examples.

    Shapes:  each (U, T), sparse, rows adding up to one
    """
    from scipy.sparse import csr_matrix

    if unit == "texts":
        if any(not len(run_read.ids) for run_read in encoded):
            counted.not_read += 1
            return []
        return [csr_matrix(np.full((1, len(run_read.ids)), 1.0 / len(run_read.ids))) for run_read in encoded]
    words = spans_of_words(text)
    read, known = np.ones(len(words), np.bool_), np.ones(len(words), np.bool_)
    matrices = []
    for run_read, loaded in zip(encoded, sides, strict=True):
        first, end = touched(words, run_read.offsets)
        times = end - first
        token = np.repeat(np.arange(len(run_read.ids)), times)
        word = np.arange(len(token)) - np.repeat(np.cumsum(times) - times, times) + np.repeat(first, times)
        tokens = np.bincount(word, minlength=len(words))
        read &= (tokens > 0) & (words[:, 1] <= (run_read.offsets[-1, 1] if len(run_read.offsets) else 0))
        if not loaded.reads_letters:
            unknown = run_read.ids[token] == loaded.tokenizer.unk_id
            known &= np.bincount(word, unknown, minlength=len(words)) == 0
        share = 1.0 / np.maximum(tokens, 1)[word]
        matrices.append(csr_matrix((share, (word, token)), (len(words), len(run_read.ids))))
    counted.not_read += int((~read).sum())
    counted.unknown += int((read & ~known).sum())
    kept = np.flatnonzero(read & known)
    return [matrix[kept] for matrix in matrices] if len(kept) else []


def _borders(per_text: Sequence[int]) -> list[int]:
    """The borders of blocks of whole texts: at least BLOCKS blocks of nearly equal size."""
    ends = np.cumsum(per_text)
    total = int(ends[-1])
    wanted = max(BLOCKS, -(-total // BLOCK_ROWS))
    cuts = np.searchsorted(ends, np.arange(1, wanted) * total / wanted)
    return sorted({0, *ends[cuts].tolist(), total})


class _Vectors:
    """The vectors of examples, layer by layer: files of float32, or one sparse matrix in memory.

    Args:
        folder: where the files go.
        loaded: whose vectors.
    """

    def __init__(self, folder: Path, loaded: Loaded) -> None:
        self._folder, self._loaded = folder, loaded
        self._width = int(loaded.encoder.config.hidden_size)
        self._sparse = hasattr(loaded.encoder, "active")
        self._parts: list[Any] = []
        self._sums: Float64Array | None = None
        self._n = 0
        folder.mkdir()

    def add(self, weights: Any, read: _Read) -> None:
        """Keep the examples of a text.  Shapes:  weights: (U, T)"""
        self._n += weights.shape[0]
        if read.layers is None:
            self._parts.append(weights @ self._active(read.ids))
            return
        if self._sums is None:
            self._sums = np.zeros((len(read.layers), self._width))
        for number, layer in enumerate(read.layers):
            vectors = np.asarray(weights @ layer, np.float32)  # (U, d)
            self._sums[number] += vectors.sum(0, dtype=np.float64)
            with (self._folder / f"{number}").open("ab") as file:
                file.write(vectors.tobytes())

    def _active(self, ids: IntArray) -> Any:
        """The sparse vectors of tokens.  Shapes:  (T,) -> (T, hidden_size)"""
        from scipy.sparse import csr_matrix

        encoder = cast(SparseEncoder, self._loaded.encoder)
        rows, columns = (part.numpy() for part in encoder.active(torch.from_numpy(ids)))
        return csr_matrix((np.ones(len(rows)), (rows, columns)), (len(ids), self._width))

    def finished(self, borders: Sequence[int]) -> list[Any]:
        """The blocks of every layer, for `dependence`."""
        if self._sparse:
            from scipy.sparse import vstack

            whole = vstack(self._parts, "csr")
            whole = whole[:, np.unique(whole.indices)]  # columns without any entry change nothing
            return [[whole[a:b] for a, b in pairwise(borders)]]
        assert self._sums is not None
        shape = (self._n, self._width)
        return [
            _Blocks(
                np.memmap(self._folder / f"{number}", np.float32, "r", shape=shape), total / self._n, borders
            )
            for number, total in enumerate(self._sums)
        ]


@dataclass(frozen=True, eq=False)
class _Blocks(Sequence[Any]):
    """Blocks of a file of vectors, centred to mean 0; each is read when it is asked for."""

    vectors: Float32Array
    mean: Float64Array
    borders: Sequence[int]

    def __len__(self) -> int:
        return len(self.borders) - 1

    def __getitem__(self, number: Any) -> Any:
        if not 0 <= number < len(self):
            raise IndexError(number)
        return self.vectors[self.borders[number] : self.borders[number + 1]] - self.mean


KEPT_NUMBERS = 2**26
"""The largest number of values of block products that are kept (512 MB); beyond, products are computed twice."""


class Dependence(NamedTuple):
    """HSIC of two representations: of all blocks together, and with each block left out.

    Shapes:  plain, debiased: (1 + B,), all blocks first.  n: (1 + B,) examples
    """

    plain: Float64Array
    debiased: Float64Array
    n: Float64Array


class _Sums(NamedTuple):
    """The sums over examples besides Xᵀ Y; see the head of this file."""

    n: int
    s: Float64Array
    t: Float64Array
    p: float
    q: float
    pq: float
    xq: Float64Array
    yp: Float64Array


def dependence(x: Sequence[Any], y: Sequence[Any]) -> Dependence:
    """HSIC of two representations, from blocks of examples.

    Args:
        x, y: blocks of the same examples, arrays or scipy CSR matrices; a block of arrays is turned into float64 when
            its turn comes. Columns of arrays should have a mean of about 0, or digits are lost.
    Shapes:  B blocks of (n_b, d) and (n_b, e)
    """
    sums = [_sums(a, b) for a, b in zip(x, y, strict=True)]
    n, p, q, pq = (
        np.array([getattr(block, name) for block in sums], np.float64) for name in ("n", "p", "q", "pq")
    )
    s, t, xq, yp = (np.stack([getattr(block, name) for block in sums]) for name in ("s", "t", "xq", "yp"))
    size = x[0].shape[1] * y[0].shape[1]
    kept: list[Any] | None = list(_products(x, y)) if size * len(x) <= KEPT_NUMBERS else None
    whole: Any = 0.0
    for product in kept if kept is not None else _products(x, y):
        whole = whole + product
    without = _leave_one_out
    s, t, xq, yp = without(s), without(t), without(xq), without(yp)  # (1 + B, d) or (1 + B, e)
    n, p, q, pq = without(n), without(p), without(q), without(pq)  # (1 + B,)
    squares, through = np.empty(len(n)), np.empty(len(n))
    squares[0] = _inner(whole, whole)
    through[0] = s[0] @ (whole @ t[0])
    for block, product in enumerate(kept if kept is not None else _products(x, y), 1):
        squares[block] = squares[0] - 2 * _inner(whole, product) + _inner(product, product)
        through[block] = s[block] @ (whole @ t[block]) - s[block] @ (product @ t[block])
    ss, tt = (s * s).sum(1), (t * t).sum(1)
    trace = squares - pq
    product_of_sums = (ss - p) * (tt - q)
    across = through - (s * xq).sum(1) - (t * yp).sum(1) + pq
    with np.errstate(divide="ignore", invalid="ignore"):  # nothing is left where the only block is left out
        plain = squares - 2 * through / n + ss * tt / n**2
        debiased = (trace + product_of_sums / ((n - 1) * (n - 2)) - 2 * across / (n - 2)) / (n * (n - 3))
    return Dependence(plain, np.where(n > 3, debiased, np.nan), n)


def alignment(xy: Dependence, xx: Dependence, yy: Dependence) -> dict[str, Any]:
    """CKA of two representations from their HSIC and that of each with itself.

    Returns {"value", "low", "high", "n", "plain"}: the debiased figure with its 95 % interval (Student's, from the
    jackknife over blocks, in [-1, 1]; None where there is one block), and the plain figure. The debiased value is None
    if a representation varies no more than by chance, so that there is nothing to compare.
    """
    plain = _cka(xy.plain, xx.plain, yy.plain)
    debiased = _cka(xy.debiased, xx.debiased, yy.debiased)
    n = int(xy.n[0])
    interval = jackknife_interval(debiased, xy.n)
    return measured(float(debiased[0]), interval, n) | {
        "plain": float(plain[0]) if math.isfinite(plain[0]) else None
    }


def _cka(xy: Float64Array, xx: Float64Array, yy: Float64Array) -> Float64Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        below = np.sqrt(np.where((xx > 0) & (yy > 0), xx * yy, np.nan))
        return np.asarray(np.clip(xy / below, -1.0, 1.0))


def _products(x: Sequence[Any], y: Sequence[Any]) -> Iterator[Any]:
    """Xᵀ Y of every block, dense unless both are sparse.  Shapes: each (d, e)"""
    for a, b in zip(x, y, strict=True):
        yield _wide(a).T @ _wide(b)


def _sums(x: Any, y: Any) -> _Sums:
    x, y = _wide(x), _wide(y)
    p, q = _lengths(x), _lengths(y)
    return _Sums(
        x.shape[0],
        _total(x, np.ones_like(p)),
        _total(y, np.ones_like(p)),
        float(p.sum()),
        float(q.sum()),
        float(p @ q),
        _total(x, q),
        _total(y, p),
    )


def _wide(block: Any) -> Any:
    return block.astype(np.float64) if hasattr(block, "multiply") else np.asarray(block, np.float64)


def _lengths(x: Any) -> Float64Array:
    """Squared lengths of rows.  Shapes: (n, d) -> (n,)"""
    if hasattr(x, "multiply"):
        return np.asarray(x.multiply(x).sum(axis=1), np.float64).reshape(-1)
    return np.asarray(np.einsum("nd,nd->n", x, x))


def _total(x: Any, weight: Float64Array) -> Float64Array:
    """Σ weight_i x_i.  Shapes: (n, d), (n,) -> (d,)"""
    return np.asarray(x.T @ weight, np.float64).reshape(-1)


def _inner(a: Any, b: Any) -> float:
    """Σ a_ij b_ij."""
    if hasattr(a, "multiply"):
        return float(a.multiply(b).sum())
    return float(np.vdot(a, b))


def _leave_one_out(parts: Float64Array) -> Float64Array:
    """The sum of all parts, then without each.  Shapes: (B, …) -> (1 + B, …)"""
    whole = parts.sum(0)
    return np.concatenate([whole[None], whole - parts])

"""Linear CKA from sums over stretches of examples: how alike two representations of the same things are.

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
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from polyseme.study.stats import jackknife_interval
from polyseme.tasks.metrics.intervals import measured
from polyseme.tasks.metrics.measure import FloatArray

__all__ = ["Dependence", "alignment", "dependence"]

KEPT_NUMBERS = 2**26
"""Numbers of the blocks' products that are kept (512 MB); of more, each is computed twice."""


class Dependence(NamedTuple):
    """HSIC of two representations: of all blocks together, and with each block left out.

    Shapes:  plain, debiased: (1 + B,), all blocks first.  n: (1 + B,) examples
    """

    plain: FloatArray
    debiased: FloatArray
    n: FloatArray


class _Sums(NamedTuple):
    """What is summed over examples beside Xᵀ Y; see the head of this file."""

    n: int
    s: FloatArray
    t: FloatArray
    p: float
    q: float
    pq: float
    xq: FloatArray
    yp: FloatArray


def dependence(x: Sequence[Any], y: Sequence[Any]) -> Dependence:
    """HSIC of two representations, from blocks of examples.

    Args:
        x, y: blocks of the same examples, arrays or scipy CSR matrices; a block of arrays is turned into float64 when
            its turn comes. Columns of arrays should have a mean of about 0, or digits are lost.
    Shapes:  B blocks of (n_b, d) and (n_b, e)
    """
    sums = [_sums(a, b) for a, b in zip(x, y, strict=True)]
    n, p, q, pq = (
        np.array([getattr(one, name) for one in sums], np.float64) for name in ("n", "p", "q", "pq")
    )
    s, t, xq, yp = (np.stack([getattr(one, name) for one in sums]) for name in ("s", "t", "xq", "yp"))
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
    both = (ss - p) * (tt - q)
    across = through - (s * xq).sum(1) - (t * yp).sum(1) + pq
    with np.errstate(divide="ignore", invalid="ignore"):  # nothing is left where the only block is left out
        plain = squares - 2 * through / n + ss * tt / n**2
        debiased = (trace + both / ((n - 1) * (n - 2)) - 2 * across / (n - 2)) / (n * (n - 3))
    return Dependence(plain, np.where(n > 3, debiased, np.nan), n)


def alignment(xy: Dependence, xx: Dependence, yy: Dependence) -> dict[str, Any]:
    """CKA of two representations from their HSIC and that of each with itself.

    Returns {"value", "low", "high", "n", "plain"}: the debiased figure with its 95 % interval (Student's, from the
    jackknife over blocks, in [-1, 1]; None where there is one block), and the plain figure. The debiased value is None
    where a representation does not vary more than by chance, so that there is nothing to be like.
    """
    plain = _cka(xy.plain, xx.plain, yy.plain)
    debiased = _cka(xy.debiased, xx.debiased, yy.debiased)
    n = int(xy.n[0])
    interval = jackknife_interval(debiased, xy.n)
    return measured(float(debiased[0]), interval, n) | {
        "plain": float(plain[0]) if math.isfinite(plain[0]) else None
    }


def _cka(xy: FloatArray, xx: FloatArray, yy: FloatArray) -> FloatArray:
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


def _lengths(x: Any) -> FloatArray:
    """Squared lengths of rows.  Shapes: (n, d) -> (n,)"""
    if hasattr(x, "multiply"):
        return np.asarray(x.multiply(x).sum(axis=1), np.float64).reshape(-1)
    return np.asarray(np.einsum("nd,nd->n", x, x))


def _total(x: Any, weight: FloatArray) -> FloatArray:
    """Σ weight_i x_i.  Shapes: (n, d), (n,) -> (d,)"""
    return np.asarray(x.T @ weight, np.float64).reshape(-1)


def _inner(a: Any, b: Any) -> float:
    """Σ a_ij b_ij."""
    if hasattr(a, "multiply"):
        return float(a.multiply(b).sum())
    return float(np.vdot(a, b))


def _leave_one_out(parts: FloatArray) -> FloatArray:
    """The sum of all parts, then without each.  Shapes: (B, …) -> (1 + B, …)"""
    whole = parts.sum(0)
    return np.concatenate([whole[None], whole - parts])

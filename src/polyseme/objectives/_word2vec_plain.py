"""One update of word2vec in its plain form: what the compiled kernels are tested against."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.integer]


def update(
    inputs: FloatArray,
    outputs: FloatArray,
    contexts: IntArray,
    targets: IntArray,
    labels: IntArray,
    rate: float,
    *,
    mean: bool = False,
    divide: bool = False,
) -> float:
    """Learn from one example, in place; returns its loss in nats.

        h = V[contexts], or their mean
        loss = -Σ log σ(±U h);   G = labels - σ(U h)
        U[targets] += rate Gᵀ h;  V[contexts] += rate G U   (mean: to each context, divided by C if `divide`)

    Args:
        inputs, outputs: the tables V and U.
        contexts: rows of `inputs`; the same word may stand there twice, and learns twice.
        targets, labels: rows of `outputs` and whether they are to be predicted.
        mean: CBOW; else skip-gram.
    Shapes:  inputs: (V, d), outputs: (V, d), contexts: (C,), targets, labels: (J,)
    """
    v, u = inputs[contexts], outputs[targets]  # (C, d), (J, d)
    h = v.mean(0, keepdims=True) if mean else v
    logits = h @ u.T  # (C or 1, J)
    gradient = labels - 1.0 / (1.0 + np.exp(-logits))
    change = gradient @ u  # (C or 1, d)
    if mean:
        change = np.broadcast_to(change / len(contexts) if divide else change, v.shape)
    np.add.at(outputs, targets, (rate * gradient.T @ h).astype(outputs.dtype))
    np.add.at(inputs, contexts, (rate * change).astype(inputs.dtype))
    return float(np.logaddexp(0.0, np.where(labels > 0, -logits, logits)).sum())

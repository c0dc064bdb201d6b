"""Starting embeddings from co-occurrence counts, so that training does not have to discover them.

A masked-LM from random weights spends its first minutes on the plateau where it predicts word frequency: word
vectors and the attention that reads them must form at the same time. Counting which tokens stand one and two
places before and after each other takes seconds and gives the vectors right away:

    M_o[w, c] = how often c stands at offset o of w,   o in {-1, +1, -2, +2}
    P_o[w, c] = max(0, log(M_o[w, c] / (#w · p_α(c)))) · #w / (#w + 20),   p_α(c) ∝ #c^0.75
    [P_-1 P_+1 P_-2 P_+2] ≈ U S Vᵀ,   E = U √S, centred, rows scaled to the model's usual norm

Source:  Levy and Goldberg (2014): word2vec factorises such a matrix; smoothing and √S: Levy, Goldberg and Dagan
(2015), section 3. Using it as the start of a masked-LM is ours; figures in docs/LOG.md.

Starting a decoder as a bigram model, so that training does not have to discover which token follows which.

From random weights a decoder spends its first minutes on that. Counting takes seconds. The embeddings start from
co-occurrence counts with one coordinate that is the same for all; then, with x_w the last-layer state
of token w alone, the output layer's rows are the ridge regression of a smoothed log bigram probability,

    W x_w ≈ y_w,   y_wc = log p(c) + log(1 + #(w, c) / (κ p(c))),   each w weighted by #w

which is log p(c | w) with κ imagined occurrences spread like p, up to a constant of w that the softmax cancels. As few
c have a term beyond log p(c), the normal equations cost about as much as one pass over the distinct bigrams.

Source:  the smoothing is MacKay and Peto (1995), section 2. Using it as the start of a decoder is ours; figures in
docs/LOG.md. Needs an output layer of its own: tie_word_embeddings = false.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from polyseme.core.protocols import Encoder
from polyseme.core.types import Batch
from polyseme.data.store import TokenStore
from polyseme.errors import ConfigError

OFFSETS = (-1, 1, -2, 2)
MOST_TOKENS = 8_000_000
MOST_CELLS = 16_000_000
SHRINKAGE, SMOOTHING, PASSES, SPARE = 20.0, 0.75, 2, 16


def cooccurrence_embeddings(store: TokenStore, width: int, seed: int) -> Tensor:
    """Word vectors of unit length from a store's counts; tokens that never occur get zeros.

    Args:
        store: the training split; where it has more than 8 million tokens, evenly spread stretches are read.
        width: size of a vector.
        seed: of the randomised factorisation.
    Shapes:  -> (vocab_size, width)
    """
    tokens = some_tokens(store)
    vocabulary = store.vocab_size
    contexts = torch.bincount(tokens, minlength=vocabulary).argsort(descending=True)
    contexts = contexts[: max(1, min(vocabulary, 2048, MOST_CELLS // vocabulary))]
    column = torch.full((vocabulary,), -1)
    column[contexts] = torch.arange(len(contexts))
    blocks = [_positive_information(tokens, column, offset, vocabulary, len(contexts)) for offset in OFFSETS]
    matrix = torch.cat(blocks, dim=1)
    rank = min(width, *matrix.shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        u, s, _ = torch.svd_lowrank(matrix, q=min(rank + SPARE, *matrix.shape), niter=PASSES)
    vectors = torch.zeros(vocabulary, width)
    vectors[:, :rank] = (u * s.sqrt())[:, :rank]
    with_counts = matrix.abs().sum(1) > 0
    vectors[with_counts] -= vectors[with_counts].mean(0)
    norms = vectors.norm(dim=1, keepdim=True)
    vectors /= norms + 0.1 * norms[with_counts].mean().clamp(min=1e-12)
    vectors[~with_counts] = 0.0
    return vectors


def start_embedding(table: Tensor, vectors: Tensor, deviation: float) -> None:
    """Write unit vectors into an embedding table at the scale of its random initialisation.

    Rows without a vector keep their random start.

    Shapes:  table, vectors: (vocab_size, width)
    """
    known = vectors.abs().sum(1) > 0
    scale = deviation * table.size(1) ** 0.5
    with torch.no_grad():
        table[known] = vectors[known].to(table) * scale


def some_tokens(store: TokenStore) -> Tensor:
    """All tokens of a store, or a sample that is large enough for counting.  Shapes: -> (N,)"""
    return torch.from_numpy(_stretches(store).astype(np.int64))


def _stretches(store: TokenStore) -> npt.NDArray[np.integer]:
    """The same as stretches from all over the store."""
    if store.n_tokens <= MOST_TOKENS:
        return np.asarray(store.tokens)
    pieces = 64
    size = MOST_TOKENS // pieces
    starts = np.linspace(0, store.n_tokens - size, pieces).astype(np.int64)
    return np.concatenate([store.tokens[start : start + size] for start in starts])


def _positive_information(tokens: Tensor, column: Tensor, offset: int, rows: int, columns: int) -> Tensor:
    """P_o of the head of this file.  Shapes: tokens: (N,), column: (V,) -> (V, C)"""
    shift = abs(offset)
    word, context = (tokens[:-shift], tokens[shift:]) if offset > 0 else (tokens[shift:], tokens[:-shift])
    place = column[context]
    inside = place >= 0
    cells = word[inside] * columns + place[inside]
    counts = torch.bincount(cells, minlength=rows * columns).view(rows, columns)
    word_total = counts.sum(1, keepdim=True).float()
    smoothed = counts.sum(0, keepdim=True).float() ** SMOOTHING
    smoothed /= smoothed.sum()
    information = counts.float().div_(word_total.clamp(min=1.0)).div_(smoothed.clamp(min=1e-12))
    information.log_().clamp_(min=0.0)  # log 0 = -inf becomes 0
    return information.mul_(word_total / (word_total + SHRINKAGE))


KAPPA, RIDGE, ROWS = 300.0, 1e-3, 2048
SPREAD = 10.0
"""Factor by which embeddings start larger than random ones, so that fresh blocks hardly disturb the bigrams."""


def start_as_bigram_model(encoder: Encoder, head: nn.Module, store: TokenStore, deviation: float) -> None:
    """Write the constant coordinate into the embedding table, enlarge it, and fit the output layer.

    Args:
        encoder: satisfies `Encoder`; its embeddings have been started.
        head: predicts the next token by a `weight` of (vocab_size, hidden_size) that is not the embedding table.
        store: the training split.
        deviation: of the embeddings' random start.
    Raises:  ConfigError: the output layer is the embedding table.
    """
    table, output = encoder.token_embedding().weight, getattr(head, "weight", None)
    if not isinstance(output, Tensor) or output is table:
        raise ConfigError(
            "the start as a bigram model needs an output layer of its own",
            got="one that is tied to the embeddings",
            fix="--set tie_word_embeddings=false where the model has it, or --set train.embedding_start=cooccurrence",
        )
    with torch.no_grad():
        table[:, 0] = deviation * table.size(1) ** 0.5
        table *= SPREAD
        states = _states_alone(encoder, store.vocab_size)
        output.copy_(bigram_output(states.cpu(), some_tokens(store)))


def bigram_output(states: Tensor, tokens: Tensor) -> Tensor:
    """The output layer under which each token's state predicts what follows it.

    Shapes:  states: (V, d).  tokens: (N,) -> (V, d)
    """
    size, width = states.shape
    counts = torch.bincount(tokens, minlength=size).to(states)
    p = (counts + 1.0) / (counts + 1.0).sum()
    pairs, times = torch.unique(tokens[:-1] * size + tokens[1:], return_counts=True)
    word, following = pairs // size, pairs % size
    surplus = torch.log1p(times / (KAPPA * p[following])) * counts[word]
    # Σ_w #w surplus_wc x_w, a few hundred thousand pairs at a time
    moved = torch.zeros(size, width)
    for part in torch.split(torch.arange(len(pairs)), 1 << 18):
        moved.index_add_(0, following[part], states[word[part]] * surplus[part, None])
    moved += torch.outer(p.log(), counts @ states)
    gram = states.T @ (counts[:, None] * states)
    gram += RIDGE * gram.diagonal().mean() * torch.eye(width)
    solved: Tensor = torch.linalg.solve(gram, moved.T).T
    return solved


@torch.no_grad()
def _states_alone(encoder: Encoder, size: int) -> Tensor:
    """The last-layer state of every token as a text of its own: (V, d)"""
    encoder.eval()
    parts = []
    device = encoder.token_embedding().weight.device
    for ids in torch.split(torch.arange(size, device=device)[:, None], ROWS):
        zero = torch.zeros_like(ids)
        batch = Batch(ids, zero + 1, zero, zero, torch.arange(len(ids), device=ids.device), packed=False)
        parts.append(encoder.encode(batch).last[:, 0])
    encoder.train()
    return torch.cat(parts).float()

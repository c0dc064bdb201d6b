"""Starting a decoder as a bigram model, so that training does not have to discover which token follows which.

From random weights a decoder spends its first minutes on that. Counting takes seconds. The embeddings start from
co-occurrence counts (cooccurrence.py) with one coordinate that is the same for all; then, with x_w the last-layer state
of token w alone, the output layer's rows are the ridge regression of a smoothed log bigram probability,

    W x_w ≈ y_w,   y_wc = log p(c) + log(1 + #(w, c) / (κ p(c))),   each w weighted by #w

which is log p(c | w) with κ imagined occurrences spread like p, up to a constant of w that the softmax cancels. As few
c have a term beyond log p(c), the normal equations cost about as much as one pass over the distinct bigrams.

Source:  the smoothing is MacKay and Peto (1995), section 2. Using it as the start of a decoder is ours; figures in
docs/LOG.md. Needs an output layer of its own: tie_word_embeddings = false.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from polyseme.core.protocols import Encoder
from polyseme.core.types import Batch
from polyseme.data.store import TokenStore
from polyseme.errors import ConfigError
from polyseme.train import distributed
from polyseme.train.cooccurrence import some_tokens

KAPPA, RIDGE, ROWS = 300.0, 1e-3, 2048
SPREAD = 10.0
"""How much larger embeddings start than at random: what fresh blocks add to them then hardly disturbs the bigrams."""


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
        distributed.broadcast([table, output])


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

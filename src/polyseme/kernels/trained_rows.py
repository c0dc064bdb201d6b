"""An embedding table of which only the rows that can occur are trained, for small data and large vocabularies.

    table (V, d)  =  rows that occur (n, d): a parameter  +  the others (V - n, d): kept as they are

AdamW does nothing to a row that has never had a gradient but let it decay: its moments are 0. So the other rows need no
gradient, no moments and no pass of the optimiser but that one product, and the result is the same as with the whole
table. A task's labelled text has a few thousand of a vocabulary's thirty thousand entries, and the table is half of a
small encoder: docs/LOG.md has what it is worth.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polyseme.core.protocols import Encoder

__all__ = ["TrainedRows", "train_rows"]


class TrainedRows(nn.Module):
    """In place of an embedding table: the same vectors, of which some rows are trained.

        E(i) = weight[place[i]] where i can occur in training, else others[place[i] - n]

    Args:
        table: its weights are taken over.
        used: which rows are trained: every id that training looks up.
    Attributes:
        weight: the rows that are trained.
        others: the rows that are not; the optimiser lets them decay.
    Shapes:  used: (n,) -> weight: (n, d), others: (V - n, d); ids (…) -> (…, d)
    """

    def __init__(self, table: nn.Embedding, used: Tensor) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = table.num_embeddings, table.embedding_dim
        full = table.weight.detach()
        inside = torch.zeros(self.num_embeddings, dtype=torch.bool, device=full.device)
        inside[used.to(full.device)] = True
        order = torch.cat([inside.nonzero()[:, 0], (~inside).nonzero()[:, 0]])
        n = int(inside.sum())
        self.weight = nn.Parameter(full[order[:n]])
        self.others: Tensor
        self.order: Tensor
        self.place: Tensor
        self.register_buffer("others", full[order[n:]].contiguous(), persistent=False)
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("place", torch.argsort(order), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        place = self.place[ids]
        n = len(self.weight)
        if self.training or bool((place < n).all()):
            return F.embedding(place, self.weight)
        outside = place >= n
        trained = F.embedding(place.clamp_max(n - 1), self.weight)
        return torch.where(outside[..., None], F.embedding((place - n).clamp_min(0), self.others), trained)

    def whole(self) -> Tensor:
        """A copy of the whole table.  Shapes: -> (V, d)"""
        full = self.others.new_empty(self.num_embeddings, self.embedding_dim)
        full[self.order] = torch.cat([self.weight.detach(), self.others])
        return full

    @torch.no_grad()
    def put(self, full: Tensor) -> None:
        """Take over a whole table.  Shapes: (V, d)"""
        rows = full.to(self.others.device)[self.order]
        self.weight.copy_(rows[: len(self.weight)])
        self.others.copy_(rows[len(self.weight) :])


def train_rows(encoder: Encoder, used: Tensor) -> bool:
    """Put `TrainedRows` in place of an encoder's table of input embeddings.

    Not where the table is no plain one, is not trained, or ids beyond it are spelled by letters.

    Args:
        encoder: satisfies `Encoder`; nothing but looking up may use its table.
        used: every id that training looks up; others are refused there by an index error.
    Returns whether it was done.
    Shapes:  used: (n,)
    """
    table = encoder.token_embedding()
    if type(table) is not nn.Embedding or not table.weight.requires_grad or len(used) == 0:
        return False
    if getattr(encoder, "open_vocabulary", False) or len(used) >= table.num_embeddings:
        return False
    for module in encoder.modules():
        for name, child in module.named_children():
            if child is table:
                setattr(module, name, TrainedRows(table, used).train(module.training))
                return True
    return False

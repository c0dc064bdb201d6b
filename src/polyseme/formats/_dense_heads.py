"""Heads of tasks as functions of whole rows, an example each: what ONNX can hold, equal to the heads' own `forward`.

A head reads a list of places in a batch; here a place is a row and a column, masks say which columns count, and no step
depends on the values in the tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from polyseme.core.types import Batch, Encoding
from polyseme.data.wrapping import Wrapper
from polyseme.errors import ConfigError
from polyseme.formats.runs import Opened
from polyseme.tasks._texts import TextHead
from polyseme.tasks.qa import QAHead
from polyseme.tasks.tag import TagHead

__all__ = ["check_exportable", "dense_logits", "is_of_task", "plain_logits", "reads_types", "separators_of"]


def is_of_task(head: nn.Module) -> bool:
    """Whether a head was learned from labels."""
    return isinstance(head, TextHead | TagHead | QAHead)


def reads_types(heads: nn.ModuleDict) -> bool:
    """Whether a head itself asks which of two texts a token belongs to."""
    return any(getattr(head, "pool", None) == "pair" for head in heads.values())


def separators_of(opened: Opened) -> tuple[int, ...]:
    """Ids that stand around and between texts."""
    wrapper = Wrapper.of(opened.tokenizer)
    return tuple({*wrapper.prefix, *wrapper.middle, *wrapper.suffix})


def check_exportable(opened: Opened) -> None:
    """Raises:  ConfigError: a head has an LSTM, whose steps depend on where examples begin."""
    for name, head in opened.heads.items():
        if is_of_task(head) and head.features.lstm is not None:  # type: ignore[union-attr]
            raise ConfigError(
                f"a head for {name} with an LSTM is not exported",
                where=opened.run.path,
                fix=f"polyseme predict {opened.run.path} FILE; or finetune with --set {name}.lstm=0",
            )


def dense_logits(
    head: Any, encoding: Encoding, batch: Batch, separators: Sequence[int], static: bool
) -> Tensor:
    """What a head says of every row, or of every token.

    Args:
        head: of any task, without an LSTM.
        encoding: all layers where the head mixes them, else the last.
        batch: an example a row, filled up at the end; `segment` is 0 there.
        separators: ids that are no part of the texts.
        static: the encoder sees no context, so that separators say nothing.
    Shapes:  -> (B, outputs) of a text, (B, T, outputs) of tokens
    """
    mix = head.features.mix
    h = encoding.last if mix is None else mix(encoding.layers)  # (B, T, d)
    if not isinstance(head, TextHead):
        h = h if head.transform is None else head.transform(h)
        h = h if head.hidden is None else torch.relu(head.hidden(h))
        return head.classifier(h)  # type: ignore[no-any-return]
    s = _joined(head, h, batch, separators, static)
    if head._pooler[0] is not None:
        s = head._pooler[0](s)
    if head.hidden is not None:
        s = torch.relu(head.hidden(s))
    return head.classifier(s)  # type: ignore[misc,no-any-return]


def _joined(head: TextHead, h: Tensor, batch: Batch, separators: Sequence[int], static: bool) -> Tensor:
    """One vector a row, before the pooler.  Shapes: (B, T, d) -> (B, d) or (B, 4 d)"""
    counted = batch.segment > 0
    if static or head.pool == "pair":
        for id in separators:
            counted = counted & (batch.ids != id)
    if head.pool == "pair":
        u = _mean(h, counted & (batch.type == 0))
        v = _mean(h, counted & (batch.type == 1))
        return torch.cat([u, v, (u - v).abs(), u * v], dim=1)
    if head.pool == "cls":
        s = h[:, 0]
    elif head.pool == "last":
        last = (batch.segment.sum(1) - 1).clamp(min=0)
        s = h.gather(1, last[:, None, None].expand(-1, 1, h.size(-1)))[:, 0]
    elif head.pool == "max":
        s = h.masked_fill(~counted[..., None], -torch.inf).amax(1)
    else:
        s = _mean(h, counted)
    return s if head.transform is None else head.transform(s)


def _mean(h: Tensor, counted: Tensor) -> Tensor:
    """The mean over the columns that count; zeros where none does.  Shapes: (B, T, d), (B, T) -> (B, d)"""
    share = counted.to(h.dtype)
    return torch.einsum("btd,bt->bd", h, share) / share.sum(1, keepdim=True).clamp(min=1.0)


def plain_logits(
    head: Any, encoding: Encoding, batch: Batch, separators: Sequence[int], static: bool
) -> Tensor:
    """The same by the head itself, to compare with; zeros at padding.  Shapes: as `dense_logits`"""
    real = batch.segment > 0
    rows, columns = torch.arange(real.size(0)), torch.arange(real.size(1))
    if isinstance(head, TextHead):
        if head.pool == "cls":
            real = real & (columns == 0)
        elif head.pool == "last":
            real = real & (columns == batch.segment.sum(1, keepdim=True) - 1)
        elif static or head.pool == "pair":
            real = real & ~torch.isin(batch.ids, torch.tensor(separators, dtype=torch.long))
    positions = (rows[:, None] * real.size(1) + columns)[real]
    found: Tensor = head(encoding, batch, positions)
    if isinstance(head, TextHead):
        return found
    result = found.new_zeros(*real.shape, found.size(-1))
    result[real] = found
    return result

"""The fast form of `decode` for one new token a row: what a model is made of, handed to compiled code.

For a decoder of the usual kind (pre-norm, causal attention over a key-value cache, one feed-forward part, gated or
not), which says so by `pre_norm_decoder = True`, `Step` computes what

    head.logits(encoder.decode(ids, cache))

computes, within float32's rounding, in the time that reading the weights takes. The weights are read where they lie:
nothing is copied or packed. kernels/step_kernels.py has the arithmetic.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from polyseme.core.arrays import IntArray
from polyseme.core.compiled import compiles
from polyseme.core.protocols import DecodingEncoder, TokenHead
from polyseme.core.sharing import Pace
from polyseme.kernels.int8 import Int8Embedding, Int8Linear, rounds_inputs
from polyseme.kernels.team import Team, usual_team

# see step_kernels: numbers of a cache line, counters at the head, and per layer
_LINE, _COUNTERS, _MEETINGS = 8, 2, 6

MOST_ROWS = 16
"""With more rows a step is bound by arithmetic, and torch's products are at least as good."""

_LATELY_S = 5.0


class BlockParts(NamedTuple):
    """Where the weights of a layer are.

    Args:
        attention_norm, feedforward_norm: LayerNorm, or RMSNorm (a weight and no bias).
        query_key_value: one linear layer; all query heads, then all key heads, then all value heads.
        attention_output, output: linear layers back to the stream.
        intermediate: the first feed-forward layer; where `gated`, its second half is multiplied on.
        query_norm, key_norm: RMS norms of single heads.
    """

    attention_norm: nn.Module
    query_key_value: nn.Module
    attention_output: nn.Module
    feedforward_norm: nn.Module
    intermediate: nn.Module
    output: nn.Module
    query_norm: nn.Module | None = None
    key_norm: nn.Module | None = None


class StepParts(NamedTuple):
    """What a pre-norm decoder is made of.

    Args:
        blocks: its layers, first to last.
        final_norm: before the output matrix.
        heads, shared: heads of queries, and of keys and values.
        head_size: size of a head.
        intermediate_size: of the feed-forward part.
        activation: a name of config.json.
        eps: what all norms add.
        gated: whether the feed-forward part is.
    """

    blocks: Sequence[BlockParts]
    final_norm: nn.Module
    heads: int
    shared: int
    head_size: int
    intermediate_size: int
    activation: str
    eps: float
    gated: bool = False


class PreNormDecoder(DecodingEncoder, Protocol):
    """A decoder of `pre_norm_decoder = True`, whose blocks have the form and the names that `parts_of` reads."""

    blocks: Any
    final_norm: nn.Module

    def embed(self, ids: Tensor, position: Tensor) -> tuple[Tensor, Any]:
        """What the first block reads, and cosines and sines where positions are rotary."""
        ...


class DecoderHead(TokenHead, Protocol):
    """A head of one matrix, no bias."""

    @property
    def matrix(self) -> nn.Module:
        """The module that holds it."""
        ...


def parts_of(encoder: PreNormDecoder) -> StepParts:
    """Where the weights of a decoder are, by the names that config.json and the blocks of models/ have for them."""
    c = encoder.config
    gated = hasattr(encoder.blocks[0], "input_and_gate")
    blocks = [
        BlockParts(
            attention_norm=block.attention_norm,
            query_key_value=block.query_key_value,
            attention_output=block.attention_output,
            feedforward_norm=block.feedforward_norm,
            intermediate=block.input_and_gate if gated else block.intermediate,
            output=block.output,
            query_norm=getattr(block, "query_norm", None),
            key_norm=getattr(block, "key_norm", None),
        )
        for block in encoder.blocks
    ]
    heads = c.num_attention_heads
    return StepParts(
        blocks, encoder.final_norm, heads, getattr(c, "num_key_value_heads", heads),
        blocks[0].attention_output.in_features // heads, c.intermediate_size, c.hidden_act, encoder.head_style.norm_eps,
        gated,
    )  # fmt: skip


class Cache(Protocol):
    """What a step asks of a key-value cache (layers/cache.py)."""

    capacity: int
    length: int
    start: Tensor | None

    def positions(self, n_new: int) -> Tensor:
        """Places of the next tokens in their own sequences.  Shapes: -> (R, n_new)"""
        ...

    def addresses(self) -> tuple[IntArray, IntArray]:
        """Where each layer's keys and values begin in memory."""
        ...

    def advance(self, n_new: int) -> None:
        """End a pass over so many new tokens."""
        ...


class Step:
    """Logits of the next token, one new token a row.

    Args:
        encoder: a decoder with `pre_norm_decoder` and `embed`; see `parts_of`.
        head: its causal_lm head.
        cache: of the rows that are continued, filled by `decode` so far; it is added to.
        team: the threads to start with; fewer while the cores are used by others, which changes no number.
    """

    _lately = 0, 0.0  # how many threads were best, and until when that counts: most texts are short

    def __init__(
        self, encoder: DecodingEncoder, head: TokenHead, cache: Cache, team: Team | None = None
    ) -> None:
        decoder, matrix = cast(PreNormDecoder, encoder), cast(DecoderHead, head).matrix
        self._encoder, self._cache = decoder, cache
        self._parts = parts_of(decoder)
        self._matrix, self._team = _weight(matrix), team or usual_team()
        self._pace = Pace(self._team.size, self._use, self._keep)
        threads, until = Step._lately
        if time.perf_counter() < until and threads < self._pace.most:
            self._pace.start_at(threads)
        self._like = self._matrix[:0].numpy().reshape(-1)
        self._whole = self._matrix.dtype == torch.int8 and rounds_inputs()
        self._kept: list[Tensor] = []  # the table holds addresses, which keep nothing alive
        self._table = np.array(
            [*map(self._block, self._parts.blocks), self._last(self._parts.final_norm, matrix)], np.int64
        )
        self._counters = np.zeros((_COUNTERS + _MEETINGS * len(self._parts.blocks) + 1, _LINE), np.int64)
        self._rows = 0

    @staticmethod
    def serves(encoder: DecodingEncoder, head: TokenHead) -> bool:
        """Whether it can take the place of `decode` and `logits`: on CPUs, with weights of one kind."""
        formed = getattr(encoder, "pre_norm_decoder", False) and hasattr(head, "matrix")
        if not formed or encoder.training or not compiles():
            return False
        weights = [_weight(cast(DecoderHead, head).matrix)]
        for block in parts_of(cast(PreNormDecoder, encoder)).blocks:
            linear = (block.query_key_value, block.attention_output, block.intermediate, block.output)
            weights += [_weight(module) for module in linear]
        vectors = [p for p in encoder.parameters() if p.ndim == 1]
        return (
            len({weight.dtype for weight in weights}) == 1
            and weights[0].dtype in (torch.float32, torch.int8)
            and all(p.dtype == torch.float32 for p in vectors)
            and all(p.device.type == "cpu" and p.is_contiguous() for p in [*weights, *vectors])
        )

    def logits(self, ids: Tensor) -> Tensor:
        """Read one more token in every row; gives the scores of the one after it.

        Shapes:  ids: (R,) -> (R, V) float32, which the next call overwrites
        """
        from polyseme.kernels import step_kernels

        cache, rows = self._cache, len(ids)
        h, angles = self._encoder.embed(ids[:, None], cache.positions(1))
        if rows != self._rows:
            self._set_aside(rows)
        shared, weights = self._shared, self._own
        shared[0][:rows] = h[:, 0].numpy()
        none = np.zeros((1, 0), np.float32)
        cos, sin = (none, none) if angles is None else (a.reshape(rows, -1).numpy() for a in angles)
        start = np.zeros(rows, np.int64) if cache.start is None else cache.start.numpy()
        self._table[:-1, -2], self._table[:-1, -1] = cache.addresses()
        self._sizes[-2:] = cache.capacity, cache.length
        self._counters[:] = 0
        counters, eps, threads = self._counters.ctypes.data, np.float32(self._parts.eps), self._team.size

        step: Any = step_kernels.step

        def work(member: int) -> None:
            step(
                self._like, self._table, self._sizes, eps, rows, counters, threads, *weights[member], *shared, cos, sin,
                start,
            )  # fmt: skip

        began = time.perf_counter()
        self._team.run(work, self._give_up)
        self._pace.step(1, time.perf_counter() - began)
        cache.advance(1)
        return self._out

    @property
    def threads(self) -> int:
        """How many threads take part when the cores are free."""
        return self._pace.most

    def _use(self, threads: int) -> None:
        self._team = usual_team(threads)

    @staticmethod
    def _keep(threads: int) -> None:
        Step._lately = threads, time.perf_counter() + _LATELY_S

    def _give_up(self) -> None:
        self._counters[1, 0] = 1

    def _set_aside(self, rows: int) -> None:
        """Room for what a step computes, and what does not change from step to step."""
        from polyseme.kernels._tiles import LANES
        from polyseme.kernels.step_kernels import ACTIVATIONS, GROUP

        p, (vocabulary, width) = self._parts, self._matrix.shape
        room = -(-rows // GROUP) * GROUP
        columns = (width, (p.heads + 2 * p.shared) * p.head_size, p.heads * p.head_size)
        wide, gates = p.intermediate_size, p.intermediate_size if p.gated else 0
        logits = np.empty((room, vocabulary), np.float32)
        self._shared = [np.zeros((room, n), np.float32) for n in (*columns, wide, gates, width)] + [logits]
        self._own = [
            (
                np.zeros((room, width), np.float32),
                np.zeros(p.head_size, np.float32),
                np.zeros(self._cache.capacity, np.float32),
                np.zeros((room, max(*columns, wide)), np.uint8) if self._whole else None,
                np.zeros(room, np.float32),
                np.zeros(room, np.int32),
                np.zeros(LANES, np.int32),
            )
            for _ in range(self._pace.most)
        ]
        self._out = torch.from_numpy(logits[:rows])
        sizes = (
            width,
            p.heads,
            p.shared,
            p.head_size,
            wide,
            ACTIVATIONS.index(p.activation),
            vocabulary,
            0,
            0,
        )
        self._sizes = np.array(sizes, np.int64)
        self._rows = rows

    def _block(self, block: BlockParts) -> list[int]:
        """A row of the kernel's table; keys and values come later."""
        inner = self._parts.intermediate_size
        return [
            *self._norm(block.attention_norm), *self._linear(block.query_key_value),
            self._norm(block.query_norm)[0], self._norm(block.key_norm)[0], *self._linear(block.attention_output),
            *self._norm(block.feedforward_norm), *self._linear(block.intermediate, 0, inner),
            *(self._linear(block.intermediate, inner, 2 * inner) if self._parts.gated else (0, 0, 0, 0)),
            *self._linear(block.output), 0, 0,
        ]  # fmt: skip

    def _last(self, norm: nn.Module, matrix: nn.Module) -> list[int]:
        from polyseme.kernels.step_kernels import FIELDS

        row = [*self._norm(norm), *self._linear(matrix)]
        return row + [0] * (len(FIELDS) - len(row))

    def _norm(self, norm: nn.Module | None) -> tuple[int, int]:
        if norm is None:
            return 0, 0
        return self._address(norm.weight), self._address(getattr(norm, "bias", None))

    def _linear(self, module: Any, first: int = 0, last: int | None = None) -> tuple[int, ...]:
        tensors = [_weight(module), *(getattr(module, name, None) for name in ("scale", "bias", "sums"))]
        return tuple(self._address(None if t is None else t[first:last]) for t in tensors)

    def _address(self, tensor: Any) -> int:
        if tensor is None:
            return 0
        self._kept.append(tensor.detach())
        return int(tensor.data_ptr())


def _weight(module: Any) -> Tensor:
    """The matrix as it is stored."""
    weight: Tensor = module.rounded if isinstance(module, (Int8Embedding, Int8Linear)) else module.weight
    return weight.detach()

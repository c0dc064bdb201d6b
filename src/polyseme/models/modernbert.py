"""ModernBERT: a bidirectional encoder with pre-norm, rotary positions, gated feed-forward and local attention.

Paper: Warner et al. (2024), "Smarter, Better, Faster, Longer: A Modern Bidirectional Encoder", section 2.1.

    h₀ = LayerNorm(E_token[ids])                                       (no positions, no segments)
    a  = h + W_o · attention(rotate(W_q n), rotate(W_k n), W_v n),  n = LayerNorm(h)   (no norm in layer 0)
    h' = a + W_2 (gelu(u) ⊙ g),                                 u, g = W_1 LayerNorm(a)
    out = LayerNorm(h_L)

Every `global_attn_every_n_layers`-th layer attends to the whole example with θ = 160,000; the others to the 128
nearest positions with θ = 10,000. No biases. Departure: tokens attend within their own example.
Weights map one to one to transformers' ModernBertForMaskedLM (formats/huggingface/modernbert.py).

The same network under a causal mask is ModernBertDecoder (Weller et al. 2025, "Seq vs Seq", section 3.1): a causal
batch, and `decode` with its cache. Its local layers see ⌊local_attention / 2⌋ - 1 tokens back, as transformers' do.
"""

from __future__ import annotations

from functools import partial
from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from polyseme.core.config import Config
from polyseme.core.entries import ModelEntry
from polyseme.core.protocols import HeadStyle
from polyseme.core.types import Batch, Encoding, Keep, Reach
from polyseme.layers.activation import activation, gated
from polyseme.layers.attention import (
    attend,
    attend_plain,
    causal_mask,
    example_mask,
    rotary_table,
    window_mask,
)
from polyseme.layers.cache import KeyValueCache, cache_for
from polyseme.layers.dropout import Dropout
from polyseme.layers.linear import Linear, narrowed
from polyseme.layers.rows import ALL, Rows


class ModernBertConfig(Config):
    """The names of config.json; defaults are ModernBERT-base of the paper, but for the vocabulary's own ids."""

    vocab_size: int = Field(50368, ge=6)
    hidden_size: int = Field(768, ge=1)
    num_hidden_layers: int = Field(22, ge=1)
    num_attention_heads: int = Field(12, ge=1)
    intermediate_size: int = Field(1152, ge=1)
    hidden_activation: str = "gelu"
    max_position_embeddings: int = Field(8192, ge=2)
    initializer_range: float = Field(0.02, gt=0)
    initializer_cutoff_factor: float = Field(2.0, gt=0)
    norm_eps: float = Field(1e-5, gt=0)
    norm_bias: bool = False
    attention_bias: bool = False
    mlp_bias: bool = False
    decoder_bias: bool = True
    classifier_bias: bool = False
    classifier_activation: str = "gelu"
    attention_dropout: float = Field(0.0, ge=0, lt=1)
    embedding_dropout: float = Field(0.0, ge=0, lt=1)
    mlp_dropout: float = Field(0.0, ge=0, lt=1)
    local_attention: int = Field(128, ge=2)
    global_attn_every_n_layers: int = Field(3, ge=1)
    global_rope_theta: float = Field(160_000.0, gt=0)
    local_rope_theta: float = Field(10_000.0, gt=0)
    pad_token_id: int = 0

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.hidden_size % (2 * self.num_attention_heads):
            raise ValueError(
                f"hidden_size must be divisible by num_attention_heads, with an even quotient "
                f"({self.hidden_size} / {self.num_attention_heads})"
            )
        activation(self.hidden_activation)
        activation(self.classifier_activation)
        return self

    def is_global(self, layer: int) -> bool:
        """Whether a layer (from 0) attends to the whole example."""
        return layer % self.global_attn_every_n_layers == 0


class ModernBertBlock(nn.Module):
    """One layer: normalise, attend, add; normalise, gated feed-forward, add.

    Shapes:  h: (B, T, hidden_size), mask: (B, 1, T, T), or None for all tokens or plain causal order
             -> (B, T, hidden_size)
    """

    def __init__(self, config: ModernBertConfig, layer: int) -> None:
        super().__init__()
        d, m = config.hidden_size, config.intermediate_size
        self.layer, self.heads = layer, config.num_attention_heads
        self.attention_dropout = config.attention_dropout
        norm = partial(nn.LayerNorm, d, eps=config.norm_eps, bias=config.norm_bias)
        self.attention_norm = norm() if layer else nn.Identity()
        self.query_key_value = Linear(d, 3 * d, bias=config.attention_bias)
        self.attention_output = Linear(d, d, bias=config.attention_bias)
        self.feedforward_norm = norm()
        self.input_and_gate = Linear(d, 2 * m, bias=config.mlp_bias)
        self.output = Linear(m, d, bias=config.mlp_bias)
        self.activation = config.hidden_activation
        self.residual_dropout = Dropout(config.attention_dropout)
        self.dropout = Dropout(config.mlp_dropout)

    def forward(
        self,
        h: Tensor,
        mask: Tensor | None,
        causal: bool,
        rotary: tuple[Tensor, Tensor],
        probabilities: list[Tensor] | None = None,
        rows: Rows = ALL,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        n = self.attention_norm(h)
        q, k, v = rows.project(self.query_key_value, n, self.heads, rotary)  # (B, H, T, D)
        h, mask = rows.pick(h), rows.pick_mask(mask)
        if cache is not None:
            k, v = cache.append(self.layer, k, v)
        if probabilities is None:
            mixed = attend(q, k, v, mask, self.attention_dropout if self.training else 0.0, causal)
        else:
            mixed, weights = attend_plain(q, k, v, mask, causal)
            probabilities.append(weights)
        h = h + self.residual_dropout(self.attention_output(mixed.transpose(1, 2).reshape(h.shape)))
        mixed = gated(self.input_and_gate(self.feedforward_norm(h)), self.activation)  # (B, T, m)
        return h + self.output(self.dropout(mixed))  # type: ignore[no-any-return]


class ModernBert(nn.Module):
    """ModernBERT's encoder: `encode(batch)` gives one hidden state per token and layer.

    Shapes:  batch of (B, T) -> num_hidden_layers + 1 layers of (B, T, hidden_size), layer 0 = embeddings
    Source:  Warner et al. (2024), section 2.1. The final norm belongs to the last layer.
    """

    reach: Reach = "both"

    def __init__(self, config: ModernBertConfig) -> None:
        super().__init__()
        self.config = config
        self.max_length = config.max_position_embeddings
        self.head_style = HeadStyle(
            activation=config.classifier_activation,
            dense_bias=config.classifier_bias,
            norm_bias=config.norm_bias,
            norm_eps=config.norm_eps,
            decoder_bias=config.decoder_bias,
            initializer_range=config.initializer_range / (2 * config.num_hidden_layers) ** 0.5,
            classifier_transform=True,
        )
        d = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, d)
        self.embedding_norm = nn.LayerNorm(d, eps=config.norm_eps, bias=config.norm_bias)
        self.dropout = Dropout(config.embedding_dropout)
        self.blocks = nn.ModuleList(ModernBertBlock(config, i) for i in range(config.num_hidden_layers))
        self.final_norm = nn.LayerNorm(d, eps=config.norm_eps, bias=config.norm_bias)
        self.initialise()

    def initialise(self) -> None:
        """Truncated normals; output projections smaller by √(2·layers), biases zero, norms one."""
        c = self.config
        wide, narrow = c.initializer_range, c.initializer_range / (2 * c.num_hidden_layers) ** 0.5
        for name, parameter in self.named_parameters():
            if name.endswith(".bias"):
                nn.init.zeros_(parameter)
            elif parameter.ndim == 2:
                std = narrow if name.endswith("output.weight") else wide
                cut = c.initializer_cutoff_factor * std
                nn.init.trunc_normal_(parameter, std=std, a=-cut, b=cut)
        with torch.no_grad():
            self.word_embeddings.weight[c.pad_token_id].zero_()

    def encode(
        self, batch: Batch, keep: Keep = "last", attentions: bool = False, at: Tensor | None = None
    ) -> Encoding:
        """Hidden states of a batch; see `Encoder`. Of a causal batch, whose positions nearly all predict, all."""
        everywhere = causal_mask(batch) if batch.causal else example_mask(batch)
        nearby = window_mask(batch, self.config.local_attention // 2 - batch.causal, everywhere)
        at = None if batch.causal else at
        # where there is no mask, order alone says what a causal batch sees
        plain, plain_nearby = (batch.causal and mask is None for mask in (everywhere, nearby))
        views = self._views(batch.position, (everywhere, plain), (nearby, plain_nearby))
        probabilities: list[Tensor] | None = [] if attentions else None
        h = narrowed(self.dropout(self.embedding_norm(self.word_embeddings(batch.ids))))
        rows = Rows.of(at if keep == "last" and not attentions else None, batch.ids.shape)
        layers = [h]
        for block, view in zip(rows.of_last(self.blocks), views, strict=True):
            h = block(h, *view, probabilities)
            layers = [*layers, h] if keep == "all" else [h]
        layers[-1] = self.final_norm(rows.flat(h))
        return Encoding(
            tuple(layers), None if probabilities is None else tuple(probabilities), rows.positions
        )

    def _views(
        self, position: Tensor, everywhere: tuple[Tensor | None, bool], nearby: tuple[Tensor | None, bool]
    ) -> list[tuple[Tensor | None, bool, tuple[Tensor, Tensor]]]:
        """What each layer attends to, (mask, plain causal order), and its rotary table.  Shapes: position: (B, T)"""
        c = self.config
        size = c.hidden_size // c.num_attention_heads
        far = (*everywhere, rotary_table(position, size, c.global_rope_theta))
        near = (*nearby, rotary_table(position, size, c.local_rope_theta))
        return [far if c.is_global(i) else near for i in range(len(self.blocks))]

    def new_cache(self, rows: int, capacity: int, start: Tensor | None = None) -> KeyValueCache:
        """Room for the keys and values of `rows` sequences of at most `capacity` tokens, to read them causally.

        Args:
            start: each row's first real slot, where rows are padded on the left.
        Shapes:  start: (B,)
        Raises:  InputError: the model has fewer positions.
        """
        return cache_for(self, rows, capacity, start)

    def decode(self, ids: Tensor, cache: KeyValueCache) -> Tensor:
        """Last-layer states of new tokens, which attend to everything in the cache and are added to it.

        Shapes:  ids: (B, T_new) -> (B, T_new, hidden_size)
        """
        n = ids.size(1)
        nearby = cache.nearby(n, self.config.local_attention // 2 - 1)
        views = self._views(cache.positions(n), cache.view(n), nearby)
        h = self.dropout(self.embedding_norm(self.word_embeddings(ids)))
        for block, view in zip(self.blocks, views, strict=True):
            h = block(h, *view, cache=cache)
        cache.advance(n)
        return self.final_norm(h)  # type: ignore[no-any-return]

    def forward(self, batch: Batch) -> Tensor:
        """The last layer, (B, T, hidden_size)."""
        return self.encode(batch).last

    def token_embedding(self) -> nn.Embedding:
        """The input embedding, shared with the masked-LM decoder."""
        return self.word_embeddings

    def pooler(self) -> None:
        """The family has none."""
        return


ENTRY = ModelEntry(config=ModernBertConfig, build=ModernBert)

"""Qwen3: a modern decoder with RMS norms, rotary positions, shared key-value heads and gated feed-forward.

Paper: Yang et al. (2025), "Qwen3 Technical Report", section 2. Its parts: RMSNorm (Zhang and Sennrich 2019), rotary
positions (Su et al. 2021), grouped-query attention (Ainslie et al. 2023), norms of queries and keys (Dehghani et al.
2023), SwiGLU (Shazeer 2020). The first and last with one head group and no query-key norm are Llama.

    h₀ = E_token[ids]
    q, k, v = W_q n, W_k n, W_v n,  n = RMSNorm(h)
    a  = h + W_o · attention(rotate(RMSNorm(q)), rotate(RMSNorm(k)), v)      (norms per head; token i sees 0 … i)
    h' = a + W_2 (silu(u) ⊙ g),  u, g = W_1 RMSNorm(a)
    out = RMSNorm(h_L);  p(next token) = softmax(W out),  W = E_token where tie_word_embeddings

RMSNorm(x) = w ⊙ x / √(mean(x²) + ε). No biases. Departure: tokens attend within their own example.
Weights map one to one to transformers' Qwen3ForCausalLM (formats/huggingface/qwen3.py).
"""

from __future__ import annotations

from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from polyseme.core.config import Config
from polyseme.core.entries import ModelEntry
from polyseme.core.protocols import HeadStyle
from polyseme.core.types import Batch, Encoding, Keep, Reach
from polyseme.layers.activation import activation, gated
from polyseme.layers.attention import attend, attend_plain, causal_mask, rotary_table, rotate
from polyseme.layers.cache import KeyValueCache, cache_for
from polyseme.layers.linear import Linear, narrowed
from polyseme.layers.norm import RMSNorm, rms_norm


class Qwen3Config(Config):
    """The names of config.json; defaults are Qwen3-0.6B of the paper.

    Args:
        head_dim: size of a head; None = hidden_size / num_attention_heads.
        num_key_value_heads: heads of keys and values, each shared by neighbouring heads of queries.
    """

    vocab_size: int = Field(151936, ge=6)
    hidden_size: int = Field(1024, ge=1)
    num_hidden_layers: int = Field(28, ge=1)
    num_attention_heads: int = Field(16, ge=1)
    num_key_value_heads: int = Field(8, ge=1)
    head_dim: int | None = Field(128, ge=2)
    intermediate_size: int = Field(3072, ge=1)
    hidden_act: str = "silu"
    max_position_embeddings: int = Field(40960, ge=2)
    initializer_range: float = Field(0.02, gt=0)
    rms_norm_eps: float = Field(1e-6, gt=0)
    rope_theta: float = Field(1_000_000.0, gt=0)
    attention_dropout: float = Field(0.0, ge=0, lt=1)
    tie_word_embeddings: bool = True
    pad_token_id: int = 0
    bos_token_id: int = 2
    eos_token_id: int = 3

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_attention_heads must be divisible by num_key_value_heads "
                f"({self.num_attention_heads} / {self.num_key_value_heads})"
            )
        if self.head_dim is None and self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size must be divisible by num_attention_heads where head_dim is not given "
                f"({self.hidden_size} / {self.num_attention_heads})"
            )
        if self.head_size % 2:
            raise ValueError(f"the size of a head must be even, for rotary positions ({self.head_size})")
        activation(self.hidden_act)
        return self

    @property
    def head_size(self) -> int:
        """`head_dim` with None resolved."""
        return self.head_dim or self.hidden_size // self.num_attention_heads


class Qwen3Block(nn.Module):
    """One layer: normalise, attend to what came before, add; normalise, gated feed-forward, add.

    Shapes:  h: (B, T, hidden_size), mask: (B, 1, T, T) or None for plain causal order -> (B, T, hidden_size)
    """

    def __init__(self, config: Qwen3Config, layer: int) -> None:
        super().__init__()
        d, m, size = config.hidden_size, config.intermediate_size, config.head_size
        self.layer, self.size = layer, size
        self.heads, self.shared = config.num_attention_heads, config.num_key_value_heads
        self.eps, self.attention_dropout = config.rms_norm_eps, config.attention_dropout
        self.attention_norm = RMSNorm(d, eps=self.eps)
        self.query_key_value = Linear(d, (self.heads + 2 * self.shared) * size, bias=False)
        self.query_norm = RMSNorm(size, eps=self.eps)
        self.key_norm = RMSNorm(size, eps=self.eps)
        self.attention_output = Linear(self.heads * size, d, bias=False)
        self.feedforward_norm = RMSNorm(d, eps=self.eps)
        self.input_and_gate = Linear(d, 2 * m, bias=False)
        self.output = Linear(m, d, bias=False)
        self.activation = config.hidden_act

    def forward(
        self,
        h: Tensor,
        mask: Tensor | None,
        causal: bool,
        rotary: tuple[Tensor, Tensor],
        probabilities: list[Tensor] | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        b, t, _ = h.shape
        qkv = self.query_key_value(self.attention_norm(h)).view(b, t, -1, self.size)
        qk, v = qkv.split([self.heads + self.shared, self.shared], dim=2)
        scale = torch.cat([  # both norms at once: (H + H_kv, D)
            self.query_norm.weight.expand(self.heads, -1), self.key_norm.weight.expand(self.shared, -1)
        ])  # fmt: skip
        qk = rms_norm(qk, scale, self.eps)
        qk = rotate(qk[:, :, None], *rotary)[:, :, 0].transpose(1, 2)
        q, k, v = qk[:, : self.heads], qk[:, self.heads :], v.transpose(1, 2)  # each (B, heads, T, D)
        if cache is not None:
            k, v = cache.append(self.layer, k, v)
        if probabilities is None:
            mixed = attend(q, k, v, mask, self.attention_dropout if self.training else 0.0, causal)
        else:
            mixed, weights = attend_plain(q, k, v, mask, causal)
            probabilities.append(weights)
        h = h + self.attention_output(mixed.transpose(1, 2).reshape(b, t, -1))
        mixed = gated(self.input_and_gate(self.feedforward_norm(h)), self.activation)  # (B, T, m)
        return h + self.output(mixed)  # type: ignore[no-any-return]


class Qwen3(nn.Module):
    """Qwen3's decoder: `encode(batch)` gives one hidden state per token and layer, each of its left side alone.

    Shapes:  batch of (B, T) -> num_hidden_layers + 1 layers of (B, T, hidden_size), layer 0 = embeddings
    Source:  Yang et al. (2025), section 2. The final norm belongs to the last layer.
    """

    reach: Reach = "left"
    pre_norm_decoder = True  # of the form whose decoding kernels/step.py has compiled

    def __init__(self, config: Qwen3Config) -> None:
        super().__init__()
        self.config = config
        self.max_length = config.max_position_embeddings
        self.head_style = HeadStyle(
            activation=config.hidden_act,
            dense_bias=False,
            norm_bias=False,
            norm_eps=config.rms_norm_eps,
            decoder_bias=False,
            initializer_range=config.initializer_range,
        )
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.blocks = nn.ModuleList(Qwen3Block(config, i) for i in range(config.num_hidden_layers))
        self.final_norm = RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.initialise()

    def initialise(self) -> None:
        """Normals; output projections, which add to the stream, smaller by √(2·layers); norms one."""
        c = self.config
        wide, narrow = c.initializer_range, c.initializer_range / (2 * c.num_hidden_layers) ** 0.5
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=narrow if name.endswith("output.weight") else wide)

    def embed(self, ids: Tensor, position: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Layer 0, and the angles of the positions.

        Shapes:  ids: (B, T).  position: (B, T), or (1, T) for all rows -> (B, T, hidden_size), see `rotary_table`
        """
        rotary = rotary_table(position, self.config.head_size, self.config.rope_theta)
        return self.word_embeddings(ids), rotary

    def encode(
        self, batch: Batch, keep: Keep = "last", attentions: bool = False, at: Tensor | None = None
    ) -> Encoding:
        """Hidden states of a batch; see `Encoder`. `at` saves nothing here, as all positions predict."""
        mask = causal_mask(batch)
        # rows that are one example each share their angles
        h, rotary = self.embed(batch.ids, batch.position[:1] if mask is None else batch.position)
        h = narrowed(h)
        probabilities: list[Tensor] | None = [] if attentions else None
        layers = [h]
        for block in self.blocks:
            h = block(h, mask, mask is None, rotary, probabilities)
            layers = [*layers, h] if keep == "all" else [h]
        layers[-1] = self.final_norm(h)
        return Encoding(tuple(layers), None if probabilities is None else tuple(probabilities))

    def forward(self, batch: Batch) -> Tensor:
        """The last layer, (B, T, hidden_size)."""
        return self.encode(batch).last

    def new_cache(self, rows: int, capacity: int, start: Tensor | None = None) -> KeyValueCache:
        """Room for the keys and values of `rows` sequences of at most `capacity` tokens.

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
        mask, causal = cache.view(ids.size(1))
        h, rotary = self.embed(ids, cache.positions(ids.size(1)))
        for block in self.blocks:
            h = block(h, mask, causal, rotary, cache=cache)
        cache.advance(ids.size(1))
        return self.final_norm(h)  # type: ignore[no-any-return]

    def token_embedding(self) -> nn.Embedding:
        """The input embedding, which is also the output layer's weight where they are tied."""
        return self.word_embeddings

    def pooler(self) -> None:
        """The family has none."""
        return


ENTRY = ModelEntry(config=Qwen3Config, build=Qwen3, objectives=("causal_lm",))

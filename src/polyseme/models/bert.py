"""BERT: a bidirectional transformer encoder, post-norm, with learned positions.

Paper: Devlin, Chang, Lee and Toutanova (2019), "BERT: Pre-training of Deep Bidirectional Transformers for
Language Understanding", section 3 and appendix A; the block is that of Vaswani et al. (2017), section 3.

    h₀ = LayerNorm(E_token[ids] + E_position[position] + E_segment[type])
    a  = LayerNorm(h + W_o · attention(W_q h, W_k h, W_v h))
    h' = LayerNorm(a + W_2 · gelu(W_1 a))
    pooled = tanh(W_p h_[CLS])

Departures: query, key and value are one matrix product; tokens attend within their own example, so that several
examples share a row. Weights map one to one to transformers' BertForPreTraining (formats/huggingface/bert.py); of a
causal batch, and in `decode` with its cache, the same network is their BertLMHeadModel (is_decoder).
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
from polyseme.kernels.post_norm import Layers, fast_encoding
from polyseme.layers.activation import ActivatedLinear, activation
from polyseme.layers.attention import attend, attend_plain, causal_mask, example_mask
from polyseme.layers.cache import KeyValueCache, cache_for
from polyseme.layers.dropout import Dropout
from polyseme.layers.linear import Linear, narrowed
from polyseme.layers.rows import ALL, Rows


class BertConfig(Config):
    """The names of config.json; defaults are BERT-base of the paper.

    Args:
        add_pooling_layer: whether there is the paper's pooler; some published weights leave it out.
    """

    vocab_size: int = Field(30522, ge=6)
    hidden_size: int = Field(768, ge=1)
    num_hidden_layers: int = Field(12, ge=1)
    num_attention_heads: int = Field(12, ge=1)
    intermediate_size: int = Field(3072, ge=1)
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = Field(0.1, ge=0, lt=1)
    attention_probs_dropout_prob: float = Field(0.1, ge=0, lt=1)
    max_position_embeddings: int = Field(512, ge=2)
    type_vocab_size: int = Field(2, ge=2)
    initializer_range: float = Field(0.02, gt=0)
    layer_norm_eps: float = Field(1e-12, gt=0)
    pad_token_id: int = 0
    add_pooling_layer: bool = True

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size must be divisible by num_attention_heads "
                f"({self.hidden_size} / {self.num_attention_heads})"
            )
        activation(self.hidden_act)
        return self


class BertBlock(nn.Module):
    """One layer: attention, then a feed-forward network, each added to its input and normalised after.

    Shapes:  h: (B, T, hidden_size), mask: (B, 1, T, T), or None for all tokens or plain causal order
             -> (B, T, hidden_size)
    """

    def __init__(self, config: BertConfig, layer: int) -> None:
        super().__init__()
        d = config.hidden_size
        self.layer, self.heads = layer, config.num_attention_heads
        self.attention_dropout = config.attention_probs_dropout_prob
        self.query_key_value = Linear(d, 3 * d)
        self.attention_output = Linear(d, d)
        self.attention_norm = nn.LayerNorm(d, eps=config.layer_norm_eps)
        self.intermediate = ActivatedLinear(d, config.intermediate_size, config.hidden_act)
        self.output = Linear(config.intermediate_size, d)
        self.output_norm = nn.LayerNorm(d, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        h: Tensor,
        mask: Tensor | None,
        causal: bool = False,
        probabilities: list[Tensor] | None = None,
        rows: Rows = ALL,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        q, k, v = rows.project(self.query_key_value, h, self.heads)  # (B, H, T, D)
        h, mask = rows.pick(h), rows.pick_mask(mask)
        if cache is not None:
            k, v = cache.append(self.layer, k, v)
        if probabilities is None:
            mixed = attend(q, k, v, mask, self.attention_dropout if self.training else 0.0, causal)
        else:
            mixed, weights = attend_plain(q, k, v, mask, causal)
            probabilities.append(weights)
        mixed = mixed.transpose(1, 2).reshape(h.shape)
        h = self.attention_norm(h + self.dropout(self.attention_output(mixed)))
        return self.output_norm(h + self.dropout(self.output(self.intermediate(h))))  # type: ignore[no-any-return]


class BertPooler(nn.Module):
    """The vector of a whole example: tanh(W h_[CLS] + b).  Shapes: (E, hidden_size) -> (E, hidden_size)"""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.dense = Linear(hidden_size, hidden_size)

    def forward(self, first: Tensor) -> Tensor:
        return torch.tanh(self.dense(first))


class Bert(nn.Module):
    """BERT's encoder: `encode(batch)` gives one hidden state per token and layer.

    Shapes:  batch of (B, T) -> num_hidden_layers + 1 layers of (B, T, hidden_size), layer 0 = embeddings
    Source:  Devlin et al. (2019), section 3.
    """

    reach: Reach = "both"
    learned_positions = True  # train/neighbours.py can start its heads
    post_norm_encoder = True  # kernels/post_norm.py

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.max_length = config.max_position_embeddings
        self.head_style = HeadStyle(
            activation=config.hidden_act,
            norm_eps=config.layer_norm_eps,
            initializer_range=config.initializer_range,
        )
        d = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, d)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, d)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, d)
        self.embedding_norm = nn.LayerNorm(d, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.blocks = nn.ModuleList(BertBlock(config, i) for i in range(config.num_hidden_layers))
        self.pool = BertPooler(d) if config.add_pooling_layer else None
        self.initialise()

    def initialise(self) -> None:
        """Matrices and embeddings from a normal with deviation initializer_range; biases zero, norms one."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=self.config.initializer_range)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
        with torch.no_grad():
            self.word_embeddings.weight[self.config.pad_token_id].zero_()

    def embed(self, batch: Batch) -> Tensor:
        """The sum of embeddings, before its norm.  Shapes: batch of (B, T) -> (B, T, hidden_size)"""
        h: Tensor = self.word_embeddings(batch.ids) + self.position_embeddings(batch.position)
        return h + self.token_type_embeddings(batch.type)  # type: ignore[no-any-return]

    def encode(
        self, batch: Batch, keep: Keep = "last", attentions: bool = False, at: Tensor | None = None
    ) -> Encoding:
        """Hidden states of a batch; see `Encoder`. Of a causal batch, whose positions nearly all predict, all."""
        h = self.dropout(self.embedding_norm(self.embed(batch)))  # (B, T, d)
        if not attentions and not batch.causal and Layers.serve(self.blocks, h):
            return fast_encoding(self.blocks, h, batch, keep, at)
        mask = causal_mask(batch) if batch.causal else example_mask(batch)
        causal = batch.causal and mask is None  # order alone says what is seen
        at = None if batch.causal else at
        probabilities: list[Tensor] | None = [] if attentions else None
        h = narrowed(h)
        rows = Rows.of(at if keep == "last" and not attentions else None, batch.ids.shape)
        layers = [h]
        for block in rows.of_last(self.blocks):
            h = block(h, mask, causal, probabilities)
            layers = [*layers, h] if keep == "all" else [h]
        layers[-1] = rows.flat(h)
        return Encoding(
            tuple(layers), None if probabilities is None else tuple(probabilities), rows.positions
        )

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
        n, zeros = ids.size(1), torch.zeros_like(ids)
        batch = Batch(ids, zeros + 1, cache.positions(n), zeros, zeros[:, 0], causal=True)
        mask, causal = cache.view(n)
        h: Tensor = self.dropout(self.embedding_norm(self.embed(batch)))
        for block in self.blocks:
            h = block(h, mask, causal, cache=cache)
        cache.advance(n)
        return h

    def forward(self, batch: Batch) -> Tensor:
        """The last layer, (B, T, hidden_size)."""
        return self.encode(batch).last

    def token_embedding(self) -> nn.Embedding:
        """The input embedding, shared with the masked-LM decoder."""
        return self.word_embeddings

    def pooler(self) -> BertPooler | None:
        """The paper's pooler, trained by next-sentence prediction; None where there is none."""
        return self.pool


ENTRY = ModelEntry(config=BertConfig, build=Bert, objectives=("masked_lm", "next_sentence"))

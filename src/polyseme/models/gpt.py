"""GPT-2: a transformer decoder that reads from left to right, pre-norm, with learned positions.

Paper: Radford et al. (2019), "Language Models are Unsupervised Multitask Learners", section 2.3, a change of
Radford et al. (2018); the block is that of Vaswani et al. (2017), section 3, without the encoder's half.

    h₀ = E_token[ids] + E_position[position]
    a  = h + W_o · attention(W_q n, W_k n, W_v n),  n = LayerNorm(h)      (token i sees tokens 0 … i)
    h' = a + W_2 · gelu(W_1 LayerNorm(a))
    out = LayerNorm(h_L);  p(next token) = softmax(E_token out)

The fields bear the names that most config.json files use; GPT-2's own (n_embd, n_layer, n_head, n_inner, resid_pdrop …)
and its transposed matrices are translated by formats/huggingface/gpt.py, so weights map one to one to transformers'
GPT2LMHeadModel. Departure: tokens attend within their own example, so that several examples share a row.
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from polyseme.core.config import Config
from polyseme.core.entries import ModelEntry
from polyseme.core.protocols import HeadStyle
from polyseme.core.types import Batch, Encoding, Keep, Reach
from polyseme.layers.activation import ActivatedLinear, activation
from polyseme.layers.attention import attend, attend_plain, causal_mask, split_heads
from polyseme.layers.cache import KeyValueCache, cache_for
from polyseme.layers.dropout import Dropout
from polyseme.layers.linear import Linear, narrowed


class GptConfig(Config):
    """Defaults are GPT-2 small of the paper (124 million parameters)."""

    vocab_size: int = Field(50257, ge=6)
    hidden_size: int = Field(768, ge=1)
    num_hidden_layers: int = Field(12, ge=1)
    num_attention_heads: int = Field(12, ge=1)
    intermediate_size: int = Field(3072, ge=1)
    hidden_act: str = "gelu_new"
    hidden_dropout_prob: float = Field(0.1, ge=0, lt=1)
    attention_probs_dropout_prob: float = Field(0.1, ge=0, lt=1)
    max_position_embeddings: int = Field(1024, ge=2)
    initializer_range: float = Field(0.02, gt=0)
    layer_norm_eps: float = Field(1e-5, gt=0)
    bos_token_id: int = 2
    eos_token_id: int = 3

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size must be divisible by num_attention_heads "
                f"({self.hidden_size} / {self.num_attention_heads})"
            )
        activation(self.hidden_act)
        return self


class GptBlock(nn.Module):
    """One layer: normalise, attend to what came before, add; normalise, feed-forward, add.

    Shapes:  h: (B, T, hidden_size), mask: (B, 1, T, T) or None for plain causal order -> (B, T, hidden_size)
    """

    def __init__(self, config: GptConfig, layer: int) -> None:
        super().__init__()
        d = config.hidden_size
        self.layer, self.heads = layer, config.num_attention_heads
        self.attention_dropout = config.attention_probs_dropout_prob
        self.attention_norm = nn.LayerNorm(d, eps=config.layer_norm_eps)
        self.query_key_value = Linear(d, 3 * d)
        self.attention_output = Linear(d, d)
        self.feedforward_norm = nn.LayerNorm(d, eps=config.layer_norm_eps)
        self.intermediate = ActivatedLinear(d, config.intermediate_size, config.hidden_act)
        self.output = Linear(config.intermediate_size, d)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        h: Tensor,
        mask: Tensor | None,
        causal: bool,
        probabilities: list[Tensor] | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        b, t, d = h.shape
        qkv = self.query_key_value(self.attention_norm(h)).view(b, t, 3, self.heads, d // self.heads)
        q, k, v = split_heads(qkv, None)  # each (B, H, T, D)
        if cache is not None:
            k, v = cache.append(self.layer, k, v)
        if probabilities is None:
            mixed = attend(q, k, v, mask, self.attention_dropout if self.training else 0.0, causal)
        else:
            mixed, weights = attend_plain(q, k, v, mask, causal)
            probabilities.append(weights)
        h = h + self.dropout(self.attention_output(mixed.transpose(1, 2).reshape(b, t, d)))
        return h + self.dropout(self.output(self.intermediate(self.feedforward_norm(h))))  # type: ignore[no-any-return]


class Gpt(nn.Module):
    """GPT-2's decoder: `encode(batch)` gives one hidden state per token and layer, each of its left side alone.

    Shapes:  batch of (B, T) -> num_hidden_layers + 1 layers of (B, T, hidden_size), layer 0 = embeddings
    Source:  Radford et al. (2019), section 2.3. The final norm belongs to the last layer.
    """

    reach: Reach = "left"
    learned_positions = True  # train/neighbours.py can start its heads
    pre_norm_decoder = True  # of the form whose decoding kernels/step.py has compiled

    def __init__(self, config: GptConfig) -> None:
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
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.blocks = nn.ModuleList(GptBlock(config, i) for i in range(config.num_hidden_layers))
        self.final_norm = nn.LayerNorm(d, eps=config.layer_norm_eps)
        self.initialise()

    def initialise(self) -> None:
        """Normals; output projections, which add to the stream, smaller by √(2·layers); biases zero, norms one."""
        c = self.config
        wide, narrow = c.initializer_range, c.initializer_range / (2 * c.num_hidden_layers) ** 0.5
        for name, parameter in self.named_parameters():
            if name.endswith(".bias"):
                nn.init.zeros_(parameter)
            elif parameter.ndim == 2:
                nn.init.normal_(parameter, std=narrow if name.endswith("output.weight") else wide)

    def embed(self, ids: Tensor, position: Tensor) -> tuple[Tensor, None]:
        """Layer 0; there are no rotary positions.  Shapes: ids, position: (B, T) -> (B, T, hidden_size)"""
        return self.word_embeddings(ids) + self.position_embeddings(position), None

    def encode(
        self, batch: Batch, keep: Keep = "last", attentions: bool = False, at: Tensor | None = None
    ) -> Encoding:
        """Hidden states of a batch; see `Encoder`. `at` saves nothing here, as all positions predict."""
        mask = causal_mask(batch)
        probabilities: list[Tensor] | None = [] if attentions else None
        h = narrowed(self.dropout(self.embed(batch.ids, batch.position)[0]))
        layers = [h]
        for block in self.blocks:
            h = block(h, mask, mask is None, probabilities)
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
        h, _ = self.embed(ids, cache.positions(ids.size(1)))
        for block in self.blocks:
            h = block(h, mask, causal, cache=cache)
        cache.advance(ids.size(1))
        return self.final_norm(h)  # type: ignore[no-any-return]

    def token_embedding(self) -> nn.Embedding:
        """The input embedding, which is also the output layer's weight."""
        return self.word_embeddings

    def pooler(self) -> None:
        """The family has none."""
        return


ENTRY = ModelEntry(config=GptConfig, build=Gpt, objectives=("causal_lm",))

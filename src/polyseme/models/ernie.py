"""ERNIE: BERT's encoder, pretrained by hiding whole words, phrases and entities.

Paper: Sun, Wang, Li, Feng, Chen, Zhang, Tian, Zhu, Tian and Wu (2019), "ERNIE: Enhanced Representation through
Knowledge Integration", section 3.1: the encoder is the transformer of Vaswani et al. (2017) that BERT uses; what is
new is what is masked (objectives/knowledge_masking.py) and the dialogue task (objectives/dialogue.py), whose roles,
query or response, are the types.

    h₀ = LayerNorm(E_token[ids] + E_position[position] + E_type[type] (+ E_task[0]))
    h' = BERT's block (models/bert.py)
    pooled = tanh(W_p h_[CLS])

Departures: as in models/bert.py. With use_task_id, a field of later ERNIEs, every token has task 0. Weights map one
to one to transformers' ErnieForPreTraining (formats/huggingface/ernie.py).
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from polyseme.core.protocols import HeadStyle, ModelEntry
from polyseme.core.types import Batch, Encoding, Keep, Reach
from polyseme.layers.attention import example_mask
from polyseme.layers.needed import Needed
from polyseme.models.bert import BertBlock, BertConfig, BertPooler


class ErnieConfig(BertConfig):
    """The names of config.json: BERT's, and two for the task embedding of later ERNIEs; ERNIE 1.0 has none.

    Defaults are ERNIE-base of the paper, which are BERT's.
    """

    task_type_vocab_size: int = Field(3, ge=1)
    use_task_id: bool = False


class Ernie(nn.Module):
    """ERNIE's encoder: `encode(batch)` gives one hidden state per token and layer.

    Shapes:  batch of (B, T) -> num_hidden_layers + 1 layers of (B, T, hidden_size), layer 0 = embeddings
    Source:  Sun et al. (2019), section 3.1.
    """

    reach: Reach = "both"

    def __init__(self, config: ErnieConfig) -> None:
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
        if config.use_task_id:
            self.task_type_embeddings = nn.Embedding(config.task_type_vocab_size, d)
        self.embedding_norm = nn.LayerNorm(d, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.blocks = nn.ModuleList(BertBlock(config) for _ in range(config.num_hidden_layers))
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

    def encode(
        self, batch: Batch, keep: Keep = "last", attentions: bool = False, at: Tensor | None = None
    ) -> Encoding:
        """Hidden states of a batch; see `Encoder`."""
        mask = example_mask(batch)
        probabilities: list[Tensor] | None = [] if attentions else None
        h = self.word_embeddings(batch.ids) + self.position_embeddings(batch.position)
        h = h + self.token_type_embeddings(batch.type)  # (B, T, d)
        if self.config.use_task_id:
            h = h + self.task_type_embeddings.weight[0]
        h = self.dropout(self.embedding_norm(h))
        if at is not None and keep == "last" and not attentions:
            needed = Needed.of(at, batch.ids.shape)
            for block in self.blocks[:-1]:
                h = block(h, mask)
            return Encoding((needed.wanted(self.blocks[-1](h, mask, needed=needed)),), positions=at)
        layers = [h]
        for block in self.blocks:
            h = block(h, mask, probabilities)
            layers = [*layers, h] if keep == "all" else [h]
        return Encoding(tuple(layers), None if probabilities is None else tuple(probabilities))

    def forward(self, batch: Batch) -> Tensor:
        """The last layer, (B, T, hidden_size)."""
        return self.encode(batch).last

    def token_embedding(self) -> nn.Embedding:
        """The input embedding, shared with the masked-LM decoder."""
        return self.word_embeddings

    def pooler(self) -> BertPooler | None:
        """The pooler, trained by next-sentence prediction or the dialogue objective; None where there is none."""
        return self.pool


ENTRY = ModelEntry(config=ErnieConfig, build=Ernie, objectives=("knowledge_masking", "next_sentence"))

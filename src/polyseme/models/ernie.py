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

from pydantic import Field
from torch import Tensor, nn

from polyseme.core.entries import ModelEntry
from polyseme.core.types import Batch
from polyseme.models.bert import Bert, BertConfig


class ErnieConfig(BertConfig):
    """The names of config.json: BERT's, and two for the task embedding of later ERNIEs; ERNIE 1.0 has none.

    Defaults are ERNIE-base of the paper, which are BERT's.
    """

    task_type_vocab_size: int = Field(3, ge=1)
    use_task_id: bool = False


class Ernie(Bert):
    """ERNIE's encoder: BERT's, and one table more where there are tasks. What is new of ERNIE is what is masked.

    Shapes:  batch of (B, T) -> num_hidden_layers + 1 layers of (B, T, hidden_size), layer 0 = embeddings
    Source:  Sun et al. (2019), section 3.1.
    """

    config: ErnieConfig

    def __init__(self, config: ErnieConfig) -> None:
        super().__init__(config)
        if config.use_task_id:
            self.task_type_embeddings = nn.Embedding(config.task_type_vocab_size, config.hidden_size)
            nn.init.normal_(self.task_type_embeddings.weight, std=config.initializer_range)

    def embed(self, batch: Batch) -> Tensor:
        """The sum of embeddings, before its norm.  Shapes: batch of (B, T) -> (B, T, hidden_size)"""
        h = super().embed(batch)
        return h + self.task_type_embeddings.weight[0] if self.config.use_task_id else h


ENTRY = ModelEntry(config=ErnieConfig, build=Ernie, objectives=("knowledge_masking", "next_sentence"))

"""Our encoders and heads give transformers' numbers on tiny random configurations."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from polyseme.core.types import Batch
from polyseme.formats.huggingface import bert as bert_format
from polyseme.formats.huggingface import modernbert as modernbert_format
from polyseme.formats.huggingface.family import expand, to_ours, to_theirs
from polyseme.models.bert import Bert, BertConfig
from polyseme.models.modernbert import ModernBert, ModernBertConfig
from polyseme.objectives.masked_lm import MaskedLMHead
from polyseme.objectives.next_sentence import NextSentenceHead

transformers = pytest.importorskip("transformers")

TOLERANCE = 1e-5
LAYERS = 4
SIZES = {
    "vocab_size": 60,
    "hidden_size": 24,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 48,
    "initializer_range": 0.2,
}


def random_batch(length: int = 33) -> Batch:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 60, (3, length), generator=generator)
    one = torch.ones_like(ids)
    position = torch.arange(length).expand_as(ids).contiguous()
    return Batch(ids, one, position, (position > 12).long(), torch.arange(3) * length, packed=False)


def randomise(*modules: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in modules:
            for p in module.parameters():
                p.copy_(torch.randn(p.shape, generator=generator) * 0.3)


def named(**parts: Any) -> dict[str, torch.Tensor]:
    return {
        f"{part.replace('__', '.')}.{k}": v
        for part, module in parts.items()
        for k, v in module.state_dict().items()
    }


def load(theirs: Any, tensors: dict[str, torch.Tensor], tied: dict[str, str]) -> Any:
    missing, unexpected = theirs.load_state_dict(tensors, strict=False)
    assert set(missing) == set(tied)
    assert unexpected == []
    theirs.tie_weights()
    return theirs.eval()


@pytest.mark.parametrize("act", ["gelu", "relu"])
def test_bert_equals_bert_for_pretraining(act: str) -> None:
    config = BertConfig(**SIZES, hidden_act=act)
    encoder = Bert(config).eval()
    mlm, nsp = MaskedLMHead(encoder), NextSentenceHead(encoder)
    randomise(encoder, mlm, nsp)
    tensors = named(encoder=encoder, heads__masked_lm=mlm, heads__next_sentence=nsp)
    theirs = load(
        transformers.BertForPreTraining(
            transformers.BertConfig(**bert_format.config_to_theirs(config.model_dump()))
        ),
        to_theirs(tensors, bert_format.RULES, LAYERS),
        bert_format.TIED,
    )
    batch = random_batch()
    with torch.no_grad():
        reference = theirs(input_ids=batch.ids, token_type_ids=batch.type, output_hidden_states=True)
        encoding = encoder.encode(batch, keep="all")
        for ours, layer in zip(encoding.layers, reference.hidden_states, strict=True):
            assert (ours - layer).abs().max() <= TOLERANCE
        assert (mlm.logits(encoding.last) - reference.prediction_logits).abs().max() <= TOLERANCE
        assert (nsp(encoding.at(batch.first)) - reference.seq_relationship_logits).abs().max() <= TOLERANCE


@pytest.mark.parametrize("window", [6, 128])
@pytest.mark.parametrize("bias", [False, True])
def test_modernbert_equals_modernbert_for_masked_lm(window: int, bias: bool) -> None:
    config = ModernBertConfig(
        **SIZES,
        local_attention=window,
        norm_bias=bias,
        attention_bias=bias,
        mlp_bias=bias,
        classifier_bias=bias,
    )
    encoder = ModernBert(config).eval()
    mlm = MaskedLMHead(encoder)
    randomise(encoder, mlm)
    theirs_config = transformers.ModernBertConfig(
        **modernbert_format.config_to_theirs(config.model_dump()),
        bos_token_id=2,
        eos_token_id=3,
        cls_token_id=2,
        sep_token_id=3,
    )
    theirs = load(
        transformers.ModernBertForMaskedLM(theirs_config),
        to_theirs(named(encoder=encoder, heads__masked_lm=mlm), modernbert_format.RULES, LAYERS),
        modernbert_format.TIED,
    )
    batch = random_batch()
    with torch.no_grad():
        logits = mlm.logits(encoder.encode(batch).last)
        reference = theirs(input_ids=batch.ids, output_hidden_states=True)
        assert (logits - reference.logits).abs().max() <= TOLERANCE * max(1.0, float(logits.abs().max()))
        assert (encoder.encode(batch).last - reference.hidden_states[-1]).abs().max() <= TOLERANCE


@pytest.mark.parametrize(
    ("config", "build", "table"),
    [(BertConfig, Bert, bert_format), (ModernBertConfig, ModernBert, modernbert_format)],
    ids=["bert", "modernbert"],
)
def test_key_tables_are_bijections(config: Any, build: Any, table: Any) -> None:
    pairs = list(expand(table.RULES, LAYERS))
    ours = [o for o, _ in pairs]
    theirs = [t for _, names in pairs for t in (names if isinstance(names, tuple) else (names,))]
    assert len(set(ours)) == len(ours)
    assert len(set(theirs)) == len(theirs)
    encoder = build(config(**SIZES))
    tensors = named(encoder=encoder, heads__masked_lm=MaskedLMHead(encoder))
    if encoder.pooler() is not None:
        tensors |= named(heads__next_sentence=NextSentenceHead(encoder))
    assert set(tensors) <= set(ours)
    back = to_ours(to_theirs(tensors, table.RULES, LAYERS), table.RULES, LAYERS)
    assert set(back) == set(tensors)
    assert all(torch.equal(back[k], tensors[k]) for k in tensors)

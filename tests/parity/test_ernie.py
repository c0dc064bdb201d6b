"""Our ERNIE with its heads gives transformers' numbers on tiny random configurations."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from polyseme.core.types import Batch
from polyseme.formats.huggingface import ernie as ernie_format
from polyseme.formats.huggingface.family import expand, to_ours, to_theirs
from polyseme.models.ernie import Ernie, ErnieConfig
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


def parts(config: ErnieConfig, sentence_head: str) -> tuple[Any, Any, Any, dict[str, torch.Tensor]]:
    encoder = Ernie(config).eval()
    mlm, sentence = MaskedLMHead(encoder), NextSentenceHead(encoder)
    generator = torch.Generator().manual_seed(1)
    named = {}
    for part, module in (
        ("encoder", encoder),
        ("heads.knowledge_masking", mlm),
        (f"heads.{sentence_head}", sentence),
    ):
        with torch.no_grad():
            for p in module.parameters():
                p.copy_(torch.randn(p.shape, generator=generator) * 0.3)
        named |= {f"{part}.{k}": v for k, v in module.state_dict().items()}
    return encoder, mlm, sentence, named


@pytest.mark.parametrize("sentence_head", ["next_sentence", "dialogue"])
@pytest.mark.parametrize(("act", "use_task_id"), [("relu", False), ("gelu", True)])
def test_ernie_equals_ernie_for_pretraining(act: str, use_task_id: bool, sentence_head: str) -> None:
    config = ErnieConfig(**SIZES, hidden_act=act, use_task_id=use_task_id)
    encoder, mlm, sentence, tensors = parts(config, sentence_head)
    theirs = transformers.ErnieForPreTraining(
        transformers.ErnieConfig(**ernie_format.config_to_theirs(config.model_dump()))
    )
    renamed = to_theirs(tensors, ernie_format.rules(["knowledge_masking", sentence_head]), LAYERS)
    missing, unexpected = theirs.load_state_dict(renamed, strict=False)
    assert set(missing) == set(ernie_format.TIED)
    assert unexpected == []
    theirs.tie_weights()
    theirs.eval()

    ids = torch.randint(5, 60, (3, 33), generator=torch.Generator().manual_seed(0))
    position = torch.arange(33).expand_as(ids).contiguous()
    one = torch.ones_like(ids)
    batch = Batch(ids, one, position, (position > 12).long(), torch.arange(3) * 33, packed=False)
    with torch.no_grad():
        reference = theirs(input_ids=batch.ids, token_type_ids=batch.type, output_hidden_states=True)
        encoding = encoder.encode(batch, keep="all")
        for ours, layer in zip(encoding.layers, reference.hidden_states, strict=True):
            assert (ours - layer).abs().max() <= TOLERANCE
        assert (mlm.logits(encoding.last) - reference.prediction_logits).abs().max() <= TOLERANCE
        judged = sentence(encoding.at(batch.first))
        assert (judged - reference.seq_relationship_logits).abs().max() <= TOLERANCE


@pytest.mark.parametrize("use_task_id", [False, True])
def test_the_key_table_is_a_bijection(use_task_id: bool) -> None:
    pairs = list(expand(ernie_format.RULES, LAYERS))
    theirs = [t for _, names in pairs for t in (names if isinstance(names, tuple) else (names,))]
    assert len({o for o, _ in pairs}) == len(pairs)
    assert len(set(theirs)) == len(theirs)
    *_, tensors = parts(ErnieConfig(**SIZES, use_task_id=use_task_id), "next_sentence")
    back = to_ours(to_theirs(tensors, ernie_format.RULES, LAYERS), ernie_format.RULES, LAYERS)
    assert set(back) == set(tensors)
    assert all(torch.equal(back[k], tensors[k]) for k in tensors)


def test_every_field_of_theirs_that_ours_has_means_the_same() -> None:
    theirs, ours = transformers.ErnieConfig(), ErnieConfig().model_dump()
    del ours["add_pooling_layer"]  # they say it by leaving its tensors out
    assert {k: getattr(theirs, k) for k in ours} == ours

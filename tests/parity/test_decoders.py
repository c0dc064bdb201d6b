"""Our decoders give transformers' numbers: logits, and greedy continuations through the key-value cache."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from polyseme.core.types import Batch
from polyseme.formats.huggingface import gpt as gpt_format
from polyseme.formats.huggingface import qwen3 as qwen3_format
from polyseme.formats.huggingface.family import expand
from polyseme.models.gpt import Gpt, GptConfig
from polyseme.models.qwen3 import Qwen3, Qwen3Config
from polyseme.objectives.causal_lm import CausalLMHead

transformers = pytest.importorskip("transformers")

TOLERANCE = 1e-5
LAYERS = 3
SIZES = {
    "vocab_size": 60,
    "hidden_size": 24,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 48,
}
QWEN = [
    {"num_key_value_heads": 2, "head_dim": 10},
    {"num_key_value_heads": 4, "head_dim": None},
    {"num_key_value_heads": 1, "head_dim": 8, "tie_word_embeddings": False, "rope_theta": 300.0},
]
CASES = [("gpt", {}), ("gpt", {"hidden_act": "relu"}), *(("qwen3", changes) for changes in QWEN)]
QUIET = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def randomise(*modules: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in modules:
            for p in module.parameters():
                p.copy_(torch.randn(p.shape, generator=generator) * 0.3)


def tensors_of(encoder: Any, head: CausalLMHead) -> dict[str, torch.Tensor]:
    parts = {"encoder": encoder, "heads.causal_lm": head}
    return {f"{part}.{k}": v for part, module in parts.items() for k, v in module.state_dict().items()}


def pair(name: str, changes: dict[str, Any], **sizes: Any) -> tuple[Any, CausalLMHead, Any]:
    """Our decoder, its head, and transformers' model with the same random weights."""
    sizes = {**SIZES, **sizes}
    if name == "gpt":
        config: Any = GptConfig(**{**sizes, **QUIET, **changes})
        encoder: Any = Gpt(config).eval()
        head = CausalLMHead(encoder)
        randomise(encoder, head)
        theirs = transformers.GPT2LMHeadModel(
            transformers.GPT2Config(**gpt_format.config_to_theirs(config.model_dump()))
        )
        tensors = gpt_format.FAMILY.to_theirs(tensors_of(encoder, head), (), config.model_dump())
        tied = set(gpt_format.TIED)
    else:
        config = Qwen3Config(**{**sizes, **changes})
        encoder = Qwen3(config).eval()
        head = CausalLMHead(encoder)
        randomise(encoder, head)
        theirs = transformers.Qwen3ForCausalLM(
            transformers.Qwen3Config(**qwen3_format.config_to_theirs(config.model_dump()))
        )
        tensors = qwen3_format.FAMILY.to_theirs(tensors_of(encoder, head), (), config.model_dump())
        tied = set(qwen3_format.TIED) if config.tie_word_embeddings else set()
    missing, unexpected = theirs.load_state_dict(tensors, strict=False)
    assert set(missing) == tied
    assert unexpected == []
    theirs.tie_weights()
    return encoder, head, theirs.eval()


def whole_rows(ids: torch.Tensor) -> Batch:
    rows, length = ids.shape
    position = torch.arange(length).expand_as(ids).contiguous()
    return Batch(
        ids, torch.ones_like(ids), position, torch.zeros_like(ids), torch.arange(rows) * length, packed=False
    )


def some_ids(rows: int, length: int) -> torch.Tensor:
    return torch.randint(5, 60, (rows, length), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("name", "changes"), CASES)
def test_hidden_states_and_logits(name: str, changes: dict[str, Any]) -> None:
    encoder, head, theirs = pair(name, changes)
    ids = some_ids(3, 33)
    with torch.no_grad():
        reference = theirs(input_ids=ids, output_hidden_states=True)
        layers = encoder.encode(whole_rows(ids), keep="all").layers
        for ours, layer in zip(layers, reference.hidden_states, strict=True):
            assert (ours - layer).abs().max() <= TOLERANCE * max(1.0, float(layer.abs().max()))
        scale = max(1.0, float(reference.logits.abs().max()))
        assert (head.logits(layers[-1]) - reference.logits).abs().max() <= TOLERANCE * scale


def test_small_logits_agree_without_a_scale() -> None:
    """At the scale of real models, whose logits are a few units."""
    for name in ("gpt", "qwen3"):
        encoder, head, theirs = pair(name, {} if name == "gpt" else QWEN[0])
        with torch.no_grad():
            for p in encoder.parameters():
                p.mul_(0.3)
            tensors = tensors_of(encoder, head)
            family = (gpt_format if name == "gpt" else qwen3_format).FAMILY
            there = family.to_theirs(tensors, (), encoder.config.model_dump())
            theirs.load_state_dict(there, strict=False)
            theirs.tie_weights()
            ids = some_ids(2, 40)
            logits = head.logits(encoder.encode(whole_rows(ids)).last)
            assert (logits - theirs(input_ids=ids).logits).abs().max() <= TOLERANCE


def greedy(
    encoder: Any, head: CausalLMHead, ids: torch.Tensor, new: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Greedy continuations through the cache, and the logits of every step."""
    cache = encoder.new_cache(ids.size(0), ids.size(1) + new)
    grown, step, seen = ids, ids, []
    for _ in range(new):
        seen.append(head.logits(encoder.decode(step, cache)[:, -1]))
        step = seen[-1].argmax(-1, keepdim=True)
        grown = torch.cat([grown, step], dim=1)
    return grown, torch.stack(seen, dim=1)


@pytest.mark.parametrize(("name", "changes"), CASES)
def test_greedy_continuation(name: str, changes: dict[str, Any]) -> None:
    encoder, head, theirs = pair(name, changes)
    ids = some_ids(3, 12)
    with torch.no_grad():
        grown, logits = greedy(encoder, head, ids, 20)
        recomputed = head.logits(encoder.encode(whole_rows(grown[:, :-1])).last[:, 11:])
        torch.testing.assert_close(logits, recomputed, atol=1e-4, rtol=1e-4)
        reference = theirs.generate(
            ids, max_new_tokens=20, min_new_tokens=20, do_sample=False, pad_token_id=0, eos_token_id=None
        )
    assert torch.equal(grown, reference)


@pytest.mark.slow
def test_greedy_continuation_of_gpt2s_shape() -> None:
    """124 million random weights in float32: the same tokens as transformers."""
    sizes = {
        "vocab_size": 50257,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "max_position_embeddings": 1024,
    }
    config = GptConfig(**{**sizes, **QUIET})
    torch.manual_seed(0)
    encoder = Gpt(config).eval()
    head = CausalLMHead(encoder)
    theirs = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(**gpt_format.config_to_theirs(config.model_dump()))
    )
    theirs.load_state_dict(
        gpt_format.FAMILY.to_theirs(tensors_of(encoder, head), (), config.model_dump()), strict=False
    )
    theirs.tie_weights()
    theirs.eval()
    ids = torch.randint(0, 50257, (1, 24), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        grown, _ = greedy(encoder, head, ids, 24)
        reference = theirs.generate(
            ids, max_new_tokens=24, min_new_tokens=24, do_sample=False, pad_token_id=0, eos_token_id=None
        )
    assert torch.equal(grown, reference)
    assert len(set(grown[0, 24:].tolist())) > 1


def test_gpt_key_table_runs_both_ways() -> None:
    encoder, head, theirs = pair("gpt", {})
    ours = tensors_of(encoder, head)
    pairs = list(expand(gpt_format.RULES, LAYERS))
    assert {o for o, _ in pairs} == set(ours)
    assert {t for _, t in pairs} == set(theirs.state_dict()) - set(gpt_format.TIED)
    family, config = gpt_format.FAMILY, encoder.config.model_dump()
    back = family.to_ours(family.to_theirs(ours, (), config), (), config)
    assert all(torch.equal(back[k], ours[k]) for k in ours)
    assert gpt_format.config_to_ours(theirs.config.to_dict()) == encoder.config.model_dump()


@pytest.mark.parametrize("changes", QWEN)
def test_qwen3_key_table_runs_both_ways(changes: dict[str, Any]) -> None:
    encoder, head, theirs = pair("qwen3", changes)
    ours, config = tensors_of(encoder, head), encoder.config.model_dump()
    there = qwen3_format.FAMILY.to_theirs(ours, (), config)
    tied = set(qwen3_format.TIED) if encoder.config.tie_word_embeddings else set()
    assert set(there) == set(theirs.state_dict()) - tied
    back = qwen3_format.FAMILY.to_ours(theirs.state_dict(), (), config)
    assert set(back) == set(ours)
    assert all(torch.equal(back[k], ours[k]) for k in ours)
    imported = qwen3_format.config_to_ours(theirs.config.to_dict())
    assert {**config, "head_dim": encoder.config.head_size} == {**imported, "pad_token_id": 0}

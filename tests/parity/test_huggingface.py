"""Runs leave for transformers and come back: equal logits there, the same bits here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import polyseme
from foreign import HEADS, gpt2_like, random_imported, random_run, small_tokenizer
from polyseme.formats.registry import export_model, import_model
from polyseme.formats.runs import write_run
from polyseme.infer.generate import generate
from polyseme.infer.score import score

transformers = pytest.importorskip("transformers")

TOLERANCE = 1e-5
LM = {
    "bert": "AutoModelForPreTraining",
    "ernie": "AutoModelForPreTraining",
    "modernbert": "AutoModelForMaskedLM",
    "gpt": "AutoModelForCausalLM",
    "qwen3": "AutoModelForCausalLM",
}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("bert", {}),
    ("ernie", {}),
    ("ernie", {"use_task_id": True}),
    ("modernbert", {"kind": "byte-bpe"}),
    ("modernbert", {"norm_bias": True, "classifier_bias": True, "global_attn_every_n_layers": 2}),
    ("gpt", {"kind": "byte-bpe"}),
    ("gpt", {"kind": "unigram", "hidden_act": "relu"}),
    ("qwen3", {"kind": "byte-bpe", "vocab_size": 512}),
    ("qwen3", {"tie_word_embeddings": False, "head_dim": None, "rope_theta": 300.0}),
]
TEXT = "It was a good café day; 今天天气很好 🙂"


def same_bits(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def load_theirs(name: str, folder: Path) -> Any:
    model, report = getattr(transformers, LM[name]).from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert not report["mismatched_keys"]
    return model.eval()


@pytest.mark.parametrize(("name", "changes"), CASES)
def test_a_run_leaves_and_comes_back(name: str, changes: dict[str, Any], tmp_path: Path) -> None:
    run = random_run(tmp_path / "run", name, **changes)
    written = export_model(tmp_path / "run", "huggingface", tmp_path / "theirs")
    assert sorted(written.files) == sorted(p.name for p in written.path.iterdir())

    ours = polyseme.load(tmp_path / "run")
    theirs = load_theirs(name, tmp_path / "theirs")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "theirs")
    inputs = tokenizer(TEXT, return_tensors="pt")
    batch = ours.batch([ours.tokenizer.encode(TEXT).ids])
    n = inputs["input_ids"].size(1)  # a decoder's text has no end there
    assert inputs["input_ids"].tolist() == batch.ids[:, :n].tolist()
    with torch.no_grad():
        reference = theirs(**inputs, output_hidden_states=True)
        encoding = ours.encoder.encode(batch, keep="all")
        for mine, layer in zip(encoding.layers, reference.hidden_states, strict=True):
            assert (mine[:, :n] - layer).abs().max() <= TOLERANCE
        logits = ours.heads[HEADS[name][0]].logits(encoding.last)[:, :n]
        their_logits = (
            reference.prediction_logits
            if "For" in LM[name] and name in ("bert", "ernie")
            else reference.logits
        )
        assert (logits - their_logits).abs().max() <= TOLERANCE
        if name in ("bert", "ernie"):
            judged = ours.heads[HEADS[name][1]](encoding.at(batch.first))
            assert (judged - reference.seq_relationship_logits).abs().max() <= TOLERANCE

    again = import_model(tmp_path / "theirs", tmp_path / "again")
    assert same_bits(again.weights()[0], run.weights()[0])
    expected = run.meta["recipe"]
    if expected["model"].get("head_dim", 1) is None:  # theirs is always written out
        expected["model"]["head_dim"] = (
            expected["model"]["hidden_size"] // expected["model"]["num_attention_heads"]
        )
    assert again.meta["recipe"] == expected
    back = polyseme.load(tmp_path / "again").tokenizer
    assert back.special_ids == ours.tokenizer.special_ids
    assert back.encode(TEXT).ids == ours.tokenizer.encode(TEXT).ids
    if name in ("gpt", "qwen3"):
        assert (back.prefix_ids, back.suffix_ids) == (ours.tokenizer.prefix_ids, ())
    theirs.save_pretrained(tmp_path / "saved", max_shard_size="40KB")
    assert len(list((tmp_path / "saved").glob("*.safetensors"))) > 1
    for file in (tmp_path / "theirs").glob("*token*"):
        (tmp_path / "saved" / file.name).write_bytes(file.read_bytes())
    saved = import_model(tmp_path / "saved", tmp_path / "from-shards")
    first = {k.replace("dialogue", "next_sentence"): v for k, v in run.weights()[0].items()}
    second = {k.replace("dialogue", "next_sentence"): v for k, v in saved.weights()[0].items()}
    assert same_bits(second, first)


@pytest.mark.parametrize("name", ["bert", "ernie", "modernbert"])
def test_an_encoder_without_heads(name: str, tmp_path: Path) -> None:
    write_run(random_imported(name, []), tmp_path / "run")
    export_model(tmp_path / "run", "huggingface", tmp_path / "theirs")
    architecture = json.loads((tmp_path / "theirs" / "config.json").read_text())["architectures"]
    assert architecture == [
        {"bert": "BertModel", "ernie": "ErnieModel", "modernbert": "ModernBertModel"}[name]
    ]
    theirs = transformers.AutoModel.from_pretrained(tmp_path / "theirs").eval()
    ours = polyseme.load(tmp_path / "run")
    batch = ours.batch([ours.tokenizer.encode(TEXT).ids])
    with torch.no_grad():
        assert (
            theirs(batch.ids).last_hidden_state - ours.encoder.encode(batch).last
        ).abs().max() <= TOLERANCE
    theirs.save_pretrained(tmp_path / "bare")  # names without the prefix
    assert not any(k.startswith("bert.") for k in load_file(tmp_path / "bare" / "model.safetensors"))
    for file in (tmp_path / "theirs").glob("*token*"):
        (tmp_path / "bare" / file.name).write_bytes(file.read_bytes())
    again = import_model(tmp_path / "bare", tmp_path / "again")
    assert again.meta["recipe"]["objectives"] == []
    assert same_bits(again.weights()[0], ours.run.weights()[0])


def test_old_names_half_precision_and_heads_of_tasks(tmp_path: Path) -> None:
    """Names gamma and beta, buffers, tied tensors under a second name, float16 and bfloat16, a classifier."""
    run = random_run(tmp_path / "run", "bert")
    export_model(tmp_path / "run", "huggingface", tmp_path / "theirs")
    file = tmp_path / "theirs" / "model.safetensors"
    new = load_file(file)
    old = {}
    for name, tensor in new.items():
        if "LayerNorm" in name:
            name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                "LayerNorm.bias", "LayerNorm.beta"
            )
        old[name] = tensor.half() if "layer.0" in name else tensor.bfloat16() if "layer.1" in name else tensor
    old["bert.embeddings.position_ids"] = torch.arange(64)[None]
    old["cls.predictions.decoder.weight"] = new["bert.embeddings.word_embeddings.weight"].clone()
    old["cls.predictions.decoder.bias"] = new["cls.predictions.bias"].clone()
    old["classifier.weight"], old["classifier.bias"] = torch.zeros(3, 24), torch.zeros(3)
    save_file(old, file)
    config = json.loads((tmp_path / "theirs" / "config.json").read_text())
    del config["polyseme"], config["model_type"]
    config |= {
        "architectures": ["BertForSequenceClassification"],
        "id2label": {"0": "a"},
        "directionality": "bidi",
    }
    (tmp_path / "theirs" / "config.json").write_text(json.dumps(config))
    imported = import_model(tmp_path / "theirs", tmp_path / "again")
    assert imported.meta["imported"]["left_out"] == ["classifier.bias", "classifier.weight"]
    mine, theirs = imported.weights()[0], run.weights()[0]
    assert mine.keys() == theirs.keys()
    assert all(t.dtype == torch.float32 for t in mine.values())
    for name, tensor in theirs.items():
        if "blocks.0" in name:
            tensor = tensor.half().float()
        elif "blocks.1" in name:
            tensor = tensor.bfloat16().float()
        assert torch.equal(mine[name], tensor), name


def test_weights_without_a_pooler(tmp_path: Path) -> None:
    config = transformers.BertConfig(
        vocab_size=small_tokenizer().vocab_size, hidden_size=24, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=40, max_position_embeddings=40,
    )  # fmt: skip
    torch.manual_seed(0)
    theirs = transformers.BertForMaskedLM(config).eval()
    theirs.save_pretrained(tmp_path / "theirs")
    small_tokenizer().save(tmp_path / "theirs" / "tokenizer.json")
    run = import_model(tmp_path / "theirs", tmp_path / "run")
    assert run.meta["recipe"]["model"]["add_pooling_layer"] is False
    ours = polyseme.load(tmp_path / "run")
    batch = ours.batch([ours.tokenizer.encode(TEXT).ids])
    with torch.no_grad():
        logits = ours.masked_lm_head.logits(ours.encoder.encode(batch).last)
        assert (logits - theirs(batch.ids).logits).abs().max() <= TOLERANCE
    export_model(tmp_path / "run", "huggingface", tmp_path / "back")
    assert same_bits(
        load_file(tmp_path / "back" / "model.safetensors"),
        load_file(tmp_path / "theirs" / "model.safetensors"),
    )


def test_gpt2_reads_texts_as_they_are(tmp_path: Path) -> None:
    """No token before a text: generation and likelihood are transformers'; an empty prompt starts from the only one."""
    theirs = gpt2_like(tmp_path / "theirs")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "theirs")
    import_model(tmp_path / "theirs", tmp_path / "run")
    ours = polyseme.load(tmp_path / "run")
    end = tokenizer.eos_token_id
    assert (ours.tokenizer.prefix_ids, ours.tokenizer.suffix_ids) == ((), ())
    assert ours.tokenizer.special_ids == (end,)
    assert ours.tokenizer.mask_id == -1
    prompts = ["It was a", "今天气 day", "The file is read line"]
    for prompt, found in zip(prompts, generate(ours, prompts, max_new_tokens=20, temperature=0), strict=True):
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            reference = theirs.generate(ids, max_new_tokens=20, do_sample=False, pad_token_id=end)[
                0, ids.size(1) :
            ]
            loss = theirs(ids, labels=ids).loss
        assert found.text == tokenizer.decode(reference, skip_special_tokens=True)
        (scored,) = score(ours, [prompt])
        assert scored.tokens == ids.size(1) - 1
        assert scored.log_likelihood == pytest.approx(-float(loss) * scored.tokens, abs=1e-4)
    begun = torch.tensor([[end]])
    with torch.no_grad():
        reference = theirs.generate(begun, max_new_tokens=8, do_sample=False, pad_token_id=end)[0, 1:]
    assert generate(ours, "", max_new_tokens=8, temperature=0).text == tokenizer.decode(
        reference, skip_special_tokens=True
    )
    export_model(tmp_path / "run", "huggingface", tmp_path / "back")
    assert same_bits(
        load_file(tmp_path / "back" / "model.safetensors"),
        load_file(tmp_path / "theirs" / "model.safetensors"),
    )
    back = transformers.AutoTokenizer.from_pretrained(tmp_path / "back")
    assert all(back(t)["input_ids"] == tokenizer(t)["input_ids"] for t in [*prompts, TEXT])


def test_real_weights(real_weights: Path, tmp_path: Path) -> None:
    import_model(real_weights, tmp_path / "run", "huggingface")
    ours = polyseme.load(tmp_path / "run")
    theirs = transformers.AutoModel.from_pretrained(real_weights).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(real_weights)
    for text in (
        TEXT,
        "",
        "A sentence. " * 60,
        "e\u0301\u200b 한국어 \U0001f468\u200d\U0001f469\u200d\U0001f467 ﬁ İstanbul",
    ):
        inputs = tokenizer(text, return_tensors="pt")
        batch = ours.batch([ours.tokenizer.encode(text).ids])
        assert batch.ids.tolist() == inputs["input_ids"].tolist()
        with torch.no_grad():
            reference = theirs(**inputs, output_hidden_states=True).hidden_states
            for mine, layer in zip(ours.encoder.encode(batch, keep="all").layers, reference, strict=True):
                assert (mine - layer).abs().max() <= TOLERANCE


HYBRIDS: list[tuple[str, dict[str, Any], str]] = [
    ("modernbert", {"kind": "byte-bpe", "local_attention": 6}, "ModernBertDecoderForCausalLM"),
    ("modernbert", {"global_attn_every_n_layers": 2, "local_attention": 2}, "ModernBertDecoderForCausalLM"),
    ("modernbert", {"norm_bias": True, "classifier_bias": True}, "ModernBertDecoderForCausalLM"),
    ("bert", {}, "BertLMHeadModel"),
    ("ernie", {"use_task_id": True}, "ErnieForCausalLM"),
]


@pytest.mark.parametrize(("name", "changes", "architecture"), HYBRIDS)
def test_a_run_that_reads_and_writes_leaves_as_two(
    name: str, changes: dict[str, Any], architecture: str, tmp_path: Path
) -> None:
    """Logits under both masks, greedy texts, and the same bits when the encoder comes back."""
    run = write_run(random_imported(name, ["hybrid"], **changes), tmp_path / "run")
    written = export_model(tmp_path / "run", "huggingface", tmp_path / "theirs")
    assert sorted(written.files) == sorted(
        str(p.relative_to(written.path)) for p in written.path.rglob("*") if p.is_file()
    )
    ours = polyseme.load(tmp_path / "run")
    head: Any = ours.heads["hybrid"]
    batch = ours.batch([ours.tokenizer.encode(TEXT).ids])
    for folder, auto, causal in (
        (written.path, transformers.AutoModelForMaskedLM, False),
        (written.path / "decoder", transformers.AutoModelForCausalLM, True),
    ):
        theirs, report = auto.from_pretrained(folder, output_loading_info=True)
        assert not report["missing_keys"]
        assert not report["mismatched_keys"]
        unexpected = {key for key in report["unexpected_keys"] if ".pooler." not in key}
        assert not unexpected
        inputs = transformers.AutoTokenizer.from_pretrained(folder)(TEXT, return_tensors="pt")
        n = inputs["input_ids"].size(1)  # a decoder's text has no end there
        assert n == batch.ids.size(1) - causal
        assert inputs["input_ids"].tolist() == batch.ids[:, :n].tolist()
        with torch.no_grad():
            reference = theirs.eval()(**inputs).logits
            logits = head.logits(ours.encoder.encode(replace(batch, causal=causal)).last)[:, :n]
        assert (logits - reference).abs().max() <= TOLERANCE
    assert type(theirs).__name__ == architecture
    prompt = "It was a good"
    inputs = transformers.AutoTokenizer.from_pretrained(folder)(prompt, return_tensors="pt")
    # of a window of one token, their cache keeps all: text[-0:]
    there = theirs.generate(**inputs, max_new_tokens=20, use_cache=changes.get("local_attention") != 2)[
        0
    ].tolist()
    mine = generate(ours, prompt, max_new_tokens=20, temperature=0)
    shown = [ours.tokenizer.display(i) for i in there[inputs["input_ids"].size(1) :]]
    assert [token.token for token in mine.tokens] == shown[: len(mine.tokens)]
    again = import_model(written.path, tmp_path / "again")
    assert same_bits(again.weights()[0], run.weights()[0])
    assert again.meta["recipe"]["objectives"] == ["hybrid"]
    assert "generate" in polyseme.load(tmp_path / "again").abilities

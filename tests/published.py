"""Directories in the form of four published models, as `hf download` leaves them: the same files, configurations,
names of tensors and kinds of tokenizer, but small sizes and random weights.

bert-base-uncased, bert-base-chinese    TensorFlow's gamma and beta, heads for masks and next sentences, weights twice
gpt2                                    names without a prefix, masks among the tensors, no output layer of its own
Qwen3-0.6B                              bfloat16, tied weights stored twice, added tokens, room in the vocabulary
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tokenizers as hf
import torch
from safetensors.torch import save_file
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor

TEXTS = [
    "The capital of France is Paris. He sat on the bank of the river; the bank lent him money.",
    "Is it good or bad? Q: What was open? A: The file was open. TL;DR: true, false.",
    "english french = the file le fichier, a list une liste, good day bonne journée.",
    "北京是中国的首都，历史很长。今天天气很好，我们去公园散步。苹果和窗口。把英文译成中文：你好。",
]
_HIDDEN, _LAYERS, _HEADS, _INNER, _LENGTH = 32, 2, 4, 48, 128
_QWEN_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN_ADDED = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]


def write_all(folder: Path, uses: Iterable[str] = ()) -> None:
    """All four.

    Args:
        uses: further texts whose words the tokenizers are to know.
    """
    texts = [*TEXTS, *uses]
    bert(folder / "bert-base-uncased", texts, lower=True)
    bert(folder / "bert-base-chinese", texts, lower=False)
    gpt2(folder / "gpt2", texts)
    qwen3(folder / "Qwen3-0.6B", texts)


def bert(folder: Path, texts: Iterable[str], lower: bool) -> None:
    special = ["[PAD]", *(f"[unused{i}]" for i in range(1, 5)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = sorted({word for text in texts for word in (text.lower() if lower else text).split()})
    signs = sorted({sign for word in words for sign in word})
    tokens = [*special, *signs, *(f"##{sign}" for sign in signs if sign.isascii()), *_plain(words)]
    tokens = list(dict.fromkeys(tokens))
    h, v = _HIDDEN, len(tokens)
    shapes: dict[str, tuple[int, ...]] = {
        "bert.embeddings.word_embeddings.weight": (v, h),
        "bert.embeddings.position_embeddings.weight": (_LENGTH, h),
        "bert.embeddings.token_type_embeddings.weight": (2, h),
        "bert.pooler.dense.weight": (h, h),
        "bert.pooler.dense.bias": (h,),
        "cls.predictions.bias": (v,),
        "cls.predictions.transform.dense.weight": (h, h),
        "cls.predictions.transform.dense.bias": (h,),
        "cls.seq_relationship.weight": (2, h),
        "cls.seq_relationship.bias": (2,),
    }
    norms = ["bert.embeddings.LayerNorm", "cls.predictions.transform.LayerNorm"]
    for i in range(_LAYERS):
        layer = f"bert.encoder.layer.{i}."
        for name, (rows, columns) in {
            "attention.self.query": (h, h),
            "attention.self.key": (h, h),
            "attention.self.value": (h, h),
            "attention.output.dense": (h, h),
            "intermediate.dense": (_INNER, h),
            "output.dense": (h, _INNER),
        }.items():
            shapes |= {f"{layer}{name}.weight": (rows, columns), f"{layer}{name}.bias": (rows,)}
        norms += [f"{layer}attention.output.LayerNorm", f"{layer}output.LayerNorm"]
    tensors = _random(shapes)
    for name in norms:
        tensors |= {f"{name}.gamma": torch.ones(h), f"{name}.beta": torch.zeros(h)}
    config = {
        "architectures": ["BertForMaskedLM"],
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": h,
        "initializer_range": 0.02,
        "intermediate_size": _INNER,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": _LENGTH,
        "model_type": "bert",
        "num_attention_heads": _HEADS,
        "num_hidden_layers": _LAYERS,
        "pad_token_id": 0,
        "type_vocab_size": 2,
        "vocab_size": v,
    }
    config |= (
        {"gradient_checkpointing": False, "position_embedding_type": "absolute", "use_cache": True}
        if lower
        else {"directionality": "bidi", "pooler_fc_size": h, "pooler_type": "first_token_transform"}
    )
    _write(folder, config, tensors)
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", "utf-8")
    _json(folder / "tokenizer_config.json", {"do_lower_case": lower, "model_max_length": 512})
    backend = hf.Tokenizer(models.WordPiece({token: i for i, token in enumerate(tokens)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=lower)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    backend.add_special_tokens([token for token in special if not token.startswith("[unused")])
    backend.post_processor = processors.BertProcessing(
        ("[SEP]", tokens.index("[SEP]")), ("[CLS]", tokens.index("[CLS]"))
    )
    backend.save(str(folder / "tokenizer.json"))
    for name in (
        "pytorch_model.bin",
        "tf_model.h5",
        "flax_model.msgpack",
    ):  # older copies, which nobody reads
        (folder / name).write_bytes(b"\x80\x04")


def _plain(words: Iterable[str]) -> list[str]:
    return [word for word in words if word.isascii() and word.isalpha()]


def gpt2(folder: Path, texts: Iterable[str]) -> None:
    backend = hf.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.ByteLevel(trim_offsets=False)
    _learn(backend, texts, ["<|endoftext|>"])
    h, v = _HIDDEN, backend.get_vocab_size()
    shapes: dict[str, tuple[int, ...]] = {"wte.weight": (v, h), "wpe.weight": (_LENGTH, h)}
    norms = ["ln_f"]
    masks = {}
    for i in range(_LAYERS):
        for name, shape in {
            "attn.c_attn": (h, 3 * h),
            "attn.c_proj": (h, h),
            "mlp.c_fc": (h, 4 * h),
            "mlp.c_proj": (4 * h, h),
        }.items():
            shapes |= {f"h.{i}.{name}.weight": shape, f"h.{i}.{name}.bias": shape[1:]}
        norms += [f"h.{i}.ln_1", f"h.{i}.ln_2"]
        masks[f"h.{i}.attn.bias"] = torch.ones(_LENGTH, _LENGTH).tril().view(1, 1, _LENGTH, _LENGTH)
    tensors = _random(shapes) | masks
    for name in norms:
        tensors |= {f"{name}.weight": torch.ones(h), f"{name}.bias": torch.zeros(h)}
    end = backend.token_to_id("<|endoftext|>")
    config = {
        "activation_function": "gelu_new",
        "architectures": ["GPT2LMHeadModel"],
        "attn_pdrop": 0.1,
        "bos_token_id": end,
        "embd_pdrop": 0.1,
        "eos_token_id": end,
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-5,
        "model_type": "gpt2",
        "n_ctx": _LENGTH,
        "n_embd": h,
        "n_head": _HEADS,
        "n_layer": _LAYERS,
        "n_positions": _LENGTH,
        "resid_pdrop": 0.1,
        "summary_activation": None,
        "summary_first_dropout": 0.1,
        "summary_proj_to_labels": True,
        "summary_type": "cls_index",
        "summary_use_proj": True,
        "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
        "vocab_size": v,
    }
    _write(folder, config, tensors)
    _json(folder / "generation_config.json", {"bos_token_id": end, "eos_token_id": end})
    _json(folder / "tokenizer_config.json", {"model_max_length": 1024})
    _byte_pairs(folder, backend)
    (folder / "onnx").mkdir()
    (folder / "64.tflite").write_bytes(b"TFL3")


def qwen3(folder: Path, texts: Iterable[str]) -> None:
    backend = hf.Tokenizer(models.BPE())
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(hf.Regex(_QWEN_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.ByteLevel(trim_offsets=False)
    _learn(backend, texts, [])
    backend.add_special_tokens(_QWEN_ADDED[:3])
    backend.add_tokens([hf.AddedToken(token, normalized=False) for token in _QWEN_ADDED[3:]])
    h, v, shared, size = _HIDDEN, backend.get_vocab_size() + 7, 2, 16  # rows that no token has
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (v, h)}
    norms = {"model.norm.weight": h}
    for i in range(_LAYERS):
        layer = f"model.layers.{i}."
        shapes |= {
            f"{layer}self_attn.q_proj.weight": (_HEADS * size, h),
            f"{layer}self_attn.k_proj.weight": (shared * size, h),
            f"{layer}self_attn.v_proj.weight": (shared * size, h),
            f"{layer}self_attn.o_proj.weight": (h, _HEADS * size),
            f"{layer}mlp.gate_proj.weight": (_INNER, h),
            f"{layer}mlp.up_proj.weight": (_INNER, h),
            f"{layer}mlp.down_proj.weight": (h, _INNER),
        }
        norms |= {f"{layer}input_layernorm.weight": h, f"{layer}post_attention_layernorm.weight": h}
        norms |= {f"{layer}self_attn.q_norm.weight": size, f"{layer}self_attn.k_norm.weight": size}
    tensors = _random(shapes) | {name: torch.ones(width) for name, width in norms.items()}
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    first, turn = (backend.token_to_id(token) for token in ("<|endoftext|>", "<|im_end|>"))
    config = {
        "architectures": ["Qwen3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": first,
        "eos_token_id": turn,
        "head_dim": size,
        "hidden_act": "silu",
        "hidden_size": h,
        "initializer_range": 0.02,
        "intermediate_size": _INNER,
        "max_position_embeddings": 40960,
        "max_window_layers": _LAYERS,
        "model_type": "qwen3",
        "num_attention_heads": _HEADS,
        "num_hidden_layers": _LAYERS,
        "num_key_value_heads": shared,
        "rms_norm_eps": 1e-6,
        "rope_scaling": None,
        "rope_theta": 1000000,
        "sliding_window": None,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "use_sliding_window": False,
        "vocab_size": v,
    }
    _write(folder, config, {name: tensor.bfloat16() for name, tensor in tensors.items()})
    ends = {"bos_token_id": first, "eos_token_id": [turn, first], "pad_token_id": first}
    _json(
        folder / "generation_config.json",
        {"do_sample": True, "temperature": 0.6, "top_k": 20, "top_p": 0.95, **ends},
    )
    added = {
        str(backend.token_to_id(token)): {
            "content": token,
            "special": token in _QWEN_ADDED[:3],
            "normalized": False,
        }
        for token in _QWEN_ADDED
    }
    settings = {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": added,
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
        "bos_token": None,
        "chat_template": "{% for message in messages %}{{ message.content }}{% endfor %}",
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 131072,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
    _json(folder / "tokenizer_config.json", settings)
    _byte_pairs(folder, backend)


def _learn(backend: hf.Tokenizer, texts: Iterable[str], special: list[str]) -> None:
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    backend.add_special_tokens(special)


def _byte_pairs(folder: Path, backend: hf.Tokenizer) -> None:
    backend.save(str(folder / "tokenizer.json"))
    model = json.loads(backend.to_str())["model"]
    _json(folder / "vocab.json", model["vocab"])
    lines = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(lines) + "\n", "utf-8")


def _random(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(7)
    return {name: torch.randn(shape, generator=generator) * 0.2 for name, shape in shapes.items()}


def _write(folder: Path, config: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    folder.mkdir(parents=True)
    _json(folder / "config.json", config)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    for name in ("README.md", "LICENSE", ".gitattributes"):
        (folder / name).write_text("as it was published\n", "utf-8")
    cache = folder / ".cache" / "huggingface" / "download"  # what hf remembers
    cache.mkdir(parents=True)
    (cache / "config.json.metadata").write_text("0\n", "utf-8")


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")

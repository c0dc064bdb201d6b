"""Tokenizers of Hugging Face directories give transformers' ids, whatever the text."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from foreign import TEXTS, random_run, small_tokenizer
from polyseme.formats.huggingface.tokenizer import read_tokenizer
from polyseme.formats.registry import export_model
from polyseme.text.tokenizers import Tokenizer

transformers = pytest.importorskip("transformers")

_PARTS = [
    *TEXTS[:3], "Großstraße", "İstanbul I\u0307", "ﬁn ﬀ ½ ℌ ①", "e\u0301te\u0301", "\u1100\u1161\u11a8 한국어",
    "ひらがなカタカナー",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 🙂🏽 🇨🇳", "𠮷野家 \U00020000",
    "a\u0300\u0301\u0302b", "zero\u200bwidth \ufeffbom",
    "tab\tnew\nline\r\nreturn\x0bvt\x0cff", "\u00a0nbsp\u3000wide\u2028sep", "don't I'll we've it's 'S", "x" * 120,
    "3.14 1,000,000 2e-5 #1 @you", "…—–‘’“”«»", "，。！？；：（）【】《》", "नमस्ते दुनिया", "שָׁלוֹם عَرَبِيّ", "Ω≈ç√∫˜µ≤≥÷",
    "\x00null\x01\x1f\x7f\x85", "\ufffd \ue000", "CamelCaseHTTPServer snake_case", "  leading and trailing  ",
]  # fmt: skip


def strings() -> list[str]:
    """Some hundred texts: the parts, mixtures of them, and arbitrary characters."""
    rng = random.Random(7)
    mixed = ["".join(rng.sample(_PARTS, 3)) for _ in range(80)]
    blocks = [
        (0x20, 0x7F),
        (0xA0, 0x24F),
        (0x300, 0x370),
        (0x4E00, 0x9FFF),
        (0x1F300, 0x1FAFF),
        (0x2000, 0x2070),
    ]
    odd = [
        "".join(chr(rng.randint(*rng.choice(blocks))) for _ in range(rng.randint(1, 30))) for _ in range(200)
    ]
    return ["", " ", *_PARTS, *mixed, *odd]


def compare(ours: Tokenizer, folder: Path, texts: list[str]) -> None:
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    for text, batched in zip(texts, ours.encode_batch(texts), strict=True):
        tokens = ours.encode(text)
        assert tokens.ids == batched.ids == theirs(text, add_special_tokens=False)["input_ids"], repr(text)
        assert [*ours.prefix_ids, *tokens.ids, *ours.suffix_ids] == theirs(text)["input_ids"]
        assert all(0 <= start <= end <= len(text) for start, end in tokens.offsets)


def bert_folder(folder: Path, **settings: Any) -> Path:
    """A directory as the first BERTs were: a token a line, special tokens anywhere."""
    words = [
        w for w, _ in sorted(small_tokenizer().as_json()["model"]["vocab"].items(), key=lambda item: item[1])
    ]
    more = [
        "Groß",
        "##straße",
        "gross",
        "##strasse",
        "e",
        "É",
        "é",
        "İ",
        "i",
        "ﬁ",
        "##n",
        "Camel",
        "camel",
        "한국어",
        "x",
        "##x",
    ]
    tokens = ["[PAD]", *words[5:], *[w for w in more if w not in words], "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", "utf-8")
    (folder / "config.json").write_text('{"model_type": "bert"}')
    if settings:
        settings = {"tokenizer_class": "BertTokenizer", **settings}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


@pytest.mark.parametrize("chinese", [True, False])
@pytest.mark.parametrize("accents", [None, True, False])
@pytest.mark.parametrize("lower", [True, False])
def test_vocab_txt(lower: bool, accents: bool | None, chinese: bool, tmp_path: Path) -> None:
    settings = {"do_lower_case": lower, "strip_accents": accents, "tokenize_chinese_chars": chinese}
    folder = bert_folder(tmp_path / "bert", **settings)
    ours = read_tokenizer(folder, {"model_type": "bert"})
    compare(ours, folder, strings())
    n = ours.vocab_size
    assert (ours.pad_id, ours.unk_id, ours.cls_id, ours.sep_id, ours.mask_id) == (
        0,
        n - 4,
        n - 3,
        n - 2,
        n - 1,
    )
    ours.save(tmp_path / "tokenizer.json")
    assert Tokenizer.from_file(tmp_path / "tokenizer.json").special_ids == ours.special_ids


def test_vocab_txt_alone(tmp_path: Path) -> None:
    folder = bert_folder(tmp_path / "bert")
    compare(read_tokenizer(folder, {"model_type": "bert"}), folder, strings())


@pytest.mark.parametrize("how", ["additional_special_tokens", "added_tokens.json"])
def test_tokens_that_are_declared_beside_vocab_txt(how: str, tmp_path: Path) -> None:
    folder = bert_folder(tmp_path / "bert")
    words = (folder / "vocab.txt").read_text("utf-8").split("\n")[:-1]
    if how == "added_tokens.json":
        (folder / how).write_text(json.dumps({"[QRY]": len(words), "<ent>": len(words) + 1}))
        more: dict[str, Any] = {"additional_special_tokens": ["[QRY]", "<ent>"]}
    else:
        (folder / "vocab.txt").write_text("\n".join([*words, "[QRY]", "<ent>"]) + "\n", "utf-8")
        more = {how: ["[QRY]", "<ent>"]}
    settings = {"tokenizer_class": "BertTokenizer", **more}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    ours = read_tokenizer(folder, {"model_type": "bert"})
    assert ours.added == ("[QRY]", "<ent>")
    compare(ours, folder, ["[QRY] the cat", "a<ent>b [QRY][QRY]", "[qry] plain", *strings()[:40]])
    ours.save(tmp_path / "tokenizer.json")
    assert Tokenizer.from_file(tmp_path / "tokenizer.json").encode("[QRY]").ids == [len(words)]


@pytest.mark.parametrize("prefix", [False, True])
@pytest.mark.parametrize("kind", ["gpt2", "qwen3"])
def test_vocab_json_and_merges_txt(kind: str, prefix: bool, tmp_path: Path) -> None:
    model = small_tokenizer("byte-bpe").as_json()["model"]
    words = [w for w, _ in sorted(model["vocab"].items(), key=lambda item: item[1])][5:]
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    vocabulary = {w: i for i, w in enumerate([*words, "<|endoftext|>"])}
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", "utf-8")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    settings: dict[str, Any] = {"add_prefix_space": prefix}
    if kind == "qwen3":
        added = {
            "content": "<|im_end|>",
            "special": True,
            "normalized": False,
            "lstrip": False,
            "rstrip": False,
        }
        settings |= {
            "tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>",
            "bos_token": None, "unk_token": None,
            "added_tokens_decoder": {str(len(words) + 1): {**added, "single_word": False}},
        }  # fmt: skip
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    ends = [len(words) + 1, len(words)] if kind == "qwen3" else len(words)
    ours = read_tokenizer(tmp_path, {"model_type": kind, "eos_token_id": ends, "bos_token_id": len(words)})
    compare(ours, tmp_path, strings())
    assert ours.end_ids == (tuple(ends) if isinstance(ends, list) else (ends,))
    assert ours.cls_id == len(words)
    assert ours.mask_id == -1
    ours.save(tmp_path / "saved.json")
    assert (tmp_path / "tokenizer_config.json").exists()


@pytest.mark.parametrize("kind", ["wordpiece", "byte-bpe", "unigram", "characters"])
def test_what_is_exported_gives_the_same_ids(kind: str, tmp_path: Path) -> None:
    random_run(tmp_path / "run", "bert", kind=kind)
    export_model(tmp_path / "run", "huggingface", tmp_path / "theirs")
    compare(Tokenizer.from_file(tmp_path / "run" / "tokenizer.json"), tmp_path / "theirs", strings())


def test_a_saved_tokenizer_keeps_its_roles(tmp_path: Path) -> None:
    folder = bert_folder(tmp_path / "bert", cls_token="[MASK]", mask_token=None)
    ours = read_tokenizer(folder, {"model_type": "bert"})
    ours.save(tmp_path / "tokenizer.json")
    again = Tokenizer.from_file(tmp_path / "tokenizer.json")
    assert (again.cls_id, again.mask_id) == (ours.cls_id, -1)
    assert again.roles == ours.roles
    assert again.fingerprint == ours.fingerprint

"""A Hugging Face directory's tokenizer: tokenizer.json, or BERT's vocab.txt, or GPT-2's vocab.json and merges.txt.

The two older kinds leave some steps to the program that reads them. These are done as in transformers, so that the ids
are the same for every text:

    vocab.txt       WordPiece; a token a line. Control characters go, Chinese characters stand apart
                    (tokenize_chinese_chars), letters lose case (do_lower_case) and accents (strip_accents; None = with
                    do_lower_case); pieces are cut at spaces and punctuation; a text is [CLS] … [SEP]
    merges.txt      byte-level pair encoding; pieces are cut by GPT-2's pattern, or Qwen's; a text is itself

A run's own tokenizer is exported unchanged, except for the separators around texts where a task or a decoder has
others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers as hf
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from polyseme.data.wrapping import Wrapper
from polyseme.errors import CheckpointError, ConfigError, PolysemeError
from polyseme.formats.refused import refuse
from polyseme.formats.tensors import TOKENIZER_LIMIT, member, read_json
from polyseme.text.roles import SETTINGS, resolve_roles
from polyseme.text.tokenizers import Tokenizer, from_library

__all__ = ["for_beginnings", "for_pairs", "read_tokenizer", "tokenizer_files"]

ADDED = "added_tokens.json"
FILES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    SETTINGS,
    "special_tokens_map.json",
    ADDED,
)
MOST_TOKENS = 1 << 22

_QWEN_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_BERT = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}


def tokenizer_files(folder: Path) -> list[str]:
    """Names of the files that `read_tokenizer` reads."""
    names = [name for name in FILES if (folder / name).is_file()]
    return (
        [n for n in names if not n.startswith("vocab") and n != "merges.txt"] if FILES[0] in names else names
    )


def read_tokenizer(folder: Path, config: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer of a directory.

    Args:
        folder: holds tokenizer.json, vocab.txt, or vocab.json with merges.txt; and tokenizer_config.json.
        config: the model's config.json (with generation_config.json's ids over it), for ids of special tokens.
    Raises:  CheckpointError: there is no tokenizer, or a file is damaged.  ConfigError: settings that cannot be
             honoured.
    """
    settings: dict[str, Any] = {}
    for name in ("special_tokens_map.json", SETTINGS):
        if (folder / name).is_file():
            settings |= read_json(member(folder, name), TOKENIZER_LIMIT)
    names = tokenizer_files(folder)
    where = folder / names[0] if names else folder
    if "tokenizer.json" in names:
        spec = _as_settled(read_json(member(folder, "tokenizer.json"), TOKENIZER_LIMIT), settings)
    elif "vocab.txt" in names:
        spec = _spec_of(_wordpiece(_lines(member(folder, "vocab.txt")), settings, where))
    elif "vocab.json" in names and "merges.txt" in names:
        vocabulary = _vocabulary(read_json(member(folder, "vocab.json"), TOKENIZER_LIMIT), where)
        merges = _merges(_lines(member(folder, "merges.txt")), folder / "merges.txt")
        qwen = config.get("model_type") in ("qwen2", "qwen3")
        spec = _spec_of(_byte_bpe(vocabulary, merges, settings, qwen, where))
    else:
        raise CheckpointError(
            "there is no tokenizer",
            expected="tokenizer.json, vocab.txt, or vocab.json and merges.txt",
            where=folder,
        )
    backend = _backend(spec, where)
    _declare(backend, folder, settings)
    ids = {f"{role}_token_id": config.get(f"{role}_token_id") for role in ("pad", "bos", "eos", "cls", "sep")}
    known = {key: _inside(value, backend) for key, value in ids.items()}
    try:
        return Tokenizer(backend, settings | {key: setting for key, setting in known.items() if setting})
    except PolysemeError:
        raise
    except BaseException as error:  # an error of the library, which tries out the vocabulary
        if not from_library(error):
            raise
        raise CheckpointError("not a tokenizer that works", got=str(error)[:200], where=where) from None


def _inside(value: Any, backend: hf.Tokenizer) -> list[Any]:
    """The ids, of one or several, that the vocabulary has; a configuration may hold ids of another vocabulary."""
    values = value if isinstance(value, list) else [value]
    return [i for i in values if type(i) is int and i >= 0 and backend.id_to_token(i) is not None]


def _backend(spec: Mapping[str, Any], where: Path) -> hf.Tokenizer:
    try:
        return hf.Tokenizer.from_str(json.dumps(spec, ensure_ascii=False))
    except BaseException as error:
        if not from_library(error):
            raise
        raise CheckpointError(
            "not a tokenizer that the tokenizers library reads", got=str(error)[:200], where=where
        ) from None


def _spec_of(backend: hf.Tokenizer) -> dict[str, Any]:
    return dict(json.loads(backend.to_str()))


def _as_settled(spec: dict[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A tokenizer.json without truncation and padding, and with BERT's normaliser as set in tokenizer_config.json."""
    spec = {**spec, "truncation": None, "padding": None}
    normalizer = spec.get("normalizer")
    if isinstance(normalizer, dict) and normalizer.get("type") == "BertNormalizer":
        ours = {
            "lowercase": settings.get("do_lower_case"),
            "handle_chinese_chars": settings.get("tokenize_chinese_chars"),
        }
        normalizer = {**normalizer, **{key: value for key, value in ours.items() if isinstance(value, bool)}}
        if isinstance(settings.get("strip_accents"), bool):
            normalizer["strip_accents"] = settings["strip_accents"]
        spec["normalizer"] = normalizer
    return spec


def _lines(path: Path) -> list[str]:
    if path.stat().st_size > TOKENIZER_LIMIT:
        raise CheckpointError(
            "a vocabulary is too large", expected=f"at most {TOKENIZER_LIMIT:,} bytes", where=path
        )
    refuse(path, by_name=False)
    try:
        lines = path.read_text("utf-8").split("\n")
    except UnicodeDecodeError:
        raise CheckpointError("not UTF-8", where=path) from None
    return lines[:-1] if lines[-1] == "" else lines


def _wordpiece(lines: list[str], settings: Mapping[str, Any], where: Path) -> hf.Tokenizer:
    if settings.get("do_basic_tokenize") is False:
        raise ConfigError("do_basic_tokenize cannot be honoured", got=False, expected=True, where=SETTINGS)
    vocabulary = {token: i for i, token in enumerate(lines)}
    names = resolve_roles(
        vocabulary.get, lambda i: lines[i] if i < len(lines) else None, settings, where
    ).tokens
    missing = [role for role in ("unk", "cls", "sep") if role not in names]
    if missing:
        raise CheckpointError(
            "a vocabulary of BERT's lacks a special token", got=f"no {_BERT[missing[0]]}", where=where
        )
    backend = hf.Tokenizer(models.WordPiece(vocabulary, unk_token=names["unk"], max_input_chars_per_word=100))
    backend.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.get("tokenize_chinese_chars") is not False,
        strip_accents=settings.get("strip_accents"),
        lowercase=settings.get("do_lower_case") is not False,
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix="##")
    backend.add_special_tokens(list(dict.fromkeys(names.values())))
    _add_tokens(backend, settings, where)
    cls, sep = names["cls"], names["sep"]
    backend.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {sep} $B:1 {sep}:1",
        special_tokens=[(cls, vocabulary[cls]), (sep, vocabulary[sep])],
    )
    return backend


def _vocabulary(ids: Mapping[str, Any], where: Path) -> dict[str, int]:
    for token, id in ids.items():
        if type(id) is not int or not 0 <= id < MOST_TOKENS:
            raise CheckpointError("a token's id cannot be", got=f"{token!r}: {id!r}"[:200], where=where)
    return dict(ids)


def _merges(lines: list[str], where: Path) -> list[tuple[str, str]]:
    merges = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or (number == 1 and line.startswith("#version")):
            continue
        parts = line.split(" ")
        if len(parts) != 2:
            raise CheckpointError(
                "not a merge", got=line[:80], expected="two pieces", where=f"{where}:{number}"
            )
        merges.append((parts[0], parts[1]))
    return merges


def _byte_bpe(
    vocabulary: dict[str, int],
    merges: list[tuple[str, str]],
    settings: Mapping[str, Any],
    qwen: bool,
    where: Path,
) -> hf.Tokenizer:
    for key in ("add_bos_token", "add_eos_token"):
        if settings.get(key):
            raise ConfigError(f"{key} cannot be honoured without a tokenizer.json", got=True, where=where)
    for left, right in merges:
        if not (left in vocabulary and right in vocabulary and left + right in vocabulary):
            raise CheckpointError(
                "vocab.json does not hold the merge of merges.txt", got=f"{left} {right}"[:80], where=where
            )
    backend = hf.Tokenizer(models.BPE(vocabulary, merges, fuse_unk=False))
    prefix = bool(settings.get("add_prefix_space", False))
    whole = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=not qwen)
    if qwen:
        backend.normalizer = normalizers.NFC()
        pattern = pre_tokenizers.Split(hf.Regex(_QWEN_PATTERN), "isolated")
        backend.pre_tokenizer = pre_tokenizers.Sequence([pattern, whole])
    else:
        backend.pre_tokenizer = whole
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.ByteLevel(trim_offsets=True)
    _add_tokens(backend, settings, where)
    names = resolve_roles(backend.token_to_id, backend.id_to_token, settings, where).tokens
    backend.add_special_tokens(list(dict.fromkeys(names.values())))
    return backend


def _declare(backend: hf.Tokenizer, folder: Path, settings: Mapping[str, Any]) -> None:
    """Add the tokens that other files than the tokenizer's declare, as transformers does."""
    beside = folder / ADDED
    entries = read_json(member(folder, ADDED), TOKENIZER_LIMIT) if beside.is_file() else {}
    for token, id in sorted(entries.items(), key=lambda item: str(item[1]).zfill(20)):
        if type(id) is not int:
            raise CheckpointError("not an added token", got=f"{token!r}: {id!r}"[:200], where=beside)
        if backend.token_to_id(token) is None:
            backend.add_tokens([token])
        if backend.token_to_id(token) != id:
            raise CheckpointError(
                "an added token has another id than the vocabulary gives it",
                got=f"{token!r}: {id}"[:200],
                expected=backend.token_to_id(token),
                where=beside,
            )
    extra = settings.get("additional_special_tokens") or settings.get("extra_special_tokens") or ()
    values = extra.values() if isinstance(extra, Mapping) else extra if isinstance(extra, list) else ()
    names = [value.get("content") if isinstance(value, Mapping) else value for value in values]
    declared = {token.content for token in backend.get_added_tokens_decoder().values() if token.special}
    known = [name for name in names if isinstance(name, str) and backend.token_to_id(name) is not None]
    if missing := [name for name in known if name not in declared]:
        backend.add_special_tokens(missing)


def _add_tokens(backend: hf.Tokenizer, settings: Mapping[str, Any], where: Path) -> None:
    """Add the tokens of tokenizer_config.json to the vocabulary, under the ids given there."""
    added = settings.get("added_tokens_decoder")
    if not isinstance(added, Mapping):
        return
    flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
    for id, token in sorted(added.items(), key=lambda item: int(item[0]) if str(item[0]).isdecimal() else -1):
        if not isinstance(token, Mapping) or not isinstance(token.get("content"), str):
            raise CheckpointError("not an added token", got=f"{id}: {token!r}"[:200], where=where)
        options = {flag: token[flag] for flag in flags if isinstance(token.get(flag), bool)}
        added_token = hf.AddedToken(token["content"], **options)
        if options.get("special"):
            backend.add_special_tokens([added_token])
        else:
            backend.add_tokens([added_token])
        if str(backend.token_to_id(token["content"])) != str(id):
            raise CheckpointError(
                "an added token has another id than the vocabulary gives it",
                got=f"{token['content']!r}: {id}"[:200],
                expected=backend.token_to_id(token["content"]),
                where=where,
            )


def for_pairs(tokenizer: Tokenizer, types: bool) -> dict[str, Any]:
    """tokenizer.json with polyseme's separators around one text and between two.

    Args:
        types: the model has token types for the two texts.
    """
    if _separates_alike(tokenizer, types):
        return tokenizer.as_json()
    w = Wrapper.of(tokenizer)
    single: list[_Stretch] = [(w.prefix, 0), ("A", 0), (w.suffix, 0)]
    pair: list[_Stretch] = [(w.prefix, 0), ("A", 0), (w.middle, 0), ("B", 1), (w.suffix, 1)]
    return _with_template(tokenizer, single, pair)


def for_beginnings(tokenizer: Tokenizer) -> dict[str, Any]:
    """tokenizer.json that puts the prefix before a text and nothing after it, so that a decoder can continue it."""
    before = tokenizer.prefix_ids
    return _with_template(tokenizer, [(before, 0), ("A", 0)], [(before, 0), ("A", 0), ("B", 0)])


_Stretch = tuple[Sequence[int] | str, int]
"""Ids of special tokens, or "A" or "B" for a text; and the token type."""


def _with_template(
    tokenizer: Tokenizer, single: Sequence[_Stretch], pair: Sequence[_Stretch]
) -> dict[str, Any]:
    """tokenizer.json with another template for one text and for two."""
    special: dict[str, Any] = {}

    def written(stretches: Sequence[_Stretch]) -> Iterator[dict[str, Any]]:
        for stretch, type in stretches:
            if isinstance(stretch, str):
                yield {"Sequence": {"id": stretch, "type_id": type}}
                continue
            for id in stretch:
                name = tokenizer.token(id)
                special[name] = {"id": name, "ids": [id], "tokens": [name]}
                yield {"SpecialToken": {"id": name, "type_id": type}}

    template = {
        "type": "TemplateProcessing",
        "single": list(written(single)),
        "pair": list(written(pair)),
        "special_tokens": special,
    }
    spec = tokenizer.as_json()
    old = spec.get("post_processor") or {}
    kept = [step for step in old.get("processors", [old]) if step.get("type") == "ByteLevel"]
    spec["post_processor"] = {"type": "Sequence", "processors": [*kept, template]} if kept else template
    return spec


def _separates_alike(tokenizer: Tokenizer, types: bool) -> bool:
    """Whether the tokenizer.json itself joins two texts as polyseme does."""
    spec, wrapper = tokenizer.as_json(), Wrapper.of(tokenizer)
    backend = hf.Tokenizer.from_str(json.dumps(spec, ensure_ascii=False))
    backend.no_truncation()
    backend.no_padding()
    texts = [backend.encode(text, add_special_tokens=False).ids for text in ("a 1?", "b 的")]
    for theirs, ours in (
        (backend.encode("a 1?"), wrapper.wrap(texts[0])),
        (backend.encode("a 1?", "b 的"), wrapper.wrap(*texts)),
    ):
        if theirs.ids != ours.ids.tolist() or (types and theirs.type_ids != ours.type.tolist()):
            return False
    return True

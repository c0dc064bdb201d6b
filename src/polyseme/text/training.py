"""Training of every kind of tokenizer with the tokenizers library."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import tokenizers as hf
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from polyseme.errors import CorpusError
from polyseme.text.config import TokenizerConfig
from polyseme.text.phrases import WordStream, phrase_vocabulary
from polyseme.text.roles import SPECIAL_TOKENS
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.words import TOKEN_PATTERN, is_cjk, token_spans

__all__ = ["default_vocab_size", "from_words", "train_tokenizer"]

_COVERAGE = 0.9995  # share of the characters of the sample that must have a token of their own
MOST_WORDS = 100_000  # entries of a word-level vocabulary when no size is given
_UNIGRAM_SAMPLE = 4_000_000  # bytes; its trainer is far slower than the others


def train_tokenizer(texts: Iterable[str], config: TokenizerConfig, corpus_bytes: int) -> Tokenizer:
    """Train a tokenizer on the first `config.sample_bytes` of the texts.

    Equal texts give equal files, except for unigram, whose trainer in the tokenizers library breaks ties by a
    hash order that changes from process to process.

    Args:
        texts: cleaned training text, e.g. `Corpus.samples`.
        config: kind and sizes.
        corpus_bytes: size of the whole corpus, from which the vocabulary size follows when it is not given.

    Raises:  CorpusError: there is no text.
    """
    limit = min(config.sample_bytes, _UNIGRAM_SAMPLE) if config.kind == "unigram" else config.sample_bytes
    sample = _take(texts, limit)
    if not sample:
        raise CorpusError("no text to train a tokenizer on", fix="name files or folders that hold text")
    counts = _count_characters(sample, config.folds_case)
    size = config.vocab_size or default_vocab_size(corpus_bytes, counts)
    if config.kind in ("words", "spaces"):
        return Tokenizer(_finish(_words(sample, config), False))
    build = {"wordpiece": _wordpiece, "byte-bpe": _byte_bpe, "unigram": _unigram, "characters": _characters}
    backend = build[config.kind](sample, size, counts, config.folds_case)
    return Tokenizer(_finish(backend, config.kind == "byte-bpe"))


def _take(texts: Iterable[str], limit: int) -> list[str]:
    """The first texts, up to `limit` UTF-8 bytes in all; the last one is cut."""
    sample, left = [], limit
    for text in texts:
        size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
        if size > left:
            text = text.encode("utf-8", "replace")[:left].decode("utf-8", "ignore")
        if text.strip():
            sample.append(text)
        left -= size
        if left <= 0:
            break
    return sample


def _count_characters(sample: list[str], lowercase: bool) -> Counter[str]:
    """How often each character other than white space occurs, in the form that the model will see."""
    counts: Counter[str] = Counter()
    for text in sample:
        counts.update(unicodedata.normalize("NFC", text.lower() if lowercase else text))
    for character in [c for c in counts if c.isspace()]:
        del counts[character]
    return counts


def _by_frequency(counts: Counter[str]) -> list[str]:
    return sorted(counts, key=lambda c: (-counts[c], c))


def _covering(counts: Counter[str]) -> int:
    """How many of the most frequent characters make up `_COVERAGE` of the sample."""
    wanted, seen = _COVERAGE * counts.total(), 0
    for n, character in enumerate(_by_frequency(counts), 1):
        seen += counts[character]
        if seen >= wanted:
            return n
    return len(counts)


def default_vocab_size(corpus_bytes: int, counts: Counter[str]) -> int:
    """A vocabulary that the corpus can train: 8,000 at 28 MB, growing with its 0.3th power.

        size = 8000 · (megabytes / 28)^0.3, to a multiple of 64, within 1,024 … 32,000

    For Chinese at least the characters that cover 99.95 % of the sample and a quarter more.

    Args:
        corpus_bytes: UTF-8 bytes of the corpus (or an estimate).
        counts: characters of a sample.
    """
    size: float = 8000 * (max(corpus_bytes, 1) / 28e6) ** 0.3
    if sum(n for c, n in counts.items() if is_cjk(c)) > 0.2 * counts.total():
        size = max(size, 1.25 * _covering(counts))
    return min(max(round(size / 64) * 64, 1024), 32_000)


def _wordpiece(sample: list[str], size: int, counts: Counter[str], lowercase: bool) -> hf.Tokenizer:
    normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.BertNormalizer(strip_accents=False, lowercase=lowercase)]
    )
    pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    # The trainer numbers "##x" pieces in a hash order that changes from process to process, and ties between
    # merges follow the numbers. Handing it both forms of every character up front, as if they were special
    # tokens, fixes the order; the tokenizer is then rebuilt with the five real ones.
    wanted = _by_frequency(counts)[: max(sum(n >= 5 for n in counts.values()), _covering(counts))]
    entries_left = (size - len(SPECIAL_TOKENS)) * 3 // 4  # the rest is for merges
    alphabet: list[str] = []
    inner: list[str] = []
    for character in wanted:
        inside = len(pre_tokenizer.pre_tokenize_str("a" + character)) == 1  # it can go on a word
        entries_left -= 1 + inside
        if entries_left >= 0 and normalizer.normalize_str(character).strip() == character:
            alphabet.append(character)
            inner += ["##" + character] * inside
    given = [*SPECIAL_TOKENS, *sorted(alphabet), *sorted(inner)]
    trainee = hf.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    trainee.normalizer, trainee.pre_tokenizer = normalizer, pre_tokenizer
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=2,
        special_tokens=given,
        initial_alphabet=sorted(alphabet),
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    trainee.train_from_iterator(sample, trainer, length=len(sample))
    vocabulary = json.loads(trainee.to_str())["model"]["vocab"]
    backend = hf.Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    backend.normalizer, backend.pre_tokenizer = normalizer, pre_tokenizer
    backend.decoder = decoders.WordPiece(prefix="##")
    return backend


def _byte_bpe(sample: list[str], size: int, counts: Counter[str], lowercase: bool) -> hf.Tokenizer:
    backend = hf.Tokenizer(models.BPE())
    backend.normalizer = _nfc(lowercase)
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(sample, trainer, length=len(sample))
    return backend


def _unigram(sample: list[str], size: int, counts: Counter[str], lowercase: bool) -> hf.Tokenizer:
    backend = hf.Tokenizer(models.Unigram())
    backend.normalizer = _nfc(lowercase)
    # Punctuation apart: without it the letters "[MASK]" in a text would match the special token's entry.
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()]
    )
    backend.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL_TOKENS),
        unk_token="[UNK]",
        max_piece_length=8 if any(is_cjk(c) for c, _ in counts.most_common(100)) else 16,
        shrinking_factor=0.5,
        show_progress=False,
    )
    backend.train_from_iterator(sample, trainer, length=len(sample))
    return backend


def _characters(sample: list[str], size: int, counts: Counter[str], lowercase: bool) -> hf.Tokenizer:
    white = {c for text in sample for c in set(text) if c.isspace()}
    ranked = [*sorted(white), *_by_frequency(counts)][: size - len(SPECIAL_TOKENS)]
    vocabulary = {token: i for i, token in enumerate([*SPECIAL_TOKENS, *sorted(ranked)])}
    backend = hf.Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.normalizer = _nfc(lowercase)
    backend.pre_tokenizer = pre_tokenizers.Split(hf.Regex(r"[\s\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    return backend


def _words(sample: list[str], config: TokenizerConfig) -> hf.Tokenizer:
    """Ids in the order of frequency, so that the first n are the n most frequent words (and phrases)."""
    normalizer = _nfc(config.folds_case)
    cut = str.split if config.kind == "spaces" else _token_words
    texts = map(normalizer.normalize_str, sample)
    max_entries = (config.vocab_size or MOST_WORDS) - len(SPECIAL_TOKENS)
    if config.phrases:
        stream = WordStream(texts, cut)
        ranked = phrase_vocabulary(
            stream,
            _frequent(stream.counts, config.min_count),
            max_entries,
            passes=config.phrases,
            threshold=config.phrase_threshold,
            delta=config.phrase_delta,
            min_count=config.min_count,
        )
    else:
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(cut(text))
        ranked = _frequent(counts, config.min_count)[:max_entries]
    return _word_level(ranked, normalizer, config.kind)


def from_words(words: Sequence[str], kind: str, lowercase: bool) -> hf.Tokenizer:
    """A tokenizer of the kind words or spaces whose entries, after the special tokens, are these words as they are."""
    text = "\n".join(words)
    normalizer = _nfc(lowercase)
    if normalizer.normalize_str(text) != text:  # it would make some words impossible to write
        normalizer = normalizers.Sequence([normalizers.Lowercase()] if lowercase else [])
    return _finish(_word_level(words, normalizer, kind), False)


def _word_level(words: Sequence[str], normalizer: normalizers.Normalizer, kind: str) -> hf.Tokenizer:
    vocabulary = {token: i for i, token in enumerate([*SPECIAL_TOKENS, *words])}
    backend = hf.Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizer
    backend.pre_tokenizer = (
        pre_tokenizers.WhitespaceSplit()
        if kind == "spaces"
        else pre_tokenizers.Split(hf.Regex(TOKEN_PATTERN), "removed", invert=True)
    )
    return backend


def _token_words(text: str) -> list[str]:
    return [text[start:end] for start, end in token_spans(text)]


def _frequent(counts: Counter[str], least: int) -> list[str]:
    """Words that occur often enough, the most frequent first."""
    ranked = [word for word in _by_frequency(counts) if counts[word] >= least]
    return [word for word in ranked if word not in SPECIAL_TOKENS]


def _nfc(lowercase: bool) -> normalizers.Normalizer:
    steps = [normalizers.NFC(), normalizers.Lowercase()] if lowercase else [normalizers.NFC()]
    return normalizers.Sequence(steps)


def _finish(backend: hf.Tokenizer, byte_level: bool) -> hf.Tokenizer:
    """Declare the special tokens and BERT's template, so that the file works in other libraries."""
    backend.add_special_tokens(list(SPECIAL_TOKENS))
    template = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, SPECIAL_TOKENS.index(token)) for token in ("[CLS]", "[SEP]")],
    )
    # ByteLevel here only trims the leading space from the offsets.
    backend.post_processor = (
        processors.Sequence([processors.ByteLevel(trim_offsets=True), template]) if byte_level else template
    )
    return backend

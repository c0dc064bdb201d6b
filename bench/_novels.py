"""The data of the masked-LM benches: English novels, 8,000 WordPiece tokens, fixed held-out masks.

The peers and polyseme train on the same text with the same tokenizer and are scored on the same masked
positions. Everything is made once and cached in bench/.cache:

    novels.npz        train (N,) uint16 · valid_ids, valid_labels (600, 128) · unigram (nats)
    tokenizer.json    lower-cased BERT WordPiece; [PAD] [UNK] [CLS] [SEP] [MASK] = 0..4
    train.txt, valid.txt   the same text raw: parts of ~32,000 characters, a blank line between them
"""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

BENCH = Path(__file__).resolve().parent
CACHE = BENCH / ".cache"
NOVELS = BENCH.parent.parent / "shared" / "data" / "text" / "en" / "novels"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PAD, UNK, CLS, SEP, MASK = range(5)
VOCAB_SIZE = 8_000
BLOCK = 128
PART_CHARACTERS = 32_000
HELDOUT_SHARE = 0.03
VALID_BLOCKS = 600
MASKED_PER_BLOCK = 19  # 15 % of the 126 inner tokens
IGNORE = -100
SEED = 20_180_810


@dataclass(frozen=True, slots=True)
class Novels:
    """The cached data.  Shapes:  blocks: (N, 128).  valid_ids, valid_labels: (600, 128)"""

    blocks: np.ndarray
    valid_ids: np.ndarray
    valid_labels: np.ndarray
    unigram: float
    tokenizer: Path
    train_text: Path
    valid_text: Path


def load() -> Novels:
    """Open the cached data, making it first where it is absent (about a minute)."""
    if not (CACHE / "novels.npz").is_file():
        _make()
    with np.load(CACHE / "novels.npz") as arrays:
        valid = arrays["valid_ids"], arrays["valid_labels"], float(arrays["unigram"])
        texts = (CACHE / name for name in ("tokenizer.json", "train.txt", "valid.txt"))
        return Novels(_blocks(arrays["train"]), *valid, *texts)


def write_atomic(path: Path, data: bytes) -> None:
    """Write beside and rename, so that the file is complete or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(data)
    temporary.replace(path)


def _parts() -> Iterator[str]:
    """Cut every novel at line ends into parts of about 32,000 characters without blank lines."""
    if not NOVELS.is_dir():
        raise SystemExit(f"the benches need the English novels in {NOVELS}")
    for path in sorted(NOVELS.glob("*.txt.gz")):
        text = re.sub(r"\r\n?", "\n", gzip.decompress(path.read_bytes()).decode("utf-8-sig"))
        text = re.sub(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", " ", text)
        part: list[str] = []
        size = 0
        for line in filter(None, map(str.strip, text.split("\n"))):
            part.append(line)
            size += len(line) + 1
            if size >= PART_CHARACTERS:
                yield "\n".join(part)
                part, size = [], 0
        if part:
            yield "\n".join(part)


def _is_heldout(part: str) -> bool:
    key = int.from_bytes(blake2b(part.encode(), digest_size=8).digest(), "big")
    return key / 2**64 < HELDOUT_SHARE


def _train_tokenizer(texts: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", continuing_subword_prefix="##"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    trainer = trainers.WordPieceTrainer(vocab_size=VOCAB_SIZE, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _encode(tokenizer: Tokenizer, texts: list[str]) -> np.ndarray:
    encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    return np.concatenate([np.asarray(e.ids, dtype=np.uint16) for e in encodings])


def _blocks(tokens: np.ndarray) -> np.ndarray:
    """Cut tokens (N,) into (N // 126, 128): [CLS] + 126 consecutive tokens + [SEP]."""
    inner = tokens[: len(tokens) // (BLOCK - 2) * (BLOCK - 2)].reshape(-1, BLOCK - 2)
    return np.pad(np.pad(inner, ((0, 0), (1, 0)), constant_values=CLS), ((0, 0), (0, 1)), constant_values=SEP)


def _mask(blocks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Choose 19 inner positions a block: 80 % [MASK], 10 % a random token, 10 % unchanged."""
    ids, labels = blocks.astype(np.int64), np.full(blocks.shape, IGNORE, dtype=np.int64)
    order = rng.random((len(blocks), BLOCK - 2)).argsort(axis=1)[:, :MASKED_PER_BLOCK] + 1
    rows = np.arange(len(blocks))[:, None]
    labels[rows, order] = ids[rows, order]
    chance = rng.random(order.shape)
    random_ids = rng.integers(len(SPECIAL), VOCAB_SIZE, order.shape)
    ids[rows, order] = np.where(chance < 0.8, MASK, np.where(chance < 0.9, random_ids, ids[rows, order]))
    return ids, labels


def _make() -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    parts = list(_parts())
    train_parts = [part for part in parts if not _is_heldout(part)]
    valid_parts = [part for part in parts if _is_heldout(part)]
    tokenizer = _train_tokenizer(train_parts)
    train, valid = _encode(tokenizer, train_parts), _blocks(_encode(tokenizer, valid_parts))
    rng = np.random.default_rng(SEED)
    chosen = np.sort(rng.permutation(len(valid))[:VALID_BLOCKS])
    valid_ids, valid_labels = _mask(valid[chosen], rng)
    counts = np.bincount(train, minlength=VOCAB_SIZE) + 1.0
    unigram = -np.log(counts / counts.sum())[valid_labels[valid_labels != IGNORE]].mean()
    write_atomic(CACHE / "tokenizer.json", tokenizer.to_str(pretty=True).encode())
    write_atomic(CACHE / "train.txt", "\n\n".join(train_parts).encode())
    write_atomic(CACHE / "valid.txt", "\n\n".join(valid_parts).encode())
    temporary = CACHE / f".novels.{os.getpid()}.npz"
    np.savez(temporary, train=train, valid_ids=valid_ids, valid_labels=valid_labels, unigram=unigram)
    temporary.replace(CACHE / "novels.npz")


if __name__ == "__main__":
    novels = load()
    print(
        f"train {novels.blocks.shape}, held-out {novels.valid_ids.shape}, unigram {novels.unigram:.3f} nats"
    )

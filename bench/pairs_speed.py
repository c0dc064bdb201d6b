"""What makes minimal pairs fast: masked readings per second, and each means against the plain form, in one process.

    python bench/pairs_speed.py [--pairs 1000] [--threads 2] [--models bert modernbert] [--hidden 384] [--layers 4]

Models with random weights of about 10 M parameters, a WordPiece vocabulary of 8,000 trained on BLiMP's sentences and
English novels, and BLiMP's pairs, equally many of every paradigm.

    plain       the encoder as it is, one text at a time, all positions of the last layer, as a first version has it
    fast        `score` of all texts in one call, within words

Both in turns, plain on a sample of the texts; ours is the rate of the fast form, peer that of the plain one. The
scores must agree within 1e-3 nats. A line says what all 34,000 pairs would take.

For decoders and elmo the same with the whole texts.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from polyseme.core import registry
from polyseme.infer.model import Model
from polyseme.infer.score import score
from polyseme.objectives.bidirectional_lm import BidirectionalLM, BidirectionalLMConfig
from polyseme.objectives.causal_lm import CausalLMHead
from polyseme.objectives.masked_lm import MaskedLMHead
from polyseme.text.config import TokenizerConfig
from polyseme.text.labelled.minimal_pairs import pair_files, read_minimal_pairs
from polyseme.text.training import train_tokenizer
from polyseme.train.build import special_ids

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
ALL_PAIRS = 34_000
TOLERANCE = 1e-3
PLAIN_TEXTS = 60


def texts_of(number: int) -> list[str]:
    """The texts of so many pairs, equally many of every file."""
    files = pair_files([DATA / "tasks" / "blimp"])
    each = max(1, number // len(files))
    found = []
    for file in files:
        for count, pair in enumerate(read_minimal_pairs(file)):
            if count >= each:
                break
            found += [pair.good, pair.bad]
    return found


def build(name: str, texts: list[str], hidden: int, layers: int) -> Model:
    """A run in memory with random weights."""
    novels = sorted((DATA / "text" / "en" / "novels").glob("*.gz"))[:3]
    lines = [gzip.decompress(path.read_bytes()).decode("utf-8", "replace") for path in novels]
    kind: Any = "words" if name == "elmo" else "byte-bpe" if name in ("gpt", "qwen3") else "wordpiece"
    sample = [line for text in lines for line in text.split("\n") if line][:20_000] + texts
    tokenizer = train_tokenizer(sample, TokenizerConfig(kind=kind, vocab_size=8000), 10**7)
    entry = registry.models.load(name)
    sizes = {
        "vocab_size": tokenizer.vocab_size,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": hidden // 64,
        "num_key_value_heads": hidden // 64,
        "head_dim": 64,
        "intermediate_size": 3 * hidden if name in ("modernbert", "qwen3") else 4 * hidden,
        "max_position_embeddings": 512,
        "initializer_range": 0.05,
        **({"num_hidden_layers": 2, "input": "words"} if name == "elmo" else {}),
    }
    torch.manual_seed(0)
    fields = {key: value for key, value in sizes.items() if key in entry.config.model_fields}
    encoder = entry.build(entry.config(**fields))
    if hasattr(encoder, "read_vocabulary"):
        encoder.read_vocabulary([tokenizer.token(i) for i in range(tokenizer.vocab_size)])
    encoder.eval()
    special = special_ids(tokenizer)
    head: Any
    if name == "elmo":
        head = BidirectionalLM(BidirectionalLMConfig(), special, 0).build_head(encoder)
        heads = {"bidirectional_lm": head.eval()}
    elif encoder.reach == "left":
        heads = {"causal_lm": CausalLMHead(encoder).eval()}
    else:
        heads = {"masked_lm": MaskedLMHead(encoder).eval()}
    recipe: Any = SimpleNamespace(architecture=name, objectives=tuple(heads))
    run: Any = SimpleNamespace(path=Path(name), meta={})
    return Model(run, encoder, heads, tokenizer, recipe, special)


@torch.inference_mode()
def plain(loaded: Model, text: str) -> float:
    """One text: every masked copy of it in one batch, all positions, the whole softmax."""
    tokens, special = loaded.tokenizer.encode(text), loaded.special
    n = len(tokens.ids)
    if "masked_lm" in loaded.heads:
        rows = []
        for i in range(n):
            row = list(tokens.ids)
            row[i] = special.mask
            for j in range(i + 1, n):
                if tokens.word_starts[j]:
                    break
                row[j] = special.mask
            rows.append(row)
        hidden = loaded.encoder.encode(loaded.batch(rows)).last[torch.arange(n), torch.arange(1, n + 1)]
        found = loaded.heads["masked_lm"].logits(hidden).log_softmax(1)
        return float(found[torch.arange(n), torch.tensor(tokens.ids)].double().sum())
    labels = torch.tensor(tokens.ids)
    hidden = loaded.encoder.encode(loaded.batch([tokens.ids])).last[0]
    if "causal_lm" in loaded.heads:
        found = loaded.heads["causal_lm"].logits(hidden[:n]).log_softmax(1)
        return float(found[torch.arange(n), labels].double().sum())
    half, head = hidden.size(1) // 2, loaded.heads["bidirectional_lm"]
    both = [head(side).log_softmax(1) for side in (hidden[:n, :half], hidden[2 : n + 2, half:])]
    return sum(float(side[torch.arange(n), labels].double().sum()) for side in both)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=1020)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--models", nargs="+", default=["bert", "modernbert", "gpt", "qwen3", "elmo"])
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--layers", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    texts = texts_of(options.pairs)
    print(f"{len(texts):,} texts of BLiMP, {options.threads} threads")
    print(
        f"{'model':<12}{'M params':>9}{'fast':>10}{'plain':>10}{'ratio':>7}   texts/s; all pairs; difference"
    )
    cases, failed = [], False
    for name in options.models:
        loaded = build(name, texts, options.hidden, options.layers)
        within = "masked_lm" in loaded.heads
        sample = texts[:: max(1, len(texts) // PLAIN_TEXTS)][:PLAIN_TEXTS]
        score(loaded, texts[:200], within_word=within)
        [plain(loaded, text) for text in sample[:5]]
        seconds = {"plain": 0.0, "fast": 0.0}
        for form in ("plain", "fast", "plain"):
            begin = time.perf_counter()
            if form == "plain":
                expected = [plain(loaded, text) for text in sample]
            else:
                found = score(loaded, texts, within_word=within)
            seconds[form] += time.perf_counter() - begin
        fast, slow = len(texts) / seconds["fast"], 2 * len(sample) / seconds["plain"]
        known = {text: one.log_likelihood for text, one in zip(texts, found, strict=True)}
        difference = max(abs(known[text] - one) for text, one in zip(sample, expected, strict=True))
        failed |= difference > TOLERANCE
        size = sum(p.numel() for p in loaded.encoder.parameters()) / 1e6
        tokens = sum(one.tokens for one in found)
        minutes = 2 * ALL_PAIRS / fast / 60
        print(
            f"{name:<12}{size:>9.1f}{fast:>10.1f}{slow:>10.1f}{fast / slow:>7.2f}   "
            f"{minutes:.1f} min; {tokens / len(texts):.2f} tokens a text; {difference:.1e}",
            flush=True,
        )
        cases.append(
            {
                "case": f"{name}, {size:.1f} M parameters",
                "ours": fast,
                "peer": slow,
                "ratio": fast / slow,
                "unit": "texts/s",
                "minutes_of_34000_pairs": minutes,
                "difference": difference,
            }
        )
    print(json.dumps({"bench": "pairs_speed", "cases": cases}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""What a person has to know about a prepared corpus: how it was read, what was left out, what is unknown."""

from __future__ import annotations

from typing import Any

from polyseme.data.store import PreparedCorpus
from polyseme.text.clean import KINDS
from polyseme.text.document_rule import reading_lines
from polyseme.text.sources import skipped_suffixes
from polyseme.text.tokens import UnknownShare

__all__ = ["TRAINING", "cleaning_lines", "cure", "said_about", "unknown_note", "unknown_share"]

TRAINING = "the training text's"


def said_about(store: PreparedCorpus) -> list[str]:
    """All that a person has to know about a store that was just made."""
    held = f"held out are {store.valid.n_tokens:,} tokens: too few for figures that mean anything"
    return [
        *cleaning_lines(store.meta),
        *store.meta.get("notes", []),
        *filter(None, [unknown_note(store)]),
        *([] if store.heldout_suffices else [held]),
    ]


def cleaning_lines(meta: dict[str, Any]) -> list[str]:
    """How the sources were read, what was left out and what to do about it, and what was cleaned; for people."""
    cleaned = meta.get("dirt", {})
    counts = sorted(cleaned.get("counts", {}).items(), key=lambda item: -item[1])
    held = [f"held out: {line}" for line in reading_lines(meta.get("valid_reading", []))]
    return [
        *reading_lines(meta.get("reading", [])),
        *held,
        *skipped_suffixes(cleaned.get("suffixes", {})),
        *(
            f"{number:,} {KINDS.get(kind, kind)}" + (f": {example}" if example else "")
            for kind, number in counts
            if not (kind == "skipped_suffix" and cleaned.get("suffixes"))
            for example in [cleaned.get("examples", {}).get(kind, "")]
        ),
    ]


def unknown_note(corpus: PreparedCorpus) -> str | None:
    """How much of the training text is [UNK] and what helps, where that is more than `MANY_UNKNOWN`."""
    met = unknown_share(corpus)
    if not met.is_many:
        return None
    return f"{met.says(TRAINING)}: {cure(corpus)}"


def unknown_share(corpus: PreparedCorpus) -> UnknownShare:
    """The training text's tokens, and those of them that are [UNK]."""
    unknown = corpus.tokenizer.unk_id
    return UnknownShare(corpus.train.n_tokens, int(corpus.train.counts[unknown]) if unknown >= 0 else 0)


def cure(corpus: PreparedCorpus) -> str:
    """What makes more of the text known."""
    config = corpus.meta["tokenizer"]["config"]
    if config is None:
        return "without --tokenizer and --init a vocabulary is made from this text"
    if config["kind"] not in ("words", "spaces"):
        return "--set tokenizer.kind=byte-bpe knows every text; a larger tokenizer.vocab_size may do"
    if config["min_count"] > 1:
        return f"--set tokenizer.min_count={config['min_count'] // 2} keeps rarer words, more text makes them less rare"
    return "a larger tokenizer.vocab_size or tokenizer.sample_bytes, or --set tokenizer.kind=wordpiece"

"""How often a decoder finds the last word of a text, as LAMBADA asks.

The text without its last word is continued greedily; right is what writes exactly that word and then goes on with
another. Words end at white space, and punctuation around them does not count; Chinese words end where the segmenter
ends them.

Source:  Paperno et al. (2016); Radford et al. (2019), section 3.3. Departure: no filter against words that cannot end
a sentence.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import NamedTuple

from polyseme.infer.generate import decoder_head, generate
from polyseme.infer.loaded import Loaded
from polyseme.infer.template import Template, shortened
from polyseme.text.words import has_cjk, token_spans

__all__ = ["LastWord", "last_words"]

_AROUND = re.compile(r"^\W+|\W+$")

NEW_TOKENS = 10
"""Longest word in tokens, with the beginning of the next."""


class LastWord(NamedTuple):
    """The last word of a text, and what the model wrote in its place.

    Args:
        word: "" where the text has no two words.
        found: "" where the model ended the text.
        right: whether both are the same word, as the vocabulary spells it.
    """

    word: str
    found: str
    right: bool


def last_words(loaded: Loaded, texts: Sequence[str]) -> list[LastWord]:
    """What a decoder writes as the last word of every text.

    Args:
        loaded: a run of a decoder (gpt, qwen3 …).
        texts: whole texts; where one is longer than the model reads, its beginning is left out.
    Raises:  ConfigError: the run cannot generate.
    """
    decoder_head(loaded)
    room = max(1, int(loaded.encoder.max_length) - loaded.lead - NEW_TOKENS)
    template = Template("{text}", ["text"])
    split = [_last(text.strip()) for text in texts]
    asked = [i for i, (context, word) in enumerate(split) if context and word]
    contexts, cut = [], 0
    for i in asked:
        values, short = shortened(loaded.tokenizer, template, {"text": split[i][0]}, room, ("text",))
        contexts.append(values["text"])
        cut += short
    if cut:
        warnings.warn(
            f"{cut:,} of {len(texts):,} texts are longer than the {room:,} tokens that the model reads before the "
            "word: their beginnings were left out",
            stacklevel=2,
        )
    results = [LastWord("", "", False)] * len(texts)
    written = generate(loaded, contexts, max_new_tokens=NEW_TOKENS, temperature=0.0)
    for i, generation in zip(asked, written, strict=True):
        word, found = split[i][1], _first(generation.text.strip())
        results[i] = LastWord(word, found, _bare(loaded, word) == _bare(loaded, found))
    return results


def _last(text: str) -> tuple[str, str]:
    """A text without its last word, and that word with the punctuation behind it."""
    written = text.rsplit(maxsplit=1)[-1] if text else ""
    start = len(text) - len(written)
    if has_cjk(written):
        start += _words(written)[-1][0]
    return text[:start].rstrip(), text[start:]


def _first(text: str) -> str:
    """The first word of a text."""
    written = text.split(maxsplit=1)[0] if text else ""
    if has_cjk(written):
        start, end = _words(written)[0]
        return written[start:end]
    return written


def _words(text: str) -> list[tuple[int, int]]:
    """Where the words of a text are that is written without spaces; punctuation is none."""
    return [(start, end) for start, end in token_spans(text) if _AROUND.sub("", text[start:end])]


def _bare(loaded: Loaded, word: str) -> str:
    """A word as the vocabulary spells it, without punctuation around it; a mark stays."""
    plain = loaded.tokenizer.normalise(word)
    return _AROUND.sub("", plain) or plain

"""Where a text goes on from another: its tokens, none of which reaches over the border.

A vocabulary may have one token for the end of the first and the beginning of the second: 中国 after 中, "playing" after
"play". Such a token belongs to neither, and the second text, or a part of it, would have none. So where the tokens of
the whole do not part at the border, both are tokenized apart, the second as something that goes on: ##ing, not ing. Of
byte-level pairs these are the very tokens of the whole wherever none reaches over, so that all that goes on from one
text can be compared.

White space at the end of the first text belongs to the second, as byte-level vocabularies have it: " Paris".
"""

from __future__ import annotations

from collections.abc import Sequence

from polyseme.text.tokenizers import Tokenizer
from polyseme.text.tokens import Tokens

__all__ = ["encode_after"]


def encode_after(tokenizer: Tokenizer, context: str, texts: Sequence[str]) -> list[tuple[Tokens, int]]:
    """Tokens of `context + text` for every text, and how many of them are the context's.

    Args:
        tokenizer: of the run.
        context: what the texts go on from; may be "".
        texts: any strings.
    """
    border = len(context.rstrip())
    encoded = []
    for text, whole in zip(texts, tokenizer.encode_batch([context + text for text in texts]), strict=True):
        if any(begin < border < end for begin, end in whole.offsets):
            encoded.append(_apart(tokenizer, context[:border], context[border:] + text))
        else:
            encoded.append((whole, sum(begin < border for begin, _ in whole.offsets)))
    return encoded


def _apart(tokenizer: Tokenizer, context: str, text: str) -> tuple[Tokens, int]:
    first, second = tokenizer.encode(context), tokenizer.encode(text)
    if second.ids and not text[0].isspace():
        second = _going_on(tokenizer, second)
    shift = len(context)
    return (
        Tokens(
            [*first.ids, *second.ids],
            [*first.offsets, *((begin + shift, end + shift) for begin, end in second.offsets)],
            [*first.word_starts, *second.word_starts],
        ),
        len(first),
    )


def _going_on(tokenizer: Tokenizer, tokens: Tokens) -> Tokens:
    """Tokens of a text that begins inside a word: without the mark that a word begins there."""
    end = next((i for i in range(1, len(tokens)) if tokens.word_starts[i]), len(tokens))
    if tokenizer.unk_id in tokens.ids[:end] or tokenizer.spelling not in ("pieces", "metaspace"):
        return tokens
    pieces = [tokenizer.token(i) for i in tokens.ids[:end]]
    if tokenizer.spelling == "metaspace":
        ids = _greedy(tokenizer, "".join(pieces).removeprefix("▁"), "")
    else:
        word = "".join([pieces[0], *(tokenizer.continuation(piece) or piece for piece in pieces[1:])])
        ids = _greedy(tokenizer, word, tokenizer.piece_prefix)
    if ids is None:  # the vocabulary cannot write it so
        return tokens
    span = (tokens.offsets[0][0], tokens.offsets[end - 1][1])
    return Tokens(
        [*ids, *tokens.ids[end:]],
        [*[span] * len(ids), *tokens.offsets[end:]],
        [*[False] * len(ids), *tokens.word_starts[end:]],
    )


def _greedy(tokenizer: Tokenizer, word: str, prefix: str) -> list[int] | None:
    """The longest entries of the vocabulary, one after the other, each with the prefix; None where there are none."""
    ids, start = [], 0
    while start < len(word):
        for end in range(len(word), start, -1):
            if (id := tokenizer.id(prefix + word[start:end])) is not None:
                break
        else:
            return None
        ids.append(id)
        start = end
    return ids or None

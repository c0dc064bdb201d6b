"""From tokens back to text, token by token, as a person would write it.

    byte-bpe     the bytes of the tokens, exactly; a character is given out when its last byte has come
    characters   the characters, exactly
    unigram      "▁" is a space
    wordpiece    "##" pieces join; spaces go between words by the rules of `gap`
    words        the same without pieces
    spaces       a space between any two tokens

WordPiece and words forget where the spaces were. `gap` puts them where English and Chinese have them; where the
two differ from writer to writer (北京 2008 年 or 北京2008年), it takes one way.
"""

from __future__ import annotations

import codecs

from polyseme.text.tokenizers import Tokenizer
from polyseme.text.words import is_cjk, is_wide

__all__ = ["Joiner", "gap"]

_CLOSING = frozenset(".,;:!?%)]}…»”’")
_OPENING = frozenset("([{«“‘$£€#@¿¡")
_ENDINGS = frozenset(("s", "t", "d", "m", "re", "ve", "ll", "em", "clock"))  # after an apostrophe


def gap(before: str, word: str, in_quotes: bool = False) -> str:
    """What belongs between a text and its next word: a space or nothing.

    Args:
        before: the text so far; its last two characters are enough.
        word: a word or punctuation mark.
        in_quotes: whether an odd number of straight double quotes stands in the text so far.
    Example:
        >>> gap("It is", "late"), gap("late", "."), gap("(", "or"), gap("我们", "走")
        (' ', '', '', '')
    """
    if not before or not word or before[-1].isspace() or word[0].isspace():
        return ""
    a, b, earlier = before[-1], word[0], before[-2:-1]
    if is_wide(a) or is_wide(b):  # only a Chinese character and a letter stand apart
        other = b if is_cjk(a) else a
        return " " if (is_cjk(a) or is_cjk(b)) and other.isalpha() and not is_wide(other) else ""
    if b in _CLOSING or a in _OPENING or "_" in (a, b):
        return ""
    if b == '"':
        return "" if in_quotes else " "
    if a == '"':
        return "" if in_quotes else " "
    if b == "'":
        return "" if a.isalnum() or a in _CLOSING else " "
    if a == "'":
        return " " if earlier.isalnum() and word not in _ENDINGS else ""
    if b in "-/":
        return "" if a.isalnum() or a == b else " "
    if a in "-/":
        return "" if earlier.isalnum() or earlier == a or b.isdigit() else " "
    if a in ".,:" and b.isdigit() and earlier.isdigit():
        return ""
    return " "


class Joiner:
    """Turns tokens into text one by one; what it has given out never changes.

    Args:
        tokenizer: whose tokens they are.
        before: the text that the tokens go on, so that the first one joins it well.
        unknown: what is written for a word that the vocabulary does not have.
    Example:
        joiner = Joiner(tokenizer, "The weather is un")
        "".join(joiner.push(id) for id in ids) + joiner.flush()
    """

    def __init__(self, tokenizer: Tokenizer, before: str = "", unknown: str = "") -> None:
        self._unknown = unknown
        self._tokenizer, self._kind = tokenizer, tokenizer.spelling
        self._tail = before[-2:]
        self._in_quotes = before.count('"') % 2 == 1
        self._bytes = codecs.getincrementaldecoder("utf-8")("replace")
        self._special = frozenset(tokenizer.special_ids)

    def push(self, id: int) -> str:
        """The text that this token adds; "" for a special token, or while a character lacks bytes."""
        if id in self._special:
            if id != self._tokenizer.unk_id:
                return ""
            return self._remember(gap(self._tail, self._unknown, self._in_quotes) + self._unknown)
        return self._remember(self._text(id))

    def flush(self) -> str:
        """What is left at the end: U+FFFD where a character was never finished."""
        return self._remember(self._bytes.decode(b"", final=True))

    def _text(self, id: int) -> str:
        if self._kind == "bytes":
            return self._bytes.decode(self._tokenizer.token_bytes(id))
        token = self._tokenizer.token(id)
        if self._kind == "characters":
            return token
        if self._kind == "metaspace":
            return self._metaspace(token)
        piece = self._tokenizer.continuation(token)
        if piece is not None:
            return piece
        if self._kind == "spaces":
            return (" " if self._tail and not self._tail[-1].isspace() else "") + token
        return gap(self._tail, token, self._in_quotes) + self._tokenizer.display(id)

    def _metaspace(self, token: str) -> str:
        text = token.replace("▁", " ")
        if text.startswith(" ") and (not self._tail or self._tail[-1].isspace()):
            return text[1:]
        wide = text[1:2] and is_wide(text[1]) and bool(self._tail) and is_wide(self._tail[-1])
        return text[1:] if text.startswith(" ") and wide else text

    def _remember(self, text: str) -> str:
        self._tail = (self._tail + text)[-2:]
        self._in_quotes ^= text.count('"') % 2 == 1
        return text

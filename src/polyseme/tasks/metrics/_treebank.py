r"""Words of the English in a Chinese answer, cut as the official evaluation of CMRC 2018 cuts them.

That evaluation gives every stretch without Chinese to a tokenizer of the Penn Treebank's conventions: punctuation by
itself, a period only where a sentence ends, clitics cut off, straight quotes told apart into opening and closing
ones. Here are those conventions for text that is already in lower case and without `- : _ * ^ / \ ~ ` + =`.

Source:  MacIntyre (1995), the Penn Treebank's tokenization conventions, as later tokenizers of that name apply them.
Departures:  sentences end at a period, question or exclamation mark before white space, unless the word is a letter, a
listed abbreviation or has a period inside; the original asks a trained model of abbreviations (Kiss and Strunk 2006).
"""

from __future__ import annotations

import re

__all__ = ["treebank_words"]

_SENTENCE_END = re.compile(r"(?<!\S)(\S*?)([.?!])[\"')\]]*\s+")
_ABBREVIATION = re.compile(
    r"adm|bros|capt|co|col|corp|cpl|dr|etc|fig|ft|gen|gov|inc|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|jr|lt|ltd"
    r"|maj|messrs|mr|mrs|ms|mt|no|op|prof|rep|rev|sen|sgt|sr|st|vol|vs"
)

# in this order; each is (what to find, what to put there)
_RULES = [
    (re.compile(pattern), put)
    for pattern, put in (
        (r"[«‘„]", r" \g<0> "),
        (r"^\"", " `` "),
        (r"([ (\[{<])(?:\"|'')", r"\1 `` "),
        # an apostrophe before a word opens a quotation, unless a clitic stands there
        (r"(?<!\w)'(?!(?:re|ve|ll|m|t|s|d|n)\b)(?=\w)", "' "),
        # the period that ends the sentence, before closing brackets and quotes
        (r"([^.])\.([\])}>\"'»”’ ]*)\s*$", r"\1 . \2 "),
        (r",(\D)", r" , \1"),
        (r",$", " , "),
        (r"\.{2,}|[;@#$%&?!\u2012-\u2015]", r" \g<0> "),
        (r"([^'])' ", r"\1 ' "),
        (r"[\][(){}<>]", r" \g<0> "),
        (r"^|$", " "),
        (r"[»”’]", r" \g<0> "),
        (r"''|\"", " '' "),
        (r"\s+", " "),
        (r"([^' ])('[smd]|') ", r"\1 \2 "),
        (r"([^' ])('ll|'re|'ve|n't) ", r"\1 \2 "),
        (r"\b(can)(not)\b", r" \1 \2 "),
        (r"\b(d)('ye)\b", r" \1 \2 "),
        (r"\b(gim|lem)(me)\b", r" \1 \2 "),
        (r"\b(gon)(na)\b", r" \1 \2 "),
        (r"\b(got)(ta)\b", r" \1 \2 "),
        (r"\b(more)('n)\b", r" \1 \2 "),
        (r"\b(wan)(na)(?=\s)", r" \1 \2 "),
        (r" ('t)(is|was)\b", r" \1 \2 "),
    )
]


def treebank_words(text: str) -> list[str]:
    r"""The words of a stretch of English in lower case.

    Example:
        >>> treebank_words('the "u.s." isn\'t (st. john)')
        ['the', '``', 'u.s.', "''", 'is', "n't", '(', 'st.', 'john', ')']
    """
    return [word for sentence in _sentences(text) for word in _words(sentence)]


def _words(sentence: str) -> list[str]:
    for pattern, put in _RULES:
        sentence = pattern.sub(put, sentence)
    return sentence.split()


def _sentences(text: str) -> list[str]:
    cuts = [0]
    for match in _SENTENCE_END.finditer(text):
        word = match[1].lstrip("\"'([{<‘“«")
        if match[2] == "." and (len(word) < 2 or "." in word or _ABBREVIATION.fullmatch(word)):
            continue
        cuts.append(match.end())
    return [text[start:end].strip() for start, end in zip(cuts, [*cuts[1:], len(text)], strict=True)]

"""Figures of answers: exact match and F1 by the official rules, and the threshold for giving no answer.

Rules "squad-2.0" (Rajpurkar et al. 2018) and "squad-1.1" (Rajpurkar et al. 2016), for English:

    both texts in lower case, without ASCII punctuation, without a, an and the, white space made single
    exact match = equal;   F1 of the two bags of words;   the best over all gold answers
    2.0: gold answers that come out empty are left out; without any, "" is the gold answer; F1 of two empty ones is 1
    1.1: F1 of two empty ones is 0

Rules "cmrc-2018" (Cui et al. 2019), for Chinese:

    both texts in lower case, without the punctuation of a list, cut into Chinese characters and English words
    exact match = equal texts;   with l the length of the longest run of segments that both have,
    precision = l / |answer|, recall = l / |gold|, F1 of these;   the best over all gold answers

Departures: a question without a gold answer, which the rules of 1.1 and CMRC do not define, has the gold answer "" as
in 2.0.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from polyseme.errors import ConfigError, InputError
from polyseme.tasks.metrics.measure import Measure, mean_of, share

__all__ = [
    "Rules",
    "best_threshold",
    "clear_of",
    "measures",
    "normalised",
    "score",
    "segments",
    "treebank_words",
    "without_punctuation",
]

Rules = Literal["squad-1.1", "squad-2.0", "cmrc-2018"]

_ASCII_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(?:an?|the)\b")
# The official list also has an ellipsis of two characters, which no single character can match.
_CMRC_PUNCTUATION = str.maketrans("", "", "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
# the Chinese characters of CMRC 2018's script; text/words.py has our own definition
_CMRC_SEGMENT = re.compile("[\u4e00-\u9fa5]|[^\u4e00-\u9fa5]+")


def score(prediction: str, golds: Sequence[str], rules: Rules = "squad-2.0") -> tuple[float, float]:
    """Exact match and F1 of one answer, each the best over the gold answers, 0 … 1.

    Args:
        prediction: the answer; "" for no answer.
        golds: texts of the gold answers; empty = the question has no answer.
    Raises:  ConfigError: unknown rules.

    Example:
        >>> score("the Eiffel Tower!", ["Eiffel tower", "tower"]), score("巴黎市", ["巴黎"], "cmrc-2018")
        ((1.0, 1.0), (0.0, 0.8))
    """
    if rules not in get_args(Rules):
        raise ConfigError("unknown rules for answers", got=rules, expected=", ".join(get_args(Rules)))
    if rules == "cmrc-2018":
        return _cmrc(prediction, golds) if golds else _none(without_punctuation(prediction))
    answer = normalised(prediction)
    gold_answers = [normalised(gold) for gold in golds]
    if rules == "squad-2.0":
        gold_answers = [gold for gold in gold_answers if gold]
    if not gold_answers:
        return _none(answer)
    exact = float(any(gold == answer for gold in gold_answers))
    words = answer.split()
    return exact, max(_bag_f1(words, gold.split(), rules == "squad-2.0") for gold in gold_answers)


def measures(
    predictions: Sequence[str], golds: Sequence[Sequence[str]], rules: Rules = "squad-2.0"
) -> dict[str, Measure]:
    """exact_match and f1 over all questions; if some are unanswerable, also over each part.

    The figures of the parts are has_answer_exact_match, has_answer_f1 and no_answer_accuracy. The question is the unit.

    Args:
        predictions: an answer a question; "" for no answer, and for one that is missing.
        golds: the texts of the gold answers of every question.
    Raises:  InputError: numbers of questions differ.
    """
    if len(predictions) != len(golds):
        raise InputError(
            "gold and predicted answers do not fit",
            got=f"{len(golds)} questions, {len(predictions)} predictions",
            expected="one prediction a question",
        )
    scores = np.array([score(*pair, rules) for pair in zip(predictions, golds, strict=True)]).reshape(-1, 2)
    exact, f1 = scores.T
    figures = {"exact_match": mean_of("exact_match", exact), "f1": mean_of("f1", f1)}
    has = np.array([bool(gold) for gold in golds], bool)
    if not has.all():
        figures |= {
            name: Measure(name, np.stack([values * part, part], 1).astype(np.float64), share, int(part.sum()))
            for name, values, part in (
                ("has_answer_exact_match", exact, has),
                ("has_answer_f1", f1, has),
                ("no_answer_accuracy", exact, ~has),
            )
        }
    return figures


def best_threshold(
    null_scores: npt.ArrayLike,
    has_answer: npt.ArrayLike,
    scores: npt.ArrayLike,
    answered: npt.ArrayLike | None = None,
) -> tuple[float, float]:
    """The best threshold for giving no answer, and its mean score.

        answer_i = none if null_score_i > threshold else the best span
        score_i  = [question i has no answer] if answer_i is none else score of the span

    Walking up the sorted null scores, each question changes from "none" to its span: O(n log n). Of equally good
    thresholds the lowest is returned; a threshold below every null score gives no answers.

    Args:
        null_scores: score of "no answer" less that of the best span, or its probability.
        has_answer: whether the question has an answer.
        scores: exact match or F1 of the best span.
        answered: whether the best span is a text; None = always.
    Shapes:  all (N,)

    Source:  Rajpurkar et al. (2018), the evaluation of SQuAD 2.0. Departures: questions of equal null score change
    together, as no threshold parts them; the threshold that answers none lies below the scores rather than at 0.
    """
    null = np.asarray(null_scores, np.float64)
    has = np.asarray(has_answer, bool)
    gains = np.asarray(scores, np.float64)
    texts = np.ones_like(has) if answered is None else np.asarray(answered, bool)
    if not len(null) == len(has) == len(gains) == len(texts):
        raise InputError(
            "null scores and scores of spans do not fit",
            got=f"{len(null)}, {len(has)}, {len(gains)} and {len(texts)}",
            expected="one each a question",
        )
    if not len(null):
        return 0.0, float("nan")
    order = np.argsort(null, kind="stable")
    change = np.where(has, gains, -1.0 * texts)[order]
    total = float((~has).sum()) + np.concatenate([[0.0], np.cumsum(change)])
    ordered = null[order]
    reachable = np.r_[True, ordered[1:] != ordered[:-1], True]
    best = int(np.argmax(np.where(reachable, total, -np.inf)))
    threshold = ordered[best - 1] if best else np.nextafter(ordered[0], -np.inf)
    return float(threshold), float(total[best] / len(null))


def clear_of(threshold: float, null_scores: npt.ArrayLike) -> float:
    """A threshold with the same decisions, half way between the neighbouring scores.

    If the threshold equalled a question's score, rounding (larger batches, another processor) could change the decision
    on that question. Beyond all scores the distance is a thousandth of the nearest score.

    Shapes:  null_scores: (N,)
    """
    null = np.asarray(null_scores, np.float64)
    null = null[np.isfinite(null)]
    below, above = null[null <= threshold], null[null > threshold]
    if len(below) and len(above):
        return float((below.max() + above.min()) / 2)
    if not len(null):
        return threshold
    nearest = float(below.max() if len(below) else above.min())
    away = 1e-3 * max(1.0, abs(nearest))
    return nearest + away if len(below) else nearest - away


def normalised(text: str) -> str:
    """A text as the rules of SQuAD compare it."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_ASCII_PUNCTUATION)).split())


def without_punctuation(text: str) -> str:
    """A text as the exact match of CMRC 2018 compares it."""
    return text.lower().strip().translate(_CMRC_PUNCTUATION)


def segments(text: str) -> list[str]:
    """A text without punctuation, cut into Chinese characters and English words, for the F1 of CMRC 2018."""
    parts: list[str] = []
    for stretch in _CMRC_SEGMENT.findall(without_punctuation(text)):
        parts += [stretch] if "\u4e00" <= stretch[0] <= "\u9fa5" else treebank_words(stretch)
    return parts


def _none(answer: str) -> tuple[float, float]:
    """Scores of a question without an answer."""
    return float(not answer), float(not answer)


def _bag_f1(pred: list[str], gold: list[str], empty_agree: bool) -> float:
    if not pred or not gold:
        return float(empty_agree and pred == gold)
    same = sum((Counter(pred) & Counter(gold)).values())
    return _f1(same, len(pred), len(gold))


def _cmrc(prediction: str, golds: Sequence[str]) -> tuple[float, float]:
    plain, pred = without_punctuation(prediction), segments(prediction)
    f1 = 0.0
    for gold in set(golds):
        gold_segments = segments(gold)
        f1 = max(f1, _f1(_longest_run(pred, gold_segments), len(pred), len(gold_segments)))
    return float(any(without_punctuation(gold) == plain for gold in golds)), f1


def _f1(same: int, pred: int, gold: int) -> float:
    if same == 0:
        return 0.0
    precision, recall = same / pred, same / gold
    return 2 * precision * recall / (precision + recall)


def _longest_run(a: list[str], b: list[str]) -> int:
    """Length of the longest common run of segments.

    run[i, j] = run[i-1, j-1] + 1 if a_i = b_j else 0
    """
    if not a or not b:
        return 0
    numbers = {segment: number for number, segment in enumerate({*a, *b})}
    second = np.array([numbers[segment] for segment in b])
    run, longest = np.zeros(len(b) + 1, np.int64), 0
    for segment in a:
        run[1:] = np.where(second == numbers[segment], run[:-1] + 1, 0)
        longest = max(longest, int(run.max()))
    return longest


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
    r"""The words of a stretch of English in lower case, as the official evaluation of CMRC 2018 cuts them.

    That evaluation gives every stretch without Chinese to a tokenizer of the Penn Treebank's conventions: punctuation
    by itself, a period only where a sentence ends, clitics cut off, straight quotes told apart into opening and closing
    ones. Here are those conventions for text that is already in lower case and without `- : _ * ^ / \ ~ ` + =`.

    Source:  MacIntyre (1995), the Penn Treebank's tokenization conventions, as later tokenizers apply them.
    Departures:  sentences end at a period, question or exclamation mark before white space, unless the word is a
    letter, a listed abbreviation or has a period inside; the original asks a model (Kiss and Strunk 2006).

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

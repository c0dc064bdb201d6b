"""The official rules for answers, written out plainly and slowly; what `tasks.metrics.answers` must agree with.

Written from the evaluation programs of SQuAD (Rajpurkar et al. 2016, 2018: evaluate-v1.1, evaluate-v2.0) and of
CMRC 2018 (Cui et al. 2019: cmrc2018_evaluate, version 5). Scores are 0 … 1 instead of per cent.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence

CMRC_PUNCTUATION = [*"-:_*^/\\~`+=", *"，。：？！“”；’《》", "……", *"·、「」（）－～『』"]


def squad_plain(text: str) -> str:
    text = "".join(character for character in text.lower() if character not in set(string.punctuation))
    # an article is a word between characters that are neither letters, digits nor underscores
    out, word = [], ""
    for character in text + "\n":
        if character.isalnum() or character == "_":
            word += character
        else:
            out.append((" " if word in ("a", "an", "the") else word) + character)
            word = ""
    return " ".join("".join(out).split())


def squad_f1(prediction: str, gold: str, version: int) -> float:
    said, wanted = squad_plain(prediction).split(), squad_plain(gold).split()
    if version == 2 and (len(said) == 0 or len(wanted) == 0):
        return float(said == wanted)
    same, left = 0, list(wanted)
    for word in said:
        if word in left:
            left.remove(word)
            same += 1
    if same == 0:
        return 0.0
    precision, recall = same / len(said), same / len(wanted)
    return 2 * precision * recall / (precision + recall)


def squad_1(prediction: str, golds: Sequence[str]) -> tuple[float, float]:
    return (
        max(float(squad_plain(prediction) == squad_plain(gold)) for gold in golds),
        max(squad_f1(prediction, gold, 1) for gold in golds),
    )


def squad_2(prediction: str, golds: Sequence[str]) -> tuple[float, float]:
    wanted = [gold for gold in golds if squad_plain(gold)] or [""]
    return (
        max(float(squad_plain(prediction) == squad_plain(gold)) for gold in wanted),
        max(squad_f1(prediction, gold, 2) for gold in wanted),
    )


def cmrc_segments(text: str, words: Callable[[str], list[str]]) -> list[str]:
    found: list[str] = []
    foreign = ""
    for character in text.lower().strip():
        if character in CMRC_PUNCTUATION:
            continue
        if 0x4E00 <= ord(character) <= 0x9FA5:
            found.extend(words(foreign))
            found.append(character)
            foreign = ""
        else:
            foreign += character
    return found + words(foreign)


def cmrc_f1(said: list[str], wanted: list[str]) -> float:
    longest = 0
    for i in range(len(said)):
        for j in range(len(wanted)):
            length = 0
            while (
                i + length < len(said) and j + length < len(wanted) and said[i + length] == wanted[j + length]
            ):
                length += 1
            longest = max(longest, length)
    if longest == 0:
        return 0.0
    precision, recall = longest / len(said), longest / len(wanted)
    return 2 * precision * recall / (precision + recall)


def cmrc(prediction: str, golds: Sequence[str], words: Callable[[str], list[str]]) -> tuple[float, float]:
    def plain(text: str) -> str:
        return "".join(c for c in text.lower().strip() if c not in CMRC_PUNCTUATION)

    exact = 0.0
    for gold in golds:
        if plain(gold) == plain(prediction):
            exact = 1.0
    said = cmrc_segments(prediction, words)
    return exact, max(cmrc_f1(said, cmrc_segments(gold, words)) for gold in golds)


def best_threshold(
    null: Sequence[float], has: Sequence[bool], scores: Sequence[float]
) -> tuple[float, float]:
    """Every threshold there is, tried: (threshold, mean score)."""
    best = None
    for threshold in [min(null) - 1, *sorted(null)]:
        total = sum(
            float(not h) if n > threshold else h * s for n, h, s in zip(null, has, scores, strict=True)
        )
        if best is None or total > best[1] + 1e-9:
            best = threshold, total
    assert best is not None
    return best[0], best[1] / len(null)

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import official_answers as official
from polyseme.errors import ConfigError, InputError
from polyseme.tasks.metrics.answers import best_threshold, clear_of, measures, score, treebank_words

GOLDEN = Path(__file__).resolve().parents[3] / "parity" / "treebank.json"


def cmrc(prediction: str, golds: Sequence[str]) -> tuple[float, float]:
    return official.cmrc(prediction, golds, treebank_words)


RULES: dict[str, Callable[[str, Sequence[str]], tuple[float, float]]] = {
    "squad-1.1": official.squad_1,
    "squad-2.0": official.squad_2,
    "cmrc-2018": cmrc,
}
NOISE = [
    "the ",
    " a",
    ".",
    "!",
    "，",
    "。",
    "《",
    "》",
    " ",
    "  ",
    "-",
    "'s",
    '"',
    "…",
    "·",
    "（",
    "A ",
    "_",
    "\u3000",
]


def noisy(rng: random.Random, context: str, golds: Sequence[str]) -> str:
    """A prediction: the gold answer, a shifted span, a span of its own, or one of them with noise; sometimes none."""
    gold = rng.choice(golds) if golds else ""
    kind = rng.randrange(6)
    if kind == 0:
        return ""
    start = max(0, context.find(gold))
    if kind == 1:
        start, end = start + rng.randint(-6, 6), start + len(gold) + rng.randint(-6, 6)
        return context[max(0, start) : max(0, end)]
    if kind == 2:
        start = rng.randrange(len(context) + 1)
        return context[start : start + rng.randint(1, 40)]
    text = gold
    for _ in range(rng.randint(0, 3)):
        at = rng.randint(0, len(text))
        text = text[:at] + rng.choice(NOISE) + text[at:]
    return rng.choice([text, text.upper(), text.lower(), text.title(), "the " + text])


def check(rules: str, questions: list[tuple[str, list[str]]]) -> None:
    rng = random.Random(2018)
    said, golds = [], []
    for _ in range(1000):
        context, wanted = rng.choice(questions)
        said.append(noisy(rng, context, wanted))
        golds.append(wanted)
    expected = [RULES[rules](*pair) for pair in zip(said, golds, strict=True)]
    for pair, scores in zip(zip(said, golds, strict=True), expected, strict=True):
        assert score(*pair, rules) == pytest.approx(scores), pair  # type: ignore[arg-type]
    found = measures(said, golds, rules)  # type: ignore[arg-type]
    assert found["exact_match"].value == pytest.approx(sum(exact for exact, _ in expected) / 1000)
    assert found["f1"].value == pytest.approx(sum(f1 for _, f1 in expected) / 1000)
    assert 0.1 < found["exact_match"].value < found["f1"].value < 0.9  # predictions of all kinds


def questions_of(data: dict[str, list[dict[str, list[dict[str, object]]]]]) -> list[tuple[str, list[str]]]:
    return [
        (str(paragraph["context"]), [answer["text"] for answer in question["answers"]])
        for article in data["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]  # type: ignore[attr-defined]
    ]


HAND_MADE = [
    ("The Eiffel Tower, built in 1889, is an iron tower in Paris.", ["The Eiffel Tower", "Eiffel Tower"]),
    ("It cost $3.50 (or £2.80) at St. John's -- the cheapest, U.S. wide.", ["$3.50", "St. John's"]),
    ("Vitamin A is a vitamin; the band The The is a band.", ["Vitamin A", "The The", "a"]),
    (
        "苹果公司（Apple Inc.）于1976年4月1日由Steve Jobs创立。",
        ["苹果公司（Apple Inc.）", "1976年4月1日"],
    ),
    ("《红楼梦》又名《石头记》，作者是曹雪芹……", ["《红楼梦》", "曹雪芹", "，"]),
]


@pytest.mark.parametrize("rules", RULES)
def test_a_thousand_predictions_by_hand_made_texts(rules: str) -> None:
    check(rules, HAND_MADE)


def test_a_thousand_predictions_with_unanswerable_questions() -> None:
    check("squad-2.0", [*HAND_MADE, ("Nobody knows.", []), ("A the.", ["the"])])


@pytest.mark.parametrize("rules", ["squad-1.1", "squad-2.0"])
def test_a_thousand_predictions_in_english(rules: str, any_data: Path) -> None:
    file = any_data / "tasks" / "squad_shifts" / "new_wiki_v1.0.json.gz"
    check(rules, questions_of(json.loads(gzip.decompress(file.read_bytes()))))


def test_a_thousand_predictions_in_chinese(any_data: Path) -> None:
    file = any_data / "tasks" / "cmrc2018" / "cmrc2018_trial.json"
    check("cmrc-2018", questions_of(json.loads(file.read_text("utf-8"))))


def test_words_of_the_treebank() -> None:
    for sentence, words in json.loads(GOLDEN.read_text("utf-8"))["cases"]:
        if not any(f"{mark} " in sentence for mark in ".?!\"')]"):  # one sentence only
            assert treebank_words(sentence) == words, sentence
    assert treebank_words("he left. st. john j. stays.") == [
        "he",
        "left",
        ".",
        "st.",
        "john",
        "j.",
        "stays",
        ".",
    ]


@pytest.mark.parametrize(
    ("said", "golds", "rules", "expected"),
    [
        ("", [], "squad-2.0", (1.0, 1.0)),
        ("Paris", [], "squad-2.0", (0.0, 0.0)),
        ("the", [], "squad-2.0", (1.0, 1.0)),
        ("", ["the"], "squad-1.1", (1.0, 0.0)),
        ("", ["the"], "squad-2.0", (1.0, 1.0)),
        ("", ["Paris"], "squad-2.0", (0.0, 0.0)),
        ("", ["北京"], "cmrc-2018", (0.0, 0.0)),
        ("", ["。"], "cmrc-2018", (1.0, 0.0)),
        ("", [], "cmrc-2018", (1.0, 1.0)),
        ("北京。市", ["北京市"], "cmrc-2018", (1.0, 1.0)),
        ("Steve Jobs", ["steve jobs"], "cmrc-2018", (1.0, 1.0)),
        ("京北", ["北京"], "cmrc-2018", (0.0, 0.5)),
        ("…", ["……"], "cmrc-2018", (0.0, 0.0)),
    ],
)
def test_edges(said: str, golds: list[str], rules: str, expected: tuple[float, float]) -> None:
    assert score(said, golds, rules) == pytest.approx(expected)  # type: ignore[arg-type]


def test_parts_with_and_without_an_answer() -> None:
    found = measures(["Paris", "", "Rome", ""], [["Paris"], [], [], ["Oslo"]])
    assert {name: (figure.value, figure.n) for name, figure in found.items()} == {
        "exact_match": (0.5, 4),
        "f1": (0.5, 4),
        "has_answer_exact_match": (0.5, 2),
        "has_answer_f1": (0.5, 2),
        "no_answer_accuracy": (0.5, 2),
    }
    assert measures([], [])["f1"].n == 0


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("answerable", [0, 1, 3])
def test_predictions_that_are_all_empty(rules: str, answerable: int) -> None:
    golds = [["Paris"]] * answerable + [[]] * (3 - answerable)
    found = measures([""] * 3, golds, rules)  # type: ignore[arg-type]
    assert found["f1"].value == found["exact_match"].value == pytest.approx((3 - answerable) / 3)
    shares = {"has_answer_f1": (0.0, answerable), "no_answer_accuracy": (1.0, 3 - answerable)}
    for name, (value, n) in shares.items():
        if n and name in found:
            assert (found[name].value, found[name].n) == (value, n)
    assert best_threshold([1.0] * 3, [bool(g) for g in golds], [0.0] * 3)[1] == (3 - answerable) / 3


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="rules"):
        score("a", ["a"], "squad")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="do not fit"):
        measures(["a"], [])
    with pytest.raises(InputError, match="do not fit"):
        best_threshold([0.1], [True, False], [1.0])


@pytest.mark.parametrize("distinct", [3, 1000])
def test_threshold_is_the_best_of_all(distinct: int) -> None:
    rng = random.Random(4)
    for _ in range(50):
        n = rng.randint(1, 30)
        null = [rng.randrange(distinct) / 7 - 20 for _ in range(n)]
        has = [rng.random() < 0.5 for _ in range(n)]
        scores = [rng.random() * h for h in has]
        threshold, value = best_threshold(null, has, scores)
        expected, best = official.best_threshold(null, has, scores)
        assert value == pytest.approx(best)
        assert threshold == pytest.approx(expected, abs=1.1 if expected < min(null) else 1e-9)
        applied = [
            float(not h) if z > threshold else h * s for z, h, s in zip(null, has, scores, strict=True)
        ]
        assert sum(applied) / n == pytest.approx(value)
        clear = clear_of(threshold, null)
        assert [z > clear for z in null] == [z > threshold for z in null]
        assert min(abs(z - clear) for z in null) > 1e-4


def test_threshold_of_extremes() -> None:
    assert best_threshold([1.0, 2.0], [False, False], [0.0, 0.0])[1] == 1.0
    threshold, value = best_threshold([1.0, 2.0], [True, True], [0.0, 0.0])
    assert threshold < 1.0
    assert value == 0.0
    assert best_threshold([1.0, 2.0], [True, True], [1.0, 1.0]) == (2.0, 1.0)
    # a best span that is empty already answers none
    assert best_threshold([1.0, 2.0], [False, True], [0.0, 1.0], [False, True]) == (2.0, 1.0)
    assert best_threshold([], [], [])[0] == 0.0
